"""Videos of object storage come to the disk once."""

from pathlib import Path

import fsspec
import pytest

from ingredients.core.errors import UserInputError
from ingredients.curation.fetch import fetch


@pytest.fixture
def bucket() -> str:
    """An address with two videos, what is said of one, and something else."""
    storage = fsspec.filesystem("memory")
    for name, content in {
        "a.mp4": b"one", "a.json": b"{}", "more/b.mkv": b"three", "more/notes.txt": b"no", "other.json": b"[]",
    }.items():  # fmt: skip
        storage.pipe(f"/bucket/{name}", content)
    return "memory://bucket"


def test_videos_and_what_is_said_of_them_are_copied_and_not_again(bucket: str, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    files = fetch(bucket, tmp_path, progress=lambda done, total: told.append((done, total)))
    assert [str(path.relative_to(tmp_path)) for path in files] == ["a.json", "a.mp4", "more/b.mkv"]
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == {"a.json", "a.mp4", "b.mkv"}
    assert (tmp_path / "more/b.mkv").read_bytes() == b"three"
    assert told == [(1, 3), (2, 3), (3, 3)]
    (tmp_path / "a.mp4").write_bytes(b"two")  # as long as it was
    (tmp_path / "more/b.mkv").write_bytes(b"th")  # cut off
    fetch(bucket, tmp_path)
    assert (tmp_path / "a.mp4").read_bytes() == b"two"
    assert (tmp_path / "more/b.mkv").read_bytes() == b"three"


def test_a_single_file_of_a_disk(tmp_path: Path) -> None:
    (tmp_path / "film").write_bytes(b"frames")
    [path] = fetch(f"file://{tmp_path}/film", tmp_path / "here")
    assert path == tmp_path / "here" / "film"
    assert path.read_bytes() == b"frames"


@pytest.mark.parametrize("url", ["memory://nowhere", "nothing://bucket", "file:///nowhere/at/all"])
def test_what_is_not_there_is_named(url: str, tmp_path: Path) -> None:
    with pytest.raises(UserInputError, match=url.replace("/", "/")):
        fetch(url, tmp_path)
