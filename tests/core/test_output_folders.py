import contextlib
import errno
import json
from pathlib import Path

import pytest

from ingredients.core.errors import OutputError
from ingredients.core.files import atomic_path
from ingredients.core.output_folders import (
    MARKER_NAME,
    check_output_folder,
    claim_folder,
    claimed_folder,
    new_folder,
)


def test_a_folder_is_whole_or_not_there(tmp_path: Path) -> None:
    output = tmp_path / "above" / "out"
    with new_folder(output) as folder:
        (folder / "inner").mkdir()
        (folder / "inner/file").write_text("content")
        assert not output.exists()
    assert (output / "inner/file").read_text() == "content"
    assert [path.name for path in output.parent.iterdir()] == ["out"]
    with contextlib.suppress(ZeroDivisionError), new_folder(tmp_path / "failed") as folder:
        (folder / "file").write_text("half")
        raise ZeroDivisionError
    assert sorted(path.name for path in tmp_path.iterdir()) == ["above"]


def test_an_empty_folder_is_filled_and_any_other_is_left_alone(tmp_path: Path) -> None:
    empty, full, file = tmp_path / "empty", tmp_path / "full", tmp_path / "file"
    empty.mkdir()
    with new_folder(empty) as folder:
        (folder / "file").write_text("content")
    assert (empty / "file").exists()
    full.mkdir()
    (full / "mine").write_text("precious")
    file.write_text("precious")
    for path, complaint in (
        (full, "holds something already"),
        (file, "is a file"),
        (file / "below", "would lie below"),
    ):
        with pytest.raises(OutputError, match=complaint), new_folder(path):
            raise AssertionError("the work has begun")
    assert (full / "mine").read_text() == file.read_text() == "precious"


def test_what_is_put_there_meanwhile_is_left_alone(tmp_path: Path) -> None:
    output = tmp_path / "out"

    def write_beside_another() -> None:
        with new_folder(output) as folder:
            (folder / "file").write_text("ours")
            output.mkdir()
            (output / "file").write_text("theirs")

    with pytest.raises(OutputError, match="holds something already"):
        write_beside_another()
    assert (output / "file").read_text() == "theirs"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_full_disk_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"The disk of .* is full"), new_folder(tmp_path / "out"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert not any(tmp_path.iterdir())


def test_a_folder_is_ours_if_it_was_new_or_empty(tmp_path: Path) -> None:
    new, empty = tmp_path / "above" / "new", tmp_path / "empty"
    empty.mkdir()
    for folder in (new, empty):
        check_output_folder(folder, "an evaluation")
        assert not (folder / MARKER_NAME).exists()
        claim_folder(folder, "an evaluation")
        (folder / "result.json").write_text("{}")
        claim_folder(folder, "an evaluation")
        check_output_folder(folder, "an evaluation")
        with pytest.raises(OutputError, match="holds an evaluation, not a training run"):
            claim_folder(folder, "a training run")


@pytest.mark.parametrize("name", ["report.md", ".hidden", MARKER_NAME, ".notes.20240131.txt"])
def test_a_folder_of_somebody_else_is_refused(tmp_path: Path, name: str) -> None:
    for content in ("precious", '{"made_by": "somebody", "holds": "an evaluation"}', "[]"):
        (tmp_path / name).write_text(content)
        with pytest.raises(OutputError, match="holds something already"):
            claim_folder(tmp_path, "an evaluation")
        assert [path.name for path in tmp_path.iterdir()] == [name]
        assert (tmp_path / name).read_text() == content


def test_what_a_mark_says_is_no_command_to_a_terminal(tmp_path: Path) -> None:
    (tmp_path / MARKER_NAME).write_text('{"made_by": "ingredients", "holds": "\\u001b[31mred"}')
    with pytest.raises(OutputError) as caught:
        claim_folder(tmp_path, "an evaluation")
    assert str(caught.value) == f"The folder {tmp_path} holds \\x1b[31mred, not an evaluation; name another one."


def test_a_folder_that_is_being_claimed_is_free(tmp_path: Path) -> None:
    with atomic_path(tmp_path / MARKER_NAME) as temporary:
        temporary.write_text(json.dumps({"made_by": "ingredients", "holds": "encoded clips"}))
        check_output_folder(tmp_path, "encoded clips")
    claim_folder(tmp_path, "encoded clips")


def test_names_that_no_folder_can_have(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("precious")
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    for path, complaint in (
        (tmp_path / "file", "is a file"),
        (tmp_path / "file" / "below" / "it", "would lie below .*file, which is no folder"),
        (tmp_path / "circle", "link that leads in a circle"),
        (tmp_path / ("a" * 256), "too long"),
        (tmp_path / "a\0", "zero byte"),
    ):
        with pytest.raises(OutputError, match=complaint):
            claim_folder(path, "an evaluation")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["circle", "file"]


def test_a_link_to_a_folder_is_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "target")
    (tmp_path / "target").mkdir()
    claim_folder(tmp_path / "link", "an evaluation")
    assert (tmp_path / "target" / MARKER_NAME).exists()
    (tmp_path / "exported").symlink_to(tmp_path / "new")
    with new_folder(tmp_path / "exported") as folder:
        (folder / "file").touch()
    assert (tmp_path / "new" / "file").exists()
    assert (tmp_path / "exported").is_symlink()


def test_one_process_at_a_time(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    with claimed_folder(folder, "a data set of clips"):
        with (
            pytest.raises(OutputError, match=r"Another process is writing into the folder .*out; wait"),
            claimed_folder(folder, "a data set of clips"),
        ):
            raise AssertionError("both have it")
        claim_folder(folder, "a data set of clips")  # without a lock, as many as like
    with claimed_folder(folder, "a data set of clips"):
        pass
