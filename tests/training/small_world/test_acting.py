"""The training of the judge of actions and expressions: its tracks are drawn with their truth, and it learns."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from ingredients.core.errors import UserInputError
from ingredients.faces.network_settings import ActingJudgeConfig
from ingredients.faces.trait_judges import ActingNetwork, load_acting_judge, save_acting_judge
from ingredients.training.loop.settings import TrainerConfig
from ingredients.training.small_world.faces.acting import ActingStage, draw_tracks
from ingredients.training.small_world.faces.settings import ActingTrainingConfig
from ingredients.world import EACH_OWN, sample_scene
from ingredients.world.captions import EXPRESSIONS, ROLE_ACTIONS


def config(**settings: object) -> ActingTrainingConfig:
    judge = ActingJudgeConfig(
        actions=tuple(ROLE_ACTIONS), expressions=tuple(EXPRESSIONS), crop_size=32, widths=(8, 16, 16), dim=24
    )
    trainer = TrainerConfig(num_steps=1, num_warmup_steps=1)
    values = {"judge": judge, "trainer": trainer, "num_clips": 5, "batch_size": 6, "num_validation_clips": 2}
    return ActingTrainingConfig(**(values | settings))  # type: ignore[arg-type]


def test_tracks_carry_the_acts_of_their_people() -> None:
    pool = draw_tracks(config(missing_share=0.0), 5, first_seed=100, split="judge")
    acts = [act for seed in range(100, 105) for act in sample_scene(seed, split="judge", style=EACH_OWN).acts]
    told = [
        (tuple(ROLE_ACTIONS)[action], tuple(EXPRESSIONS)[expression])
        for action, expression in zip(pool["actions"], pool["expressions"], strict=True)
    ]
    assert set(told) <= set(acts)
    assert len(told) >= len(acts) - 1  # somebody may be hidden behind another
    assert pool["crops"].shape[1:] == (17, 32, 32, 3)


def test_a_batch_turns_the_path_with_the_picture(tmp_path: Path) -> None:
    stage = ActingStage(config(), tmp_path)
    stage.pool["path"][..., 0] = np.linspace(0.1, 0.9, 17)  # everybody goes to the right
    directions = set()
    for seed in range(6):
        pixel_values, path, rows = stage._batch(torch.Generator().manual_seed(seed))
        assert pixel_values.shape[:2] == path.shape[:2] == (len(rows), pixel_values.shape[1])
        assert 9 <= pixel_values.shape[1] <= 17
        assert torch.equal(path[:, 0, -1], torch.zeros(len(rows)))  # time starts anew
        directions |= {bool(steps[0] > 0) for steps in path[..., 0].diff(dim=1)}
    assert directions == {True, False}


def test_it_learns_a_small_pool_by_heart(tmp_path: Path) -> None:
    stage = ActingStage(config(num_clips=4, shortest=17, missing_share=0.0), tmp_path)
    optimizer = torch.optim.AdamW(stage.network.parameters(), lr=5e-3)
    losses = []
    for step in range(40):
        output = stage.training_step(torch.Generator().manual_seed(step), progress=0.0)
        optimizer.zero_grad()
        output.loss.backward()
        optimizer.step()
        losses.append(float(output.loss.detach()))
    assert np.mean(losses[-5:]) < 0.6 * np.mean(losses[:5])


def test_the_pool_holds_clips_of_both_styles(tmp_path: Path) -> None:
    """In one everybody does the same, so that its people's actions are those of the clips."""
    stage = ActingStage(config(num_clips=3, together_share=0.67, missing_share=0.0), tmp_path)
    first = config().trainer.seed * 10**7
    own = sample_scene(first, split="judge", style=EACH_OWN)
    together = [sample_scene(first + index, split="judge") for index in range(2)]
    told = [tuple(ROLE_ACTIONS)[action] for action in stage.pool["actions"]]
    assert told[-1] == together[-1].attributes.action
    assert told[0] in {role.action for role in own.roles}
    assert len(told) <= len(own.people) + sum(len(spec.people) for spec in together)


def test_it_goes_on_from_a_judge_that_was_trained(tmp_path: Path) -> None:
    torch.manual_seed(8)
    network = ActingNetwork(config().judge).half().float()
    save_acting_judge(network, tmp_path)
    stage = ActingStage(config(num_clips=2, start=tmp_path, kept_share=0.25), tmp_path)
    for name, tensor in stage.network.state_dict().items():
        assert torch.equal(tensor, network.state_dict()[name]), name
    with torch.no_grad():
        stage.network.heads.bias += 4
    (tmp_path / "mixed").mkdir()
    stage.export(tmp_path / "mixed")
    mixed = load_acting_judge(tmp_path / "mixed").network.heads.bias
    assert torch.allclose(mixed, network.heads.bias + 3, atol=5e-3)


def test_a_judge_of_another_form_is_no_start(tmp_path: Path) -> None:
    save_acting_judge(ActingNetwork(dataclasses.replace(config().judge, dim=2 * config().judge.dim)), tmp_path)
    with pytest.raises(UserInputError, match=f"The judge in {tmp_path} has another form"):
        ActingStage(config(num_clips=2, start=tmp_path), tmp_path)


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="shortest must be at least 2 and at most 17, not 20"):
        config(shortest=20)
