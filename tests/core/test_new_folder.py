import contextlib
import errno
from pathlib import Path

import pytest

from ingredients.core.errors import OutputError
from ingredients.core.new_folder import new_folder


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
    for path, complaint in ((full, "holds something already"), (file, "is a file"), (file / "below", "cannot be")):
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
