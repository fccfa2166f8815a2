import errno
import os
from pathlib import Path

import pytest

from ingredients.core.errors import OutputError
from ingredients.core.files import (
    append_line,
    atomic_folder,
    atomic_path,
    check_not_an_input,
    check_output_path,
    remove_leftovers,
)


def test_the_file_appears_when_it_is_complete(tmp_path: Path) -> None:
    target = tmp_path / "clip.mp4"
    with atomic_path(target) as temporary:
        assert temporary.parent.parent == tmp_path
        assert temporary.name == "clip.mp4"
        temporary.write_text("half")
        assert not target.exists()
    assert target.read_text() == "half"
    assert list(tmp_path.iterdir()) == [target]


def write_half(target: Path, interruption: type[BaseException]) -> None:
    with atomic_path(target) as temporary:
        temporary.write_text("half")
        raise interruption


@pytest.mark.parametrize("interruption", [ValueError, KeyboardInterrupt])
def test_an_interrupted_write_leaves_the_old_file(tmp_path: Path, interruption: type[BaseException]) -> None:
    target = tmp_path / "clip.mp4"
    target.write_text("old")
    with pytest.raises(interruption):
        write_half(target, interruption)
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "full"), RuntimeError("No space left on device (os error 28)")]
)
def test_a_full_disk_is_named(tmp_path: Path, error: Exception) -> None:
    with (
        pytest.raises(OutputError, match=r"is full, so clip\.mp4 was not written"),
        atomic_path(tmp_path / "clip.mp4"),
    ):
        raise error
    assert not list(tmp_path.iterdir())


def test_a_missing_folder_is_named_with_the_command_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=f"mkdir -p {tmp_path}/new"), atomic_path(tmp_path / "new" / "clip.mp4"):
        pass


def test_a_folder_is_not_a_file_name(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="is a folder"), atomic_path(tmp_path):
        pass


def test_a_folder_takes_the_place_of_another_at_once(tmp_path: Path) -> None:
    target = tmp_path / "transformer"
    for text in ("old", "new"):
        with atomic_folder(target) as temporary:
            (temporary / "weights").write_text(text)
        assert (target / "weights").read_text() == text
        assert list(tmp_path.iterdir()) == [target]
    with pytest.raises(OutputError, match="is full, so transformer was not written"):
        fill_folder(target)
    assert (target / "weights").read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]


def fill_folder(target: Path) -> None:
    with atomic_folder(target) as temporary:
        (temporary / "weights").write_text("half")
        raise OSError(errno.ENOSPC, "full")


def test_lines_are_added_to_a_file(tmp_path: Path) -> None:
    for line in ("one", "two"):
        append_line(tmp_path / "log.jsonl", line)
    assert (tmp_path / "log.jsonl").read_text() == "one\ntwo\n"
    with pytest.raises(OutputError, match=r"missing/log\.jsonl could not be written"):
        append_line(tmp_path / "missing" / "log.jsonl", "one")
    if Path("/dev/full").exists():
        (tmp_path / "full.jsonl").symlink_to("/dev/full")
        with pytest.raises(OutputError, match=r"is full, so full\.jsonl was not written"):
            append_line(tmp_path / "full.jsonl", "one")


