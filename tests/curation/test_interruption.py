"""Whatever is killed, and whenever: the data set is the same, row for row."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ingredients.core.errors import UserInputError
from ingredients.curation.workers import WorkerCrashedError, do_all
from tests.curation.films import SETTINGS, shot, write_film
from tests.curation.killed_work import die_always, die_once
from tests.curation.test_engine import run

TABLES = ("metadata.jsonl", "clips.jsonl", "sources.jsonl", "provenance.jsonl")


def nothing(step: str, amount: float) -> None:
    """Nobody is told."""


def contents(folder: Path) -> dict[str, bytes]:
    """The whole data set."""
    names = [*TABLES, *sorted(str(path.relative_to(folder)) for path in (folder / "videos").iterdir())]
    return {name: (folder / name).read_bytes() for name in names}


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three short films."""
    folder = tmp_path_factory.mktemp("films")
    for number in range(3):
        write_film(folder / f"{number}.mp4", [shot(2 * number), shot(2 * number + 1, 55)])
    return folder


def test_a_killed_worker_costs_its_task_alone(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("a", "b", "c")]
    for folder in folders:
        folder.mkdir()
    outcomes = dict(do_all(die_once, folders, num_workers=2, on_done=nothing))
    assert outcomes == {0: "a", 1: "b", 2: "c"}


def test_a_task_that_always_kills_is_given_up_and_errors_come_back(tmp_path: Path) -> None:
    outcomes = dict(
        do_all(die_always, [tmp_path / name for name in ("a", "bad", "wrong")], num_workers=2, on_done=nothing)
    )
    assert outcomes[0] == "a"
    assert isinstance(outcomes[1], WorkerCrashedError)
    assert isinstance(outcomes[2], UserInputError)


def test_the_store_may_be_torn_at_any_byte(films: Path, undisturbed: Path, tmp_path: Path) -> None:
    run(films, tmp_path)
    journals = sorted((tmp_path / ".curation").rglob("results.jsonl"))
    whole = journals[0].read_bytes()
    randomly = random.Random(5)
    for length in [0, 1, len(whole) - 1, *(randomly.randrange(len(whole)) for _ in range(2))]:
        journals[0].write_bytes(whole[:length])
        run(films, tmp_path)
        assert contents(tmp_path) == contents(undisturbed)
        assert journals[0].read_bytes().count(b"\n") == whole.count(b"\n")


def test_processes_make_the_same_as_none(films: Path, undisturbed: Path, tmp_path: Path) -> None:
    run(films, tmp_path, num_workers=2)
    assert contents(tmp_path) == contents(undisturbed)


@pytest.mark.slow
def test_a_killed_command_goes_on(films: Path, undisturbed: Path, tmp_path: Path) -> None:
    output, randomly = tmp_path / "clips", random.Random(3)
    command = [sys.executable, "-m", "ingredients", "curate", str(films), "--output", str(output)]
    command += ["--workers", "2", *SETTINGS]
    for _ in range(20):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(randomly.uniform(0.5, 9))
        process.send_signal(signal.SIGKILL)
        process.wait()
    subprocess.run(command, check=True, capture_output=True)
    assert contents(output) == contents(undisturbed)
