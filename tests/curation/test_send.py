"""A curated data set goes into object storage, whole or found to be unfinished."""

import hashlib
import json
from pathlib import Path
from typing import Any

import fsspec
import pytest

from ingredients.core.errors import OutputError, UserInputError
from ingredients.core.output_folders import mark_folder
from ingredients.curation.send import send

MARKER = ".ingredients.json"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A curated data set of two clips, one of them held out."""
    folder = tmp_path / "clips"
    for name, content in {
        "videos/a.mp4": b"frames", "held-out/videos/b.mp4": b"more", "held-out/metadata.jsonl": b"{}",
        "metadata.jsonl": b"{}", "zebra.jsonl": b"", ".curation/store": b"no", ".ingredients.lock": b"",
    }.items():  # fmt: skip
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    mark_folder(folder, "a curated data set")
    return folder


@pytest.fixture
def storage() -> Any:
    """A storage in memory, with nothing at the address."""
    storage = fsspec.filesystem("memory")
    if storage.exists("/sent"):
        storage.rm("/sent", recursive=True)
    return storage


def test_all_but_the_store_is_sent_with_the_table_last_and_not_again(folder: Path, storage: Any) -> None:
    told: list[tuple[int, int]] = []
    assert send(folder, "memory://sent/here", progress=lambda done, total: told.append((done, total))) == 6
    found = storage.find("/sent/here", detail=True)
    names = [name.removeprefix("/sent/here/") for name in sorted(found, key=lambda name: found[name]["created"])]
    assert names == [
        MARKER, "held-out/videos/b.mp4", "videos/a.mp4", "zebra.jsonl", "held-out/metadata.jsonl", "metadata.jsonl",
    ]  # fmt: skip
    assert storage.cat("/sent/here/videos/a.mp4") == b"frames"
    assert told == [(number, 5) for number in range(6)]

    assert send(folder, "memory://sent/here/") == 0

    (folder / "videos/a.mp4").write_bytes(b"FRAMES")  # as long as it was
    (folder / "held-out/videos/b.mp4").write_bytes(b"shorter")
    (folder / "metadata.jsonl").write_bytes(b"{}")  # written anew, and the same
    storage.pipe("/sent/here/zebra.jsonl", b"somebody wrote here")
    assert send(folder, "memory://sent/here") == 3
    assert storage.cat("/sent/here/videos/a.mp4") == b"FRAMES"
    assert storage.cat("/sent/here/held-out/videos/b.mp4") == b"shorter"
    assert storage.cat("/sent/here/zebra.jsonl") == b""


def test_a_data_set_in_which_nothing_can_be_written_down_is_sent(folder: Path, storage: Any) -> None:
    (folder / ".curation/store").unlink()
    (folder / ".curation").rmdir()
    (folder / ".curation").write_bytes(b"in the way")
    assert send(folder, "memory://sent/here") == 6
    assert storage.cat("/sent/here/videos/a.mp4") == b"frames"
    assert send(folder, "memory://sent/here") == 6  # what is there cannot be known


def test_what_another_machine_sent_is_known_by_its_digest(
    folder: Path, storage: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(folder, "memory://sent/here")
    (folder / ".curation/sent.jsonl").unlink()
    plain = type(storage).find

    def with_digests(self: Any, path: str, *args: Any, **kwargs: Any) -> Any:
        found = plain(self, path, *args, **kwargs)
        for name in found if kwargs.get("detail") else ():
            found[name]["ETag"] = hashlib.md5(storage.cat(name)).hexdigest()
        return found

    monkeypatch.setattr(type(storage), "find", with_digests)
    (folder / "videos/a.mp4").write_bytes(b"FRAMES")
    assert send(folder, "memory://sent/here") == 1
    assert storage.cat("/sent/here/videos/a.mp4") == b"FRAMES"


def test_a_disk_is_a_storage_too(folder: Path, tmp_path: Path) -> None:
    send(folder, f"file://{tmp_path}/there")
    assert json.loads((tmp_path / "there" / MARKER).read_text())["holds"] == "a curated data set"
    assert (tmp_path / "there/held-out/videos/b.mp4").read_bytes() == b"more"


@pytest.mark.parametrize("inner", ["", "/copy"])
def test_a_data_set_is_not_sent_into_itself(folder: Path, inner: str) -> None:
    before = sorted(folder.rglob("*"))
    with pytest.raises(UserInputError, match=r"is within the data set .* itself"):
        send(folder, f"file://{folder}{inner}")
    assert sorted(folder.rglob("*")) == before


def test_what_is_somebody_elses_is_left_alone(folder: Path, storage: Any) -> None:
    storage.pipe("/sent/diary.txt", b"mine")
    with pytest.raises(UserInputError, match=r"memory://sent holds something already \(diary\.txt\)"):
        send(folder, "memory://sent")
    with pytest.raises(UserInputError, match=r"diary\.txt"):
        send(folder, "memory://sent/diary.txt")
    assert list(storage.find("/sent")) == ["/sent/diary.txt"]


def test_no_data_set_and_no_way_are_told_without_a_password(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserInputError, match="no finished data set"):
        send(tmp_path / "empty", "memory://sent")
    (tmp_path / "other").mkdir()
    mark_folder(tmp_path / "other", "raw films")
    with pytest.raises(OutputError, match="raw films"):
        send(tmp_path / "other", "memory://sent")
    with pytest.raises(UserInputError, match="nothing://bucket/clips") as caught:
        send(folder, "nothing://ana:secret@bucket/clips")
    assert "secret" not in str(caught.value)
