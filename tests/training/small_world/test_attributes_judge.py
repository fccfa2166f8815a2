"""The training of the judge of what people look like: its pictures are drawn with their truth, and it learns."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from ingredients.core.errors import UserInputError
from ingredients.faces.network_settings import AttributesJudgeConfig
from ingredients.training.loop.settings import TrainerConfig
from ingredients.training.small_world.faces.attributes_judge import (
    AttributesStage,
    draw_pictures,
)
from ingredients.training.small_world.faces.settings import AttributesTrainingConfig
from ingredients.world import EACH_OWN, TOGETHER, sample_scene
from ingredients.world.identity import ATTRIBUTES


def config(**settings: object) -> AttributesTrainingConfig:
    judge = AttributesJudgeConfig(attributes=ATTRIBUTES, crop_size=32, widths=(8, 16, 16), dim=24)
    values = {"judge": judge, "trainer": TrainerConfig(num_steps=1, num_warmup_steps=1), "num_clips": 4,
              "batch_size": 10, "missing_share": 0.0}  # fmt: skip
    return AttributesTrainingConfig(**(values | settings))  # type: ignore[arg-type]


def test_pictures_carry_the_truth_of_their_people() -> None:
    pool = draw_pictures(config(num_clips=2))
    people = [
        person.visible_attributes
        for seed, style in ((0, EACH_OWN), (1, TOGETHER))
        for spec in [sample_scene(config().trainer.seed * 10**7 + seed, split="judge", style=style)]
        for person in spec.people
    ]
    told = [
        {
            name: values[row[column]]
            for column, (name, values) in enumerate(config().judge.attributes.items())
            if row[column] >= 0
        }
        for row in pool["targets"]
    ]
    assert pool["crops"].shape[1:] == (32, 32, 3)
    assert all(each in people for each in told)
    assert len(told) >= len(people)  # two moments of each person, but who is hidden then


def test_it_learns_a_small_pool_by_heart(tmp_path: Path) -> None:
    stage = AttributesStage(config(), tmp_path)
    optimizer = torch.optim.AdamW(stage.network.parameters(), lr=5e-3)
    losses = []
    for step in range(40):
        output = stage.training_step(torch.Generator().manual_seed(step), progress=0.0)
        optimizer.zero_grad()
        output.loss.backward()
        optimizer.step()
        losses.append(float(output.loss.detach()))
    assert np.mean(losses[-5:]) < 0.7 * np.mean(losses[:5])


def test_it_goes_on_from_a_judge_that_is_there(tmp_path: Path) -> None:
    first = AttributesStage(config(num_clips=2), tmp_path)
    with torch.no_grad():
        first.network.head.bias.add_(1.0)
    first.export(tmp_path)
    again = AttributesStage(config(num_clips=2, start=tmp_path), tmp_path).network.state_dict()
    for name, tensor in first.network.state_dict().items():
        torch.testing.assert_close(again[name], tensor, atol=2e-3, rtol=2e-3)  # kept in half precision


def test_a_judge_of_another_form_is_no_start(tmp_path: Path) -> None:
    AttributesStage(config(num_clips=2), tmp_path).export(tmp_path)
    fewer = dataclasses.replace(config().judge, attributes={"hat": ATTRIBUTES["hat"]})
    with pytest.raises(UserInputError, match=f"The judge in {tmp_path} has another form"):
        AttributesStage(config(num_clips=2, start=tmp_path, judge=fewer), tmp_path)


def test_what_a_picture_hides_teaches_nothing(tmp_path: Path) -> None:
    stage = AttributesStage(config(num_clips=2), tmp_path)
    stage.pool["targets"][:] = -1
    output = stage.training_step(torch.Generator().manual_seed(0), progress=0.0)
    assert float(output.loss.detach()) == 0.0
