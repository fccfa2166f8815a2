"""Videos of object storage come to the disk once."""

import base64
import hashlib
import io
from pathlib import Path
from typing import ClassVar

import fsspec
import pytest
from fsspec.registry import known_implementations
from fsspec.spec import AbstractFileSystem

from ingredients.core.errors import OutputError, UserInputError
from ingredients.core.output_folders import locked_folder
from ingredients.curation.fetch import fetch, look_up, with_copies
from ingredients.curation.sources import find_sources


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
    files = fetch(bucket, tmp_path, progress=lambda completed, total: told.append((completed, total)))
    assert [str(path.relative_to(tmp_path)) for path in files] == ["a.json", "a.mp4", "more/b.mkv"]
    names = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert names == {"a.json", "a.mp4", "b.mkv", ".copied.jsonl", ".ingredients.lock"}
    assert (tmp_path / "more/b.mkv").read_bytes() == b"three"
    assert told == [(1, 3), (2, 3), (3, 3)]
    before = {path: path.stat().st_mtime_ns for path in files}
    fetch(bucket, tmp_path)
    assert {path: path.stat().st_mtime_ns for path in files} == before


def test_what_changed_on_either_side_is_copied_again_though_it_is_as_long_as_it_was(
    bucket: str, tmp_path: Path
) -> None:
    fetch(bucket, tmp_path)
    (tmp_path / "a.mp4").write_bytes(b"two")
    fsspec.filesystem("memory").pipe("/bucket/more/b.mkv", b"THREE")
    fetch(bucket, tmp_path)
    assert (tmp_path / "a.mp4").read_bytes() == b"one"
    assert (tmp_path / "more/b.mkv").read_bytes() == b"THREE"
    with (tmp_path / ".copied.jsonl").open("a") as file:
        file.write('{"address": "memory://buck')  # killed in the middle of a line
    (tmp_path / "a.mp4").touch()
    before = (tmp_path / "a.mp4").stat().st_mtime_ns
    fetch(bucket, tmp_path)
    assert (tmp_path / "a.mp4").stat().st_mtime_ns == before


def test_a_single_file_of_a_disk(tmp_path: Path) -> None:
    (tmp_path / "film").write_bytes(b"frames")
    [path] = fetch(f"file://{tmp_path}/film", tmp_path / "here")
    assert path == tmp_path / "here" / "film"
    assert path.read_bytes() == b"frames"


@pytest.mark.parametrize("url", ["memory://nowhere", "nothing://bucket", "file:///nowhere/at/all"])
def test_what_is_not_there_is_named(url: str, tmp_path: Path) -> None:
    with pytest.raises(UserInputError, match=url.replace("/", "/")):
        fetch(url, tmp_path)


class AwkwardStorage(AbstractFileSystem):
    """A storage that says no sizes, and fails with an error that is not one of files."""

    protocol = "awkward"
    cachable = False

    def info(self, path: str, **kwargs: object) -> dict[str, object]:
        del kwargs
        return {"name": path, "type": "directory", "size": None}

    def find(self, path: str, **kwargs: object) -> dict[str, dict[str, object]]:
        del kwargs
        if "denied" in path:
            raise RuntimeError("403 for awkward://ana:secret@denied?signature=secret")
        root = path.rstrip("/")
        names = ["../out.mp4"] if "leads-out" in path else ["broken.mp4"] if "broken" in path else ["a.mp4"]
        return {f"{root}/{name}": {"size": None, "type": "file"} for name in names}

    def get_file(self, rpath: str, lpath: str, **kwargs: object) -> None:
        del kwargs
        Path(lpath).write_bytes(b"half")
        if "broken" in rpath:
            raise ConnectionResetError("the other side left")


class BrokenOff(io.BytesIO):
    """A file whose connection ends after some bytes."""

    bytes_left = 0
    """How many, over all files."""

    num_read = 0
    """How many came through."""

    def read(self, size: int | None = -1, /) -> bytes:
        if BrokenOff.bytes_left <= 0:
            raise ConnectionResetError("the other side left")
        found = super().read(min(size or -1, BrokenOff.bytes_left))
        BrokenOff.bytes_left -= len(found)
        BrokenOff.num_read += len(found)
        return found


class TaggedStorage(AbstractFileSystem):
    """A storage of one video, which says tags and digests as those of the large providers do."""

    protocol = "tagged"
    cachable = False
    content = b"0123456789"
    facts: ClassVar[dict[str, object]] = {"ETag": '"one"'}

    def info(self, path: str, **kwargs: object) -> dict[str, object]:
        del kwargs
        return {"name": path, "type": "file", "size": len(self.content), **self.facts}

    def _open(self, path: str, mode: str = "rb", **kwargs: object) -> BrokenOff:
        del path, mode, kwargs
        return BrokenOff(self.content)


