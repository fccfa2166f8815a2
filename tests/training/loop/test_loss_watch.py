"""Steps that would do harm: reported, left out up to a limit, and decided alike by a run that is resumed."""

import json
import math
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from ingredients.data.batches import ClipBatch
from ingredients.training.loop.loss_watch import LossWatch, TrainingDivergedError
from ingredients.training.loop.settings import TrainerConfig
from ingredients.training.loop.stage import ParameterGroup, StepOutput, StepPosition, WholeStepStage
from ingredients.training.loop.trainer import EVENTS_NAME, LeftOutStepWarning, Trainer
from ingredients.training.stages.alignment import AlignmentStage
from ingredients.training.stages.settings import AlignmentConfig
from tests.training.conftest import TinyWorld
from tests.training.scenarios import read_log

NUM_STEPS = 40


class StumblingStage(WholeStepStage):
    """Fits a number to noise; at some steps the loss jumps, or it or its gradient is no number."""

    name = "stumbling"

    def __init__(self, stumbles: Mapping[int, str], interrupt_at: int | None = None) -> None:
        self.weight = torch.nn.Parameter(torch.ones(3))
        self.stumbles = stumbles
        self.interrupt_at = interrupt_at
        self.seen: list[list[float]] = []
        """The weights before each step."""

    def parameter_groups(self) -> list[ParameterGroup]:
        return [ParameterGroup(parameters={"weight": self.weight})]

    def loss(self, batch: StepPosition, counts: Mapping[str, float]) -> StepOutput:
        del counts
        if batch.step == self.interrupt_at:
            raise KeyboardInterrupt
        self.seen.append(self.weight.tolist())
        loss = (self.weight - torch.randn(3, generator=batch.generator)).square().mean() + 5
        match self.stumbles.get(batch.step + 1):
            case "jump":
                loss = 10 * loss
            case "no loss":
                loss = loss * math.nan
            case "no gradient":
                loss = loss + (0 * self.weight).sqrt().sum()  # 0, and a derivative of 0 times infinity
        return StepOutput(loss=loss, metrics={"weight": self.weight.detach().mean()})

    def validate(self) -> Mapping[str, float]:
        return {}

    def export(self, folder: Path) -> None:
        del folder


def config(**settings: object) -> TrainerConfig:
    return TrainerConfig(
        **{  # type: ignore[arg-type]
            "num_steps": NUM_STEPS,
            "learning_rate": 1e-2,
            "num_warmup_steps": 0,
            "log_every": 3,
            "checkpoint_every": 4,
            "spike_factor": 3.0,
        }
        | settings
    )


def read_events(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / EVENTS_NAME).read_text().splitlines()]


STUMBLES = {5: "no gradient", 11: "no loss", 12: "no gradient", 27: "jump", 33: "jump"}


def test_such_steps_are_reported_and_change_nothing(tmp_path: Path) -> None:
    stage = StumblingStage(STUMBLES)
    trainer = Trainer(stage, tmp_path, config())
    with pytest.warns(LeftOutStepWarning) as warnings:
        trainer.fit(show=False)
    events = read_events(tmp_path)
    assert [event["step"] for event in events] == list(STUMBLES)
    assert [event["samples"] for event in events] == [f"the batch of step {step}" for step in STUMBLES]
    assert events[0]["left_out"] == events[2]["left_out"] == "the gradients' norm is nan"
    assert events[1]["left_out"] == "the loss is nan"
    assert str(events[3]["left_out"]).startswith("the loss jumps to ")
    assert [str(warning.message).split(",")[0] for warning in warnings] == [
        f"Step {step} was left out" for step in STUMBLES
    ]
    for step in range(1, NUM_STEPS):
        assert (stage.seen[step - 1] == stage.seen[step]) == (step in STUMBLES), step
    (state,) = trainer.optimizers[0].state.values()
    assert state["step"] == NUM_STEPS - len(STUMBLES)
    assert all(math.isfinite(value) for line in read_log(tmp_path) for value in line.values())


