import json
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import nn

from ingredients.core.errors import UserInputError
from ingredients.core.training_log import LOG_NAME, METRICS_NAME
from ingredients.training.loop.checkpoints import read_checkpoint
from ingredients.training.loop.ema import ExponentialMovingAverage
from ingredients.training.loop.loss_watch import TrainingDivergedError
from ingredients.training.loop.optimizers import build_optimizers, learning_rate_factor
from ingredients.training.loop.settings import TrainerConfig
from ingredients.training.loop.stage import ParameterGroup, StepOutput, WholeStepStage
from ingredients.training.loop.trainer import LeftOutStepWarning, Trainer


class LineStage(WholeStepStage):
    """Fits a small network to noisy points; a matrix inside `transformer_blocks`, so that Muon has work."""

    name = "line"

    def __init__(self, width: int = 3, interrupt_at: int | None = None) -> None:
        torch.manual_seed(0)
        self.network = nn.ModuleDict({"transformer_blocks": nn.Linear(4, width), "proj_out": nn.Linear(width, 1)})
        self.interrupt_at = interrupt_at
        self.num_calls = 0

    def parameter_groups(self) -> list[ParameterGroup]:
        return [ParameterGroup(parameters=dict(self.network.named_parameters()))]

    def training_step(self, generator: torch.Generator, *, progress: float) -> StepOutput:
        assert 0 <= progress < 1
        self.num_calls += 1
        if self.num_calls == self.interrupt_at:
            raise KeyboardInterrupt
        points = torch.randn(8, 4, generator=generator)
        hidden = self.network["transformer_blocks"](points).tanh()
        loss = (self.network["proj_out"](hidden) - points.sum(dim=1, keepdim=True)).square().mean()
        return StepOutput(loss=loss, metrics={"mean": points.mean()})

    def validate(self) -> Mapping[str, float]:
        return {"bias": float(self.network["proj_out"].bias)}

    def export(self, folder: Path) -> None:
        torch.save(self.network.state_dict(), folder / "weights.pt")