@pytest.fixture
def tagged(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    fsspec.register_implementation("tagged", TaggedStorage, clobber=True)
    monkeypatch.setattr(BrokenOff, "bytes_left", 7)
    monkeypatch.setattr(BrokenOff, "num_read", 0)
    return monkeypatch


def test_a_copy_that_was_stopped_goes_on_within_the_file(tagged: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(UserInputError, match=r"cannot be copied \(the other side left\); run the command again"):
        fetch("tagged://film.mp4", tmp_path)
    assert not (tmp_path / "film.mp4").exists()
    tagged.setattr(BrokenOff, "bytes_left", 100)
    [path] = fetch("tagged://film.mp4", tmp_path)
    assert path.read_bytes() == b"0123456789"
    assert BrokenOff.num_read == 10
    assert {each.name for each in tmp_path.iterdir()} == {"film.mp4", ".copied.jsonl", ".ingredients.lock"}


def test_a_server_that_gives_files_as_a_whole_alone_is_asked_for_the_whole(
    tagged: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(UserInputError):
        fetch("tagged://film.mp4", tmp_path)

    def get_file(storage: TaggedStorage, rpath: str, lpath: str, **kwargs: object) -> None:
        del rpath, kwargs
        Path(lpath).write_bytes(storage.content)

    def cannot_seek(*args: object) -> int:
        raise ValueError("Cannot seek streaming HTTP file")

    tagged.setattr(TaggedStorage, "get_file", get_file)
    tagged.setattr(BrokenOff, "seek", cannot_seek)
    [path] = fetch("tagged://film.mp4", tmp_path)
    assert path.read_bytes() == b"0123456789"


def test_a_file_of_which_less_arrives_than_there_is_is_no_copy(tagged: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class EndsEarly(TaggedStorage):
        def _open(self, path: str, mode: str = "rb", **kwargs: object) -> BrokenOff:
            del path, mode, kwargs
            return BrokenOff(self.content[:4])

    tagged.setattr(BrokenOff, "bytes_left", 100)
    fsspec.register_implementation("tagged", EndsEarly, clobber=True)
    with pytest.raises(UserInputError, match=r"\(4 of 10 bytes arrived\)"):
        fetch("tagged://film.mp4", tmp_path)
    assert not (tmp_path / "film.mp4").exists()
    fsspec.register_implementation("tagged", TaggedStorage, clobber=True)
    [path] = fetch("tagged://film.mp4", tmp_path)
    assert path.read_bytes() == TaggedStorage.content


def test_a_storage_that_says_nothing_but_sizes_is_believed_by_these(
    tagged: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    copied: list[int] = []

    def get_file(storage: TaggedStorage, rpath: str, lpath: str, **kwargs: object) -> None:
        del rpath, kwargs
        copied.append(Path(lpath).write_bytes(storage.content))

    tagged.setattr(TaggedStorage, "get_file", get_file)
    tagged.setattr(TaggedStorage, "facts", {})
    for content in (b"0123456789", b"as long...", b"shorter"):
        tagged.setattr(TaggedStorage, "content", content)
        [path] = fetch("tagged://film.mp4", tmp_path)
    assert copied == [10, 7]
    assert path.read_bytes() == b"shorter"


def test_two_do_not_go_on_with_one_copy_at_once(tagged: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tagged.setattr(BrokenOff, "bytes_left", 100)
    with locked_folder(tmp_path), pytest.raises(OutputError, match="Another process is writing into the folder"):
        fetch("tagged://film.mp4", tmp_path)
    assert BrokenOff.num_read == 0
    assert len(fetch("tagged://film.mp4", tmp_path)) == 1


def test_a_file_that_changed_meanwhile_begins_anew(tagged: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(UserInputError):
        fetch("tagged://film.mp4", tmp_path)
    tagged.setattr(BrokenOff, "bytes_left", 100)
    tagged.setattr(TaggedStorage, "content", b"ABCDEFGHIJ")
    tagged.setattr(TaggedStorage, "facts", {"ETag": '"two"'})
    [path] = fetch("tagged://film.mp4", tmp_path)
    assert path.read_bytes() == b"ABCDEFGHIJ"
    assert {each.name for each in tmp_path.iterdir()} == {"film.mp4", ".copied.jsonl", ".ingredients.lock"}


def test_what_arrives_otherwise_than_its_digest_says_is_refused(tagged: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tagged.setattr(BrokenOff, "bytes_left", 100)
    tagged.setattr(TaggedStorage, "facts", {"md5Hash": base64.b64encode(hashlib.md5(b"another").digest()).decode()})
    with pytest.raises(UserInputError, match="what arrived is not what the storage says of it"):
        fetch("tagged://film.mp4", tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == [".ingredients.lock"]


@pytest.mark.parametrize("name", ["md5Hash", "ETag", "content_md5"])
def test_a_copy_that_nobody_wrote_down_is_known_by_its_digest(
    tagged: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    digest = hashlib.md5(TaggedStorage.content)
    said = {"ETag": f'"{digest.hexdigest()}"', "content_md5": bytearray(digest.digest())}
    tagged.setattr(TaggedStorage, "facts", {name: said.get(name, base64.b64encode(digest.digest()).decode())})
    (tmp_path / "film.mp4").write_bytes(TaggedStorage.content)
    fetch("tagged://film.mp4", tmp_path)
    assert BrokenOff.num_read == 0


@pytest.fixture
def awkward() -> None:
    fsspec.register_implementation("awkward", AwkwardStorage, clobber=True)


def test_a_file_system_that_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(known_implementations, "far", {"class": "farfs.FarFileSystem", "err": "Install farfs for it"})
    with pytest.raises(UserInputError, match=r"far://films cannot be read \(Install farfs for it\)"):
        fetch("far://films", tmp_path)


def test_addresses_are_sources_that_say_where_they_are_from(bucket: str, tmp_path: Path) -> None:
    (tmp_path / "own.mp4").write_bytes(b"own")
    (tmp_path / "list.csv").write_text(
        f"path,creator,address\n{bucket}/more/b.mkv,Ben,Main Street 1\nown.mp4,Ana,\n"  # a column of the own
    )
    sources = find_sources([f"{bucket}/", tmp_path / "list.csv"])
    stored = {each.address: look_up(each.address) for each in sources if each.address is not None}
    told: list[tuple[int, int]] = []
    copies = tmp_path / "copies"
    found = with_copies(sources, stored, copies, progress=lambda completed, total: told.append((completed, total)))
    assert [(source.path.name, source.copied_from, dict(source.provenance)) for source in found] == [
        ("a.mp4", "memory://bucket/a.mp4", {}),
        ("b.mkv", "memory://bucket/more/b.mkv", {}),
        ("b.mkv", "memory://bucket/more/b.mkv", {"creator": "Ben", "address": "Main Street 1"}),
        ("own.mp4", None, {"creator": "Ana"}),
    ]
    assert all(source.address is None and source.path.is_file() for source in found)
    assert told[-1] == (4, 4)
    before = {path: path.stat().st_mtime_ns for path in copies.rglob("*")}
    with_copies(sources, stored, copies)
    assert {path: path.stat().st_mtime_ns for path in copies.rglob("*")} == before


@pytest.mark.parametrize("name", ["films", "films/a.mp4"])
def test_copies_say_where_they_are_from_without_a_password(tmp_path: Path, name: str) -> None:
    fsspec.filesystem("memory").pipe("/ana:secret@hidden/films/a.mp4", b"first")
    sources = find_sources([f"memory://ana:secret@hidden/{name}"])
    stored = {str(each.address): look_up(str(each.address)) for each in sources}
    [copy] = with_copies(sources, stored, tmp_path)
    assert copy.path.read_bytes() == b"first"
    assert copy.copied_from == "memory://hidden/films/a.mp4"
    assert "secret" not in str(copy.path)


def test_a_signature_or_a_slash_that_changed_means_the_same_copy() -> None:
    one, other, elsewhere, folder, same_folder = (
        find_sources([f"https://example.org/{name}"])[0].path
        for name in ("film.mp4?key=1", "film.mp4?key=2", "b/film.mp4", "b", "b/")
    )
    assert one == other != elsewhere
    assert folder == same_folder


def test_a_file_of_unknown_size_is_copied(awkward: None, tmp_path: Path) -> None:
    [path] = fetch("awkward://films", tmp_path)
    assert path == tmp_path / "a.mp4"
    assert path.read_bytes() == b"half"


def test_a_connection_that_ends_is_no_fault_of_the_disk_and_leaves_nothing(awkward: None, tmp_path: Path) -> None:
    with pytest.raises(UserInputError, match="cannot be copied"):
        fetch("awkward://broken", tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == [".ingredients.lock"]


def test_no_name_leads_out_of_the_folder(awkward: None, tmp_path: Path) -> None:
    with pytest.raises(UserInputError, match="outside of the folder"):
        fetch("awkward://leads-out", tmp_path / "raw")
    assert not (tmp_path / "out.mp4").exists()


def test_passwords_and_signatures_are_not_told(awkward: None, tmp_path: Path) -> None:
    with pytest.raises(UserInputError, match="awkward://denied cannot be read") as caught:
        fetch("awkward://ana:secret@denied?signature=secret", tmp_path)
    assert "secret" not in str(caught.value)
    assert "403" in str(caught.value)