def test_the_averages_do_not_move_either(tmp_path: Path) -> None:
    """A run whose last step is left out ends with the averages that it had before."""
    steps = {"checkpoint_every": 1, "keep_checkpoints": 9}
    with pytest.warns(LeftOutStepWarning):
        Trainer(StumblingStage({5: "no loss"}), tmp_path, config(num_steps=5, **steps)).fit(show=False)
    before, after = (load_file(tmp_path / "checkpoints" / f"step-0000000{step}.safetensors") for step in (4, 5))
    assert before.keys() == after.keys() >= {"parameters/weight", "averages/weight", "optimizer/0/weight/exp_avg"}
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_jump_needs_something_to_jump_from() -> None:
    watch = LossWatch(spike_factor=2.0, max_skipped=1)
    for _ in range(19):
        watch.record(1.0)
    assert watch.judge(100.0, 1.0) is None
    watch.record(1.0)
    assert watch.judge(2.1, 1.0) == "the loss jumps to 2.1 from a median of 1"
    assert watch.judge(1.9, 1.0) is None
    assert LossWatch(spike_factor=None, max_skipped=1, recent=watch.recent).judge(100.0, 1.0) is None


def test_a_run_that_keeps_stumbling_stops(tmp_path: Path) -> None:
    stumbles = dict.fromkeys(range(7, NUM_STEPS + 1), "no loss")
    trainer = Trainer(StumblingStage(stumbles), tmp_path, config(max_skipped_steps=3))
    with (
        pytest.warns(LeftOutStepWarning),
        pytest.raises(TrainingDivergedError, match=r"4 steps in a row.*the last, 10, because the loss is nan"),
    ):
        trainer.fit(show=False)
    assert [event["step"] for event in read_events(tmp_path)] == [7, 8, 9, 10]
    assert [path.name for path in trainer.checkpoints.paths()] == [
        "step-00000004.safetensors",
        "step-00000008.safetensors",
    ]


@pytest.mark.filterwarnings("ignore::ingredients.training.loop.trainer.LeftOutStepWarning")
@pytest.mark.parametrize("interrupt_at", [4, 5, 12, 26, 27, 34])
def test_a_resumed_run_decides_alike(tmp_path: Path, interrupt_at: int) -> None:
    whole = Trainer(StumblingStage(STUMBLES), tmp_path / "whole", config())
    whole.fit(show=False)
    with pytest.raises(KeyboardInterrupt):
        Trainer(StumblingStage(STUMBLES, interrupt_at), tmp_path / "pieces", config()).fit(show=False)
    resumed = Trainer(StumblingStage(STUMBLES), tmp_path / "pieces", config())
    resumed.fit(resume=True, show=False)
    assert torch.equal(whole.parameters["weight"], resumed.parameters["weight"])
    assert torch.equal(whole.ema.averages["weight"], resumed.ema.averages["weight"])
    assert read_events(tmp_path / "pieces") == read_events(tmp_path / "whole")
    assert read_log(tmp_path / "pieces") == read_log(tmp_path / "whole")


@pytest.mark.filterwarnings("ignore::ingredients.training.loop.trainer.LeftOutStepWarning")
def test_the_limit_counts_across_pieces_of_a_run(tmp_path: Path) -> None:
    stumbles = dict.fromkeys(range(7, NUM_STEPS + 1), "no loss")
    with pytest.raises(KeyboardInterrupt):
        Trainer(StumblingStage(stumbles, interrupt_at=8), tmp_path, config(max_skipped_steps=3)).fit(show=False)
    with pytest.raises(TrainingDivergedError, match=r"the last, 10, because"):
        Trainer(StumblingStage(stumbles), tmp_path, config(max_skipped_steps=3)).fit(resume=True, show=False)


class PoisonedStage(AlignmentStage):
    """One of the clips makes the loss infinite."""

    def loss(self, batch: ClipBatch, counts: Mapping[str, float]) -> StepOutput:
        output = super().loss(batch, counts)
        is_poisoned = any(draw.clip_id == self.poisoned for draw in batch.draws)
        return StepOutput(loss=output.loss * (math.inf if is_poisoned else 1), metrics=output.metrics)


def test_the_clips_of_such_a_step_are_named(tiny_world: TinyWorld, tmp_path: Path) -> None:
    """The step's clips are those of all its passes, for their gradients are one sum."""
    stage = PoisonedStage(
        tiny_world.transformer(), tiny_world.parts, AlignmentConfig(batch_size=3, micro_batch_size=1, lora_rank=2)
    )
    stage.poisoned = tiny_world.parts.clips.entries[2].clip_id
    with pytest.warns(LeftOutStepWarning, match=stage.poisoned):
        Trainer(stage, tmp_path, config(num_steps=6)).fit(show=False)
    events = read_events(tmp_path)
    assert 0 < len(events) < 6
    for event in events:
        assert event["left_out"] == "the loss is inf"
        assert stage.poisoned in str(event["samples"]).split(", ")
        assert len(str(event["samples"]).split(", ")) == 3
