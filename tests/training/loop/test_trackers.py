"""Where numbers go beside the log."""

import json
import warnings
from pathlib import Path

import pytest

from ingredients.core.errors import MissingDependencyError, UserInputError
from ingredients.core.training_log import LOG_NAME
from ingredients.training.loop.processes import TRACKERS_FOLDER, MissingTrackerWarning, Processes
from ingredients.training.loop.settings import TrainerConfig
from ingredients.training.loop.trainer import Trainer
from ingredients.training.small_world.settings import (
    AlignPartConfig,
    BasePartConfig,
    ImageToVideoPartConfig,
    RoutePartConfig,
)
from tests.training.loop.test_trainer import LineStage, config


def read_events(folder: Path) -> dict[str, dict[int, float]]:
    """By name and step, what TensorBoard would show."""
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = accumulator.EventAccumulator(str(folder / TRACKERS_FOLDER / "line"))
    events.Reload()
    numbers = {}
    for name in events.Tags()["scalars"]:
        scalars = events.Scalars(name)
        numbers[name] = {event.step: event.value for event in scalars}
        assert len(numbers[name]) == len(scalars), "a step is shown twice"
    return numbers


def test_tensorboard_shows_what_the_log_says(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    Trainer(LineStage(), tmp_path, config(trackers=("tensorboard",))).fit(show=False)
    shown = read_events(tmp_path)
    lines = [json.loads(line) for line in (tmp_path / LOG_NAME).read_text().splitlines()]
    logged: dict[str, dict[int, float]] = {}
    for line in lines:
        for name, value in line.items():
            if name not in ("step", "seconds"):
                logged.setdefault(name, {})[line["step"]] = value
    assert shown.keys() == logged.keys() >= {"loss", "gradient_norm", "mean", "seconds_per_step", "bias"}
    for name, values in logged.items():
        assert shown[name] == pytest.approx(values, abs=1e-6)


def test_a_resumed_run_shows_each_step_once(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    settings = {"trackers": ("tensorboard",), "log_every": 1}
    with pytest.raises(KeyboardInterrupt):
        Trainer(LineStage(interrupt_at=9), tmp_path, config(**settings)).fit(show=False)
    Trainer(LineStage(), tmp_path, config(**settings)).fit(resume=True, show=False)
    assert list(read_events(tmp_path)["loss"]) == list(range(1, 13))


def test_without_tensorboard_there_is_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingredients.training.loop.processes.get_available_trackers", list)
    with pytest.warns(MissingTrackerWarning, match=r"ingredients\[train\]") as notes:
        Trainer(LineStage(), tmp_path, config(trackers=("tensorboard",))).fit(show=False)
    assert len(notes) == 1
    assert (tmp_path / LOG_NAME).exists()
    assert not (tmp_path / TRACKERS_FOLDER).exists()


def test_a_tracker_that_somebody_asks_for_must_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingredients.training.loop.processes.get_available_trackers", list)
    with pytest.raises(MissingDependencyError, match=r"wandb is not installed.*pip install wandb"):
        Processes(trackers=("wandb",))


def test_an_unknown_tracker_is_refused() -> None:
    with pytest.raises(
        UserInputError, match=r"no tracker 'tensorbord'; trainer\.trackers can name .*tensorboard.*wandb"
    ):
        Processes(trackers=("tensorbord",))


def test_diffusion_recipes_have_tensorboard_and_the_small_parts_nothing(tmp_path: Path) -> None:
    for recipe in (BasePartConfig, ImageToVideoPartConfig, AlignPartConfig, RoutePartConfig):
        assert recipe().trainer.trackers == ("tensorboard",)
    assert TrainerConfig().trackers == ()
    with warnings.catch_warnings():
        warnings.simplefilter("error", MissingTrackerWarning)
        Trainer(LineStage(), tmp_path, config()).fit(show=False)
    assert not (tmp_path / TRACKERS_FOLDER).exists()
