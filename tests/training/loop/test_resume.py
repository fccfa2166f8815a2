"""A run that is killed and resumed ends bit for bit where it would have ended in peace."""

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from ingredients.core.training_log import METRICS_NAME
from tests.training.conftest import TinyWorld
from tests.training.loop.killed_worker import MOMENTS
from tests.training.scenarios import TIMES, read_log, run_python


def train_and_kill(
    world: TinyWorld, folder: Path, scenario: str, *, num_steps: int, num_rounds: int, seed: int
) -> None:
    """Trains `in peace` and, `killed` and resumed, again; every kind of moment comes up in each round."""
    numbers = map(str, (num_steps, num_rounds, seed))
    worker = ("-m", "tests.training.loop.killed_worker", str(world.folder), str(folder), scenario)
    said = run_python(*worker, *numbers).splitlines()
    assert said[-1] == "done"
    assert said[-2] == "killed while it is exported"
    assert {f"killed {moment}" for moment in MOMENTS} <= set(said)
    killed, peace = folder / "killed", folder / "in peace"
    assert_same_files(killed / "checkpoints", peace / "checkpoints")
    assert_same_files(killed / "transformer", peace / "transformer")
    assert read_log(killed) == read_log(peace)
    metrics = [json.loads((run / METRICS_NAME).read_text()) for run in (killed, peace)]
    assert metrics[0] | {"minutes": 0} == metrics[1] | {"minutes": 0}
    assert {path.name for path in killed.iterdir()} == {path.name for path in peace.iterdir()}


def assert_same_files(folder: Path, expected: Path) -> None:
    """The same names, with the same tensors and, apart from times, metadata."""
    assert {path.name for path in folder.iterdir()} == {path.name for path in expected.iterdir()}
    for path in expected.iterdir():
        if path.suffix != ".safetensors":
            assert (folder / path.name).read_bytes() == path.read_bytes()
            continue
        tensors, expected_tensors = load_file(folder / path.name), load_file(path)
        assert tensors.keys() == expected_tensors.keys()
        assert all(torch.equal(tensor, expected_tensors[name]) for name, tensor in tensors.items())
        assert read_position(folder / path.name) == read_position(path)


def read_position(path: Path) -> dict[str, object]:
    with safe_open(path, framework="pt") as file:
        position = json.loads((file.metadata() or {}).get("position", "{}"))
    return {name: value for name, value in position.items() if name not in TIMES}


@pytest.mark.parametrize("scenario", ["align by Muon, images first", "route"])
def test_a_run_that_is_killed_and_resumed_equals_one_in_peace(
    tiny_world: TinyWorld, tmp_path: Path, scenario: str
) -> None:
    train_and_kill(tiny_world, tmp_path, scenario, num_steps=16, num_rounds=1, seed=0)


@pytest.mark.slow
@pytest.mark.parametrize(("scenario", "seed"), [("align", 1), ("align in bfloat16", 2), ("route", 3)])
def test_a_run_that_is_killed_at_every_turn_equals_one_in_peace(
    tiny_world: TinyWorld, tmp_path: Path, scenario: str, seed: int
) -> None:
    train_and_kill(tiny_world, tmp_path, scenario, num_steps=48, num_rounds=3, seed=seed)
