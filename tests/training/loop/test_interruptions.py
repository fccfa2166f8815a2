"""Ctrl-C and SIGTERM: the step is finished and kept, and what is said of it is true."""

import os
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import torch

from ingredients.training.loop.checkpoints import read_checkpoint
from ingredients.training.loop.interruptions import TrainingInterruptedError
from ingredients.training.loop.stage import StepOutput
from ingredients.training.loop.trainer import Trainer
from tests.training.loop.test_trainer import LineStage, config


class SignalledStage(LineStage):
    """Is told to stop, so many times, while it computes a step, measures or exports."""

    measures_first = True

    def __init__(self, number: int, *, at: int | str, times: int = 1) -> None:
        super().__init__()
        self.number, self.at, self.times = number, at, times

    def signal(self, here: int | str) -> None:
        if here == self.at:
            for _ in range(self.times):
                os.kill(os.getpid(), self.number)

    def training_step(self, generator: torch.Generator, *, progress: float) -> StepOutput:
        output = super().training_step(generator, progress=progress)
        self.signal(self.num_calls)
        return output

    def validate(self) -> Mapping[str, float]:
        self.signal(f"measuring after {self.num_calls}")
        return super().validate()

    def export(self, folder: Path) -> None:
        self.signal("exporting")
        super().export(folder)


@pytest.fixture(autouse=True)
def heeded_signals() -> Iterator[None]:
    """As on a terminal: what runs behind `nohup` or in a shell's background inherits signals that are ignored."""
    defaults = {
        signal.SIGINT: signal.default_int_handler,
        signal.SIGTERM: signal.SIG_DFL,
        signal.SIGHUP: signal.SIG_DFL,
    }
    before = {number: signal.signal(number, handler) for number, handler in defaults.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def interrupt(stage: SignalledStage, folder: Path, *, resume: bool = False) -> TrainingInterruptedError:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(TrainingInterruptedError) as raised:
        Trainer(stage, folder, config()).fit(resume=resume, show=False)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    return raised.value


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("at", [1, 3, 5, 12])
def test_the_step_is_finished_and_kept(tmp_path: Path, number: int, at: int) -> None:
    """Before the first checkpoint, between two, at one of them, and in the last step; then the run goes on."""
    error = interrupt(SignalledStage(number, at=at), tmp_path / "run")
    kept = (
        f"Interrupted after step {at}; the checkpoint of step {at} is kept in {tmp_path / 'run'}, and the same command"
    )
    assert str(error) == f"{kept} goes on from it."
    assert error.sentence("the same command with --resume") == f"{kept} with --resume goes on from it."
    assert error.exit_code == 128 + number
    newest = Trainer(LineStage(), tmp_path / "run", config()).checkpoints.paths()[-1]
    assert read_checkpoint(newest).position.step == at
    resumed = Trainer(SignalledStage(number, at="never"), tmp_path / "run", config())
    resumed.fit(resume=True, show=False)
    assert resumed.stage.num_calls == 12 - at
    whole = Trainer(SignalledStage(number, at="never"), tmp_path / "whole", config())
    whole.fit(show=False)
    for name, parameter in whole.parameters.items():
        assert torch.equal(parameter, resumed.parameters[name])
        assert torch.equal(whole.ema.averages[name], resumed.ema.averages[name])


@pytest.fixture
def apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Signals that come at once count as if some time lay between them."""
    monkeypatch.setattr("ingredients.training.loop.interruptions._TOGETHER", 0.0)


def test_a_signal_that_torchrun_passes_on_as_well_is_no_second_one(tmp_path: Path) -> None:
    error = interrupt(SignalledStage(signal.SIGINT, at=3, times=2), tmp_path)
    assert "Interrupted after step 3; the checkpoint of step 3 is kept" in str(error)


@pytest.mark.usefixtures("apart")
@pytest.mark.parametrize("at", [2, "measuring after 0"])
def test_before_a_step_is_finished_nothing_is_kept_and_nothing_else_is_said(tmp_path: Path, at: int | str) -> None:
    """The second signal stops at once; so does the first one outside of the steps."""
    error = interrupt(SignalledStage(signal.SIGINT, at=at, times=2), tmp_path)
    assert str(error) == f"Interrupted before a step was finished, so nothing of the run in {tmp_path} is kept yet."
    assert not list(tmp_path.glob("checkpoints/*"))


@pytest.mark.usefixtures("apart")
def test_what_is_lost_by_stopping_at_once_is_said(tmp_path: Path) -> None:
    error = interrupt(SignalledStage(signal.SIGTERM, at=8, times=2), tmp_path)
    assert "Interrupted after step 7; the checkpoint of step 5, 2 steps before, is kept" in str(error)
    error = interrupt(SignalledStage(signal.SIGTERM, at=2, times=2), tmp_path, resume=True)
    assert "Interrupted after step 6; the checkpoint of step 5, 1 step before, is kept" in str(error)


def test_the_end_of_a_run_can_be_stopped_and_made_up_for(tmp_path: Path) -> None:
    error = interrupt(SignalledStage(signal.SIGINT, at="exporting"), tmp_path)
    assert "the checkpoint of step 12 is kept" in str(error)
    assert not (tmp_path / "weights.pt").exists()
    again = SignalledStage(signal.SIGINT, at="never")
    Trainer(again, tmp_path, config()).fit(resume=True, show=False)
    assert again.num_calls == 0
    assert (tmp_path / "weights.pt").exists()


def test_signals_that_are_ignored_stay_so(tmp_path: Path) -> None:
    """As under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        Trainer(SignalledStage(signal.SIGHUP, at=3), tmp_path, config()).fit(show=False)
    finally:
        signal.signal(signal.SIGHUP, before)
