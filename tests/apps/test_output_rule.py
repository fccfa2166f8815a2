"""What is never destroyed: files and folders that were there before a command."""

import contextlib
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingredients.core.output_folders import MARKER_NAME, claim_folder, claimed_folder
from ingredients.data.clip_folder import read_clip_folder
from ingredients.data.world_folder import write_world_folder
from tests.apps.conftest import Run

SMALL = ["--height", "48", "--width", "72", "--num-frames", "3"]

FOLDER_COMMANDS = {
    "world clips": ["world", "clips", "--number", "1", *SMALL, "--output", "OUTPUT"],
    "data pack": ["data", "pack", "clips", "--output", "OUTPUT"],
    "data encode": ["data", "encode", "clips", "--output", "OUTPUT"],
    "benchmark write": ["benchmark", "write", "OUTPUT"],
    "benchmark run": ["benchmark", "run", "clips", "--output", "OUTPUT"],
    "evaluate": ["evaluate", "--cases", "1", "--output", "OUTPUT"],
    "evaluate --videos": ["evaluate", "--videos", "clips", "--output", "OUTPUT"],
    "reproduce": ["reproduce", "table3", "--folder", "OUTPUT"],
    "reproduce --output": ["reproduce", "table3", "--output", "OUTPUT"],
    "train export": ["train", "export", "clips", "--output", "OUTPUT"],
}
FILE_COMMANDS = {
    "portrait": ["world", "portrait", "--size", "32", "--output", "FILE.png"],
    "scene": ["world", "scene", *SMALL, "--output", "FILE.mp4"],
    "masks": ["world", "scene", *SMALL, "--output", "new.mp4", "--masks", "FILE.png"],
    "data show": ["data", "show", "clips", "--output", "FILE.png"],
}


def contents(folder: Path) -> dict[str, bytes | None]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


@pytest.fixture
def clips(run: Run) -> Path:
    folder = Path.cwd() / "clips"
    write_world_folder(folder, [0], height=48, width=72, num_frames=3, num_references=1)
    return folder


@pytest.mark.parametrize("name", FOLDER_COMMANDS)
def test_a_folder_of_somebody_else_is_left_alone(run: Run, clips: Path, name: str) -> None:
    theirs = Path("theirs")
    theirs.mkdir()
    for file in ("result.json", "manifest.jsonl", "metadata.jsonl", "config.yaml", ".notes.20240131.txt", "a.tar"):
        (theirs / file).write_text("precious")
    (theirs / "benchmark.json").write_text(json.dumps({"name": "mine", "version": "1"}))
    before = contents(Path.cwd())
    result = run(*[part.replace("OUTPUT", "theirs") for part in FOLDER_COMMANDS[name]])
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    if name != "train export":  # of whose inputs is spoken first
        assert "The folder theirs holds something already" in result.stderr
    assert contents(Path.cwd()) == before


@pytest.mark.parametrize("name", FOLDER_COMMANDS)
@pytest.mark.parametrize("place", ["clips", "clips/metadata.jsonl", "clips/metadata.jsonl/below", "a" * 256])
def test_an_input_or_a_file_is_no_output_folder(run: Run, clips: Path, name: str, place: str) -> None:
    if name == "world clips" and place == "clips":
        pytest.skip("it goes on there")
    before = contents(Path.cwd())
    result = run(*[part.replace("OUTPUT", place) for part in FOLDER_COMMANDS[name]])
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    assert contents(Path.cwd()) == before


@pytest.mark.parametrize("name", FILE_COMMANDS)
def test_a_file_is_replaced_only_on_demand(run: Run, clips: Path, name: str) -> None:
    line = [part.replace("FILE", "mine") for part in FILE_COMMANDS[name]]
    output = Path(next(part for part in line if part.startswith("mine")))
    output.write_text("precious")
    before = contents(Path.cwd())
    result = run(*line)
    assert result.exit_code == 2
    assert f"The output {output} is there already; choose another name, or add --overwrite" in result.stderr
    assert contents(Path.cwd()) == before
    assert run(*line, "--overwrite").exit_code == 0
    assert output.stat().st_size > 100


def test_work_that_cannot_begin_leaves_no_folder(tmp_path: Path) -> None:
    @contextlib.contextmanager
    def failing() -> Iterator[None]:
        with contextlib.suppress(ZeroDivisionError):
            yield

    with failing(), claimed_folder(tmp_path / "new", "an evaluation"):
        raise ZeroDivisionError
    assert not any(tmp_path.iterdir())
    claim_folder(tmp_path / "old", "an evaluation")
    with failing(), claimed_folder(tmp_path / "old", "an evaluation"):
        raise ZeroDivisionError
    assert (tmp_path / "old" / MARKER_NAME).exists()


def test_two_that_draw_into_one_folder_lose_nothing(tmp_path: Path) -> None:
    said = []

    def draw(first_seed: int) -> None:
        try:
            write_world_folder(
                tmp_path / "clips", range(first_seed, first_seed + 3), height=48, width=72, num_frames=3
            )
        except Exception as error:
            said.append(str(error))

    threads = [threading.Thread(target=draw, args=(seed,)) for seed in (0, 10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    records = read_clip_folder(tmp_path / "clips")
    assert len(records) == (3 if said else 6)  # the second was refused, or came when the first was done
    assert all("Another process is writing into the folder" in each for each in said)
