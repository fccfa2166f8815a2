"""Checkpoints: which are kept, what a damaged one says, and a disk that fills up."""

import contextlib
import json
import resource
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import torch

from ingredients.core.errors import OutputError, UserInputError
from ingredients.training.checkpoints import Checkpoints
from ingredients.training.trainer import Trainer
from tests.training.test_trainer import LineStage, config


class MeasuredStage(LineStage):
    """Held-out data say what the test wants."""

    def __init__(self, *measured: float, measure: str = "validation_loss") -> None:
        super().__init__()
        self.measured = iter(measured)
        self.measure = measure

    def validate(self) -> Mapping[str, float]:
        return {self.measure: next(self.measured)}


def train(folder: Path, stage: LineStage, *, resume: bool = False, **settings: object) -> Trainer:
    trainer = Trainer(stage, folder, config(**settings))
    trainer.fit(resume=resume, show=False)
    return trainer


def steps(folder: Path) -> list[int]:
    return [int(path.stem.removeprefix("step-")) for path in Checkpoints(folder, keep=1).paths()]


def newest(folder: Path) -> Path:
    return Checkpoints(folder, keep=1).paths()[-1]


def assert_same(trainer: Trainer, expected: Trainer) -> None:
    for name, parameter in expected.parameters.items():
        assert torch.equal(trainer.parameters[name], parameter)
        assert torch.equal(trainer.ema.averages[name], expected.ema.averages[name])


def test_the_last_and_the_best_are_kept(tmp_path: Path) -> None:
    settings = {"num_steps": 12, "checkpoint_every": 2, "validate_every": 2, "keep_checkpoints": 2}
    train(tmp_path, MeasuredStage(0.5, 0.2, 0.3, float("nan"), 0.2, 0.4), **settings)
    assert steps(tmp_path) == [4, 10, 12]
    best = json.loads((tmp_path / "checkpoints" / "best.json").read_text())
    assert best == {"step": 4, "measure": "validation_loss", "value": 0.2}
    assert Checkpoints(tmp_path, keep=1).best() == (tmp_path / "checkpoints" / "step-00000004.safetensors", 0.2)


def test_of_recalls_the_highest_is_the_best(tmp_path: Path) -> None:
    settings = {"checkpoint_every": 2, "validate_every": 2, "keep_checkpoints": 1}
    stage = MeasuredStage(0.6, 0.9, float("nan"), 0.8, measure="recall")
    train(tmp_path, stage, num_steps=8, **settings)
    assert Checkpoints(tmp_path, keep=1).best() == (tmp_path / "checkpoints" / "step-00000004.safetensors", 0.9)


def test_a_best_that_another_measure_chose_is_not_compared(tmp_path: Path) -> None:
    """Runs from before the router's recall chose: a loss of 0.1 is no recall of 0.1."""
    settings = {"checkpoint_every": 2, "validate_every": 2, "keep_checkpoints": 1}
    train(tmp_path, MeasuredStage(0.1), num_steps=2, **settings)
    train(tmp_path, MeasuredStage(0.7, 0.6, measure="recall"), num_steps=6, resume=True, **settings)
    noted = json.loads((tmp_path / "checkpoints" / "best.json").read_text())
    assert noted == {"step": 4, "measure": "recall", "value": 0.7}


def test_what_is_no_number_is_never_the_best(tmp_path: Path) -> None:
    settings = {"num_steps": 4, "checkpoint_every": 2, "validate_every": 2}
    train(tmp_path, MeasuredStage(float("nan"), 7.0), **settings)
    assert json.loads((tmp_path / "checkpoints" / "best.json").read_text())["step"] == 4


def test_a_checkpoint_that_was_cut_off_before_it_was_noted_is_noted_when_the_run_goes_on(tmp_path: Path) -> None:
    settings = {"checkpoint_every": 2, "validate_every": 2, "keep_checkpoints": 1}
    train(tmp_path, MeasuredStage(0.5, 0.4), num_steps=4, **settings)
    (tmp_path / "checkpoints" / "best.json").unlink()
    train(tmp_path, MeasuredStage(0.6, 0.7), num_steps=6, resume=True, **settings)
    assert steps(tmp_path) == [4, 6]


@pytest.mark.parametrize("damage", ["cut off", "empty", "another byte", "not safetensors"])
def test_a_damaged_checkpoint_is_named_and_an_older_one_serves(tmp_path: Path, damage: str) -> None:
    whole = train(tmp_path / "whole", LineStage(), num_steps=20)
    train(tmp_path / "run", LineStage(), num_steps=20)
    path = newest(tmp_path / "run")
    content = path.read_bytes()
    damaged = {
        "cut off": content[: len(content) // 2],
        "empty": b"",
        "another byte": content[:-5] + bytes([content[-5] ^ 1]) + content[-4:],
        "not safetensors": b"something else altogether",
    }
    path.write_bytes(damaged[damage])
    with pytest.raises(UserInputError, match=rf"{path} is damaged \(.*\); delete it and resume again\.$"):
        train(tmp_path / "run", LineStage(), num_steps=20, resume=True)
    path.unlink()
    assert_same(train(tmp_path / "run", LineStage(), num_steps=20, resume=True), whole)


@pytest.mark.parametrize("setting", [{"seed": 3}, {"optimizer": "muon"}])
def test_a_run_goes_on_with_the_seed_and_optimiser_that_it_had(tmp_path: Path, setting: dict[str, object]) -> None:
    train(tmp_path, LineStage())
    ((name, value),) = setting.items()
    with pytest.raises(UserInputError, match=f"trained with {name}=.*, not {value}; set trainer.{name}="):
        train(tmp_path, LineStage(), resume=True, **setting)


@contextlib.contextmanager
def limited_file_size(num_bytes: int) -> Iterator[None]:
    """No file of this process can grow beyond it: a write fails in its middle, as on a disk that fills up."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_checkpoint_that_cannot_be_written_leaves_the_older_ones(tmp_path: Path) -> None:
    settings = {"num_steps": 20, "schedule": "constant"}
    whole = train(tmp_path / "whole", LineStage(), **settings)
    train(tmp_path / "run", LineStage(), **settings | {"num_steps": 10})
    before = {path: path.read_bytes() for path in Checkpoints(tmp_path / "run", keep=1).paths()}
    with (
        limited_file_size(newest(tmp_path / "run").stat().st_size - 100),
        pytest.raises(OutputError, match=r"step-00000015\.safetensors could not be written \(.*File too large"),
    ):
        train(tmp_path / "run", LineStage(), resume=True, **settings)
    assert {path: path.read_bytes() for path in (tmp_path / "run" / "checkpoints").iterdir()} == before
    assert_same(train(tmp_path / "run", LineStage(), resume=True, **settings), whole)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 256 KB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no disk can be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_stops_the_run_and_leaves_the_older_checkpoints(small_disk: Path, tmp_path: Path) -> None:
    settings = {"num_steps": 20, "schedule": "constant"}
    whole = train(tmp_path / "whole", LineStage(), **settings)
    train(small_disk / "run", LineStage(), **settings | {"num_steps": 10})
    before = {path: path.read_bytes() for path in Checkpoints(small_disk / "run", keep=1).paths()}
    filler = small_disk / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    with pytest.raises(OutputError, match=r"The disk of .* is full, so .* was not written; free some space"):
        train(small_disk / "run", LineStage(), resume=True, **settings)
    assert {path: path.read_bytes() for path in (small_disk / "run" / "checkpoints").iterdir()} == before
    filler.unlink()
    assert_same(train(small_disk / "run", LineStage(), resume=True, **settings), whole)