def config(optimizer: str = "adamw", **changes: object) -> TrainerConfig:
    settings: dict[str, object] = {"num_steps": 12, "checkpoint_every": 5, "log_every": 4, "num_warmup_steps": 2}
    return TrainerConfig(**(settings | {"optimizer": optimizer} | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(("optimizer", "ema_decay"), [("adamw", 0.995), ("muon", 0.9), ("adamw", 0.0)])
def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(
    tmp_path: Path, optimizer: str, ema_decay: float
) -> None:
    settings = config(optimizer, ema_decay=ema_decay)
    whole = Trainer(LineStage(), tmp_path / "whole", settings)
    whole.fit(show=False)
    with pytest.raises(KeyboardInterrupt):
        Trainer(LineStage(interrupt_at=9), tmp_path / "pieces", settings).fit(show=False)
    resumed = Trainer(LineStage(), tmp_path / "pieces", settings)
    resumed.fit(resume=True, show=False)
    assert resumed.position.step == whole.position.step == 12
    assert resumed.stage.num_calls == 7  # from the checkpoint of step 5
    for name, parameter in whole.parameters.items():
        assert torch.equal(parameter, resumed.parameters[name])
        assert torch.equal(whole.ema.averages[name], resumed.ema.averages[name])
    exported = [torch.load(tmp_path / run / "weights.pt", weights_only=True) for run in ("whole", "pieces")]
    assert all(torch.equal(exported[0][name], exported[1][name]) for name in exported[0])


def test_without_resume_a_run_starts_anew(tmp_path: Path) -> None:
    Trainer(LineStage(), tmp_path, config()).fit(show=False)
    again = Trainer(LineStage(), tmp_path, config())
    again.fit(show=False)
    assert again.stage.num_calls == 12
    lines = [json.loads(line) for line in (tmp_path / LOG_NAME).read_text().splitlines()]
    assert [line["step"] for line in lines if "loss" in line] == [4, 8, 12]
    assert lines[-1].keys() == {"step", "seconds", "bias"}  # what held-out data said
    assert {"loss", "gradient_norm", "learning_rate_factor", "mean", "seconds"} <= lines[0].keys()


def test_the_averaged_weights_are_validated_and_exported(tmp_path: Path) -> None:
    trainer = Trainer(LineStage(), tmp_path, config())
    metrics = trainer.fit(show=False)
    average = trainer.ema.averages["proj_out.bias"]
    assert metrics["bias"] == pytest.approx(float(average))
    assert not torch.equal(average, trainer.parameters["proj_out.bias"])
    assert torch.equal(torch.load(tmp_path / "weights.pt", weights_only=True)["proj_out.bias"], average)
    assert json.loads((tmp_path / METRICS_NAME).read_text())["steps"] == 12


def test_a_run_ends_when_its_minutes_are_over(tmp_path: Path) -> None:
    trainer = Trainer(LineStage(), tmp_path, config(num_steps=10**9, minutes=0.005))
    trainer.fit(show=False)
    assert 0.3 <= trainer.position.seconds < 3


def test_a_checkpoint_of_another_model_is_refused(tmp_path: Path) -> None:
    Trainer(LineStage(), tmp_path, config()).fit(show=False)
    other = LineStage()
    other.network["more"] = nn.Linear(2, 2)
    with pytest.raises(UserInputError, match=r"other parameters.*more"):
        Trainer(other, tmp_path, config()).fit(resume=True, show=False)


def test_an_interrupted_save_leaves_the_last_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = Trainer(LineStage(), tmp_path, config())
    trainer.fit(show=False)
    (newest,) = trainer.checkpoints.paths()[-1:]
    before = newest.read_bytes()

    def fail(*_: object, **__: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr("ingredients.training.loop.checkpoints.save_file", fail)
    with pytest.raises(UserInputError, match="full"):
        Trainer(LineStage(), tmp_path, config(num_steps=20)).fit(resume=True, show=False)
    assert newest.read_bytes() == before


def test_gradients_are_scaled_down_together(tmp_path: Path) -> None:
    trainer = Trainer(LineStage(), tmp_path, config(num_steps=3, max_grad_norm=1e-3, log_every=1))
    norms = []

    def measure(optimizer: torch.optim.Optimizer, *_: object) -> None:
        gradients = [parameter.grad for group in optimizer.param_groups for parameter in group["params"]]
        norms.append(float(torch.cat([gradient.flatten() for gradient in gradients]).norm()))

    trainer.optimizers[0].register_step_pre_hook(measure)
    trainer.fit(show=False)
    assert norms == pytest.approx([1e-3] * 3, rel=1e-3)
    lines = [json.loads(line) for line in (tmp_path / LOG_NAME).read_text().splitlines()]
    assert all(line["gradient_norm"] > 0.1 for line in lines if "loss" in line)  # as it was before


def break_weights(trainer: Trainer, *, at: int) -> None:
    """An optimiser whose step number `at` makes a weight infinite, as one with too high a rate does."""
    calls = iter(range(1, 100))

    def overshoot(*_: object) -> None:
        if next(calls) == at:
            trainer.parameters["proj_out.weight"].data[0, 1] = torch.inf

    trainer.optimizers[0].register_step_post_hook(overshoot)


def test_weights_that_are_no_numbers_stop_the_run_and_the_last_checkpoint_serves(tmp_path: Path) -> None:
    run = Trainer(LineStage(), tmp_path / "run", config())
    break_weights(run, at=7)
    with pytest.raises(TrainingDivergedError, match=r"diverged: step 7 made.*step-00000005\.safetensors is kept"):
        run.fit(show=False)
    (kept,) = run.checkpoints.paths()
    assert read_checkpoint(kept).position.step == 5
    assert not (tmp_path / "run" / "weights.pt").exists()
    early = Trainer(LineStage(), tmp_path / "early", config())
    break_weights(early, at=2)
    with pytest.raises(TrainingDivergedError, match=r"step 2 made weights.*No checkpoint was written yet, so start"):
        early.fit(show=False)


class NothingStage(LineStage):
    """Its loss is no number."""

    def training_step(self, generator: torch.Generator, *, progress: float) -> StepOutput:
        return StepOutput(loss=super().training_step(generator, progress=progress).loss * torch.nan)


def test_a_run_of_which_no_step_could_be_used_is_no_success(tmp_path: Path) -> None:
    with (
        pytest.warns(LeftOutStepWarning, match="the loss is nan"),
        pytest.raises(TrainingDivergedError, match="none of the 2 steps could be used"),
    ):
        Trainer(NothingStage(), tmp_path, config(num_steps=2)).fit(show=False)
    assert not (tmp_path / METRICS_NAME).exists()


def test_what_is_no_number_is_null_in_files(tmp_path: Path) -> None:
    class Unmeasurable(LineStage):
        def validate(self) -> Mapping[str, float]:
            return {"validation_loss": float("nan"), "recall": float("inf")}

    Trainer(Unmeasurable(), tmp_path, config()).fit(show=False)
    for text in (*(tmp_path / LOG_NAME).read_text().splitlines(), (tmp_path / METRICS_NAME).read_text()):
        values = json.loads(text, parse_constant=lambda name: pytest.fail(f"JSON knows no {name}"))
        assert values.get("recall") is None
    assert values["validation_loss"] is None


def test_muon_takes_hidden_matrices_only() -> None:
    stage = LineStage()
    adamw, muon = build_optimizers(
        "muon", stage.parameter_groups(), learning_rate=1e-3, muon_learning_rate=2e-3, weight_decay=0.1
    )
    assert [p is stage.network["transformer_blocks"].weight for g in muon.param_groups for p in g["params"]] == [True]
    decays = {id(parameter): group["weight_decay"] for group in adamw.param_groups for parameter in group["params"]}
    assert decays[id(stage.network["proj_out"].weight)] == 0.1
    assert decays[id(stage.network["proj_out"].bias)] == decays[id(stage.network["transformer_blocks"].bias)] == 0.0


def test_moving_average_is_the_recursion() -> None:
    parameter = nn.Parameter(torch.zeros(2))
    ema = ExponentialMovingAverage({"p": parameter}, decay=0.6)
    expected = 0.0
    for step, value in enumerate((1.0, -2.0, 5.0, 3.0)):
        parameter.data.fill_(value)
        ema.update(step)
        decay = min(0.6, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * value
    assert ema.averages["p"].tolist() == pytest.approx([expected] * 2)
    with ema.applied():
        assert parameter.tolist() == pytest.approx([expected] * 2)
    assert parameter.tolist() == [3.0, 3.0]


def test_schedules() -> None:
    factor = learning_rate_factor
    assert factor("constant", step=4, progress=0.5, num_warmup_steps=10) == 0.5
    assert factor("cosine", step=100, progress=0.5) == pytest.approx(0.5)
    assert factor("cosine", step=100, progress=1.0, final_factor=0.1) == pytest.approx(0.1)
    assert factor("cosine_with_restarts", step=100, progress=0.5, num_cycles=2) == pytest.approx(1.0)
    assert factor("cosine_with_restarts", step=100, progress=0.25, num_cycles=2) == pytest.approx(0.5)
    assert factor("trapezoid", step=100, progress=0.6) == 1.0
    assert factor("trapezoid", step=100, progress=0.8) == pytest.approx(0.5)
