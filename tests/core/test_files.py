import errno
from pathlib import Path

import pytest

from ingredients.core.errors import OutputError
from ingredients.core.files import append_line, atomic_folder, atomic_path, remove_leftovers


def test_the_file_appears_when_it_is_complete(tmp_path: Path) -> None:
    target = tmp_path / "clip.mp4"
    with atomic_path(target) as temporary:
        assert temporary.parent == tmp_path
        assert temporary.suffix == ".mp4"
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
    kept = {".hidden", ".hidden.yaml", "step-1.safetensors", ".12345678"}
    for name in kept | {".step-1.0a1b2c3d.safetensors", ".transformer.00000000", ".tmpaB1cD2"}:
        (tmp_path / name).touch()
    (tmp_path / ".exported.ffffffff").mkdir()
    remove_leftovers(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == kept
