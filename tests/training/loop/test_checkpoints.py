"""Checkpoints: which are kept, what a damaged one says, and a disk that fills up."""

import contextlib
import dataclasses
import json
import os
import resource
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from ingredients.core.errors import OutputError, UserInputError
from ingredients.training.loop.checkpoints import Checkpoints, _checksum, read_checkpoint
from ingredients.training.loop.trainer import Trainer
from tests.training.loop.test_trainer import LineStage, config


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


@pytest.mark.usefixtures("no_waiting")
def test_checkpoints_are_no_pipes(tmp_path: Path) -> None:
    train(tmp_path, LineStage(), num_steps=4)
    path, best = newest(tmp_path), tmp_path / "checkpoints" / "best.json"
    for each in (path, best):
        each.unlink(missing_ok=True)
        os.mkfifo(each)
    with pytest.raises(UserInputError, match=r"is damaged .*it is a pipe or a device"):
        read_checkpoint(path)
    assert Checkpoints(tmp_path, keep=1).best() is None


def rewrite(path: Path, *, metadata: Mapping[str, str] | None = None, **tensors: torch.Tensor) -> None:
    """A checkpoint with other contents, as its writer would have written them."""
    with safe_open(path, framework="pt") as file:
        before = file.metadata()
        there = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - safe_open is no mapping
    save_file(there | tensors, path, metadata=before | (metadata or {}))


def test_the_position_of_a_checkpoint_is_under_its_checksum(tmp_path: Path) -> None:
    """Each digit of it, and what stands there instead."""
    train(tmp_path, LineStage(), num_steps=20)
    path = newest(tmp_path)
    with safe_open(path, framework="pt") as file:
        position = file.metadata()["position"]
    content = path.read_bytes()
    places = [place for place, letter in enumerate(position) if letter.isdigit()]
    changed = [position[:place] + str(9 - int(position[place])) + position[place + 1 :] for place in places]
    changed += ["{}", "", "[" * 5000, position.replace('"step": 20', '"step": 0'), position.replace("{", '{"a": 1, ')]
    for text in changed:
        path.write_bytes(content)
        rewrite(path, metadata={"position": text})
        with pytest.raises(UserInputError, match=rf"{path} is damaged \(its checksum does not match\); delete it"):
            read_checkpoint(path)
    path.write_bytes(content)
    assert read_checkpoint(path).position.step == 20


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{}", "it is of step 0"),
        ('{"step": 20, "seconds": NaN}', "its position cannot be read: it holds NaN"),
        ('{"step": 20, "seconds": -1}', "seconds must be at least 0, not -1.0"),
        ('{"step": "20"}', "step must be of type int, not '20'"),
        ('{"step": 20, "sums": {"loss": [1]}}', "sums.loss must be of type tuple[float, float]"),
        ('{"step": 20, "recent_losses": [1e999]}', "1e999 is too large"),
        ('{"step": 20, "else": 3}', "no setting 'else'"),
        ("[20]", "its position cannot be read"),
        ("{", "its position cannot be read"),
        ("[" * 100_000, "its position cannot be read"),
    ],
)
def test_a_checkpoint_of_an_earlier_version_is_read_as_strictly(tmp_path: Path, text: str, problem: str) -> None:
    """Its checksum is of the tensors alone."""
    whole = train(tmp_path, LineStage(), num_steps=20)
    path = newest(tmp_path)
    tensors = read_checkpoint(path).tensors
    older = {"format": "ingredients-training-checkpoint-3", "checksum": _checksum(tensors, "")}
    rewrite(path, metadata=older)
    assert_same(train(tmp_path, LineStage(), num_steps=20, resume=True), whole)
    rewrite(path, metadata=older | {"position": text})
    with pytest.raises(UserInputError, match=rf"{path} is damaged") as raised:
        train(tmp_path, LineStage(), num_steps=20, resume=True)
    assert problem in str(raised.value)


@pytest.mark.parametrize("kind", ["parameters/", "averages/", "optimizer/0/"])
def test_a_checkpoint_with_what_is_no_number_is_refused(tmp_path: Path, kind: str) -> None:
    train(tmp_path, LineStage(), num_steps=20)
    path = newest(tmp_path)
    checkpoint = read_checkpoint(path)
    names = [name for name in checkpoint.tensors if name.startswith(kind)]
    name = max(names, key=lambda each: checkpoint.tensors[each].numel())
    broken = checkpoint.tensors[name].clone()
    broken.view(-1)[1] = torch.nan
    position = json.dumps(dataclasses.asdict(checkpoint.position))
    checksum = _checksum({**checkpoint.tensors, name: broken}, position)
    rewrite(path, metadata={"checksum": checksum, "position": position}, **{name: broken})
    with pytest.raises(UserInputError, match=rf"{path} is damaged \({name} holds what is no number\)"):
        train(tmp_path, LineStage(), num_steps=20, resume=True)


def test_a_checkpoint_under_another_name_and_other_files_beside_it(tmp_path: Path) -> None:
    train(tmp_path, LineStage(), num_steps=20)
    path = newest(tmp_path)
    (path.parent / "step-of-mine.safetensors").write_text("notes")
    assert newest(tmp_path) == path
    path = path.rename(path.with_name("step-00000021.safetensors"))
    with pytest.raises(UserInputError, match=r"step-00000021.* is damaged \(it is of step 20\)"):
        train(tmp_path, LineStage(), num_steps=20, resume=True)


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