def test_only_what_killed_writers_left_is_removed(tmp_path: Path) -> None:
    kept = {
        ".hidden",
        ".hidden.yaml",
        "step-1.safetensors",
        ".12345678",
        ".notes.20240131.txt",
        ".tmpaB1cD2",
        ".ingredients.json",
        ".ingredients-notes",
        f".ingredients-{'a' * 31}",
        f".ingredients-{'a' * 32}.txt",
    }
    for name in kept:
        (tmp_path / name).touch()
    left = tmp_path / f".ingredients-{'0a' * 16}"
    left.mkdir()
    (left / "step-1.safetensors").touch()
    precious = tmp_path / "step-1.safetensors"
    (tmp_path / f".ingredients-{'0b' * 16}").symlink_to(precious)
    remove_leftovers(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == kept


def test_what_a_killed_writer_leaves_is_removed(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "step-1.safetensors") as temporary:
        temporary.touch()
        (temporary.parent / ".tmpaB1cD2").touch()  # safetensors writes so, beside its target
        remove_leftovers(tmp_path)
        assert not any(tmp_path.iterdir())
        temporary.parent.mkdir()
        temporary.touch()
    assert [path.name for path in tmp_path.iterdir()] == ["step-1.safetensors"]


def test_a_name_may_be_as_long_as_the_disk_takes(tmp_path: Path) -> None:
    for length in (250, 255):
        target = tmp_path / ("a" * (length - 4) + ".mp4")
        with atomic_path(target) as temporary:
            temporary.write_text("whole")
        assert target.read_text() == "whole"
    for name in ("a" * 252 + ".mp4", "ä" * 126 + ".mp4"):
        with pytest.raises(OutputError, match="too long: no part of a path may have more than 255 bytes"):
            check_output_path(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("a\0.mp4", "holds a zero byte"),
        ("a\ud800.mp4", "holds half a character"),
        ("file/b.mp4", "would lie below .*file, which is no folder"),
        ("file/b/c.mp4", "would lie below .*file, which is no folder"),
        ("circle.mp4", "link that leads in a circle"),
        ("dangling.mp4", "The folder .*nowhere of the output .* does not exist"),
        ("pipe.mp4", "a device or a pipe"),
        ("a b/c.mp4", r"mkdir -p '.*a b'"),
    ],
)
def test_names_that_no_output_can_have(tmp_path: Path, name: str, complaint: str) -> None:
    (tmp_path / "file").write_text("precious")
    (tmp_path / "circle.mp4").symlink_to(tmp_path / "circle.mp4")
    (tmp_path / "dangling.mp4").symlink_to(tmp_path / "nowhere" / "b.mp4")
    os.mkfifo(tmp_path / "pipe.mp4")
    before = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(OutputError, match=complaint), atomic_path(tmp_path / name):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == before


@pytest.mark.parametrize("is_there", [True, False])
def test_a_link_is_followed(tmp_path: Path, is_there: bool) -> None:
    elsewhere, link = tmp_path / "elsewhere", tmp_path / "link.mp4"
    elsewhere.mkdir()
    target = elsewhere / "target.mp4"
    if is_there:
        target.write_text("old")
    link.symlink_to(target)
    with atomic_path(link) as temporary:
        temporary.write_text("new")
    assert link.is_symlink()
    assert target.read_text() == "new"
    assert list(elsewhere.iterdir()) == [target]


def test_a_folder_that_is_a_link_is_replaced_and_what_it_leads_to_kept(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "precious").write_text("old")
    (tmp_path / "transformer").symlink_to(theirs)
    with atomic_folder(tmp_path / "transformer") as temporary:
        (temporary / "weights").write_text("new")
    assert (theirs / "precious").read_text() == "old"
    assert [path.name for path in (tmp_path / "transformer").iterdir()] == ["weights"]
    assert {path.name for path in tmp_path.iterdir()} == {"theirs", "transformer"}


def test_a_file_that_is_there_needs_a_word(tmp_path: Path) -> None:
    target = tmp_path / "clip.mp4"
    assert check_output_path(target, overwrite=False) == target
    target.write_text("old")
    assert check_output_path(target, overwrite=True) == target
    with pytest.raises(OutputError, match=r"clip\.mp4 is there already; choose another name, or add --overwrite"):
        check_output_path(target, overwrite=False)


def test_an_input_is_known_by_any_name(tmp_path: Path) -> None:
    photo, link, other = tmp_path / "photo.png", tmp_path / "link.png", tmp_path / "other.png"
    photo.touch()
    link.hardlink_to(photo)
    check_not_an_input(tmp_path / "new.png", [photo])
    check_not_an_input(link, [other])
    with pytest.raises(OutputError, match=r"link\.png is .*photo\.png, which is read"):
        check_not_an_input(link, [other, photo])
