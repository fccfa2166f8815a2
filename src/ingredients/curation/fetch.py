"""Videos of object storage copied to a disk, where curation reads them: by fsspec, from wherever it knows a way."""

import dataclasses
import hashlib
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from ingredients.core.errors import UserInputError
from ingredients.core.files import atomic_path, is_disk_full, make_folder
from ingredients.core.optional_dependencies import import_optional
from ingredients.core.output_folders import locked_folder
from ingredients.core.paths import without_secrets
from ingredients.core.protocols import ProgressCallback
from ingredients.curation.copies import CopyRecord, Facts, file_md5, md5_of, size_of, version_of
from ingredients.curation.sources import VIDEO_NAMES, Source, with_sidecar

_SIDECAR = ".json"
_RECORD_NAME = ".copied.jsonl"
"""The record of what was copied, in the folder of the copies."""

_BLOCK = 2**24
"""Bytes that are asked for at once."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StoredFiles:
    """Videos of an address, and the JSON files beside them."""

    url: str
    """The address."""

    storage: Any
    """fsspec's way to them."""

    root: str
    """The address as the storage says it."""

    files: Mapping[str, Facts]
    """What the storage says of each file, by its name there."""

    def address(self, name: str) -> str:
        """Where a file is from, as it may be shown."""
        shown = without_secrets(self.url)
        return shown if name == self.root else f"{shown.rstrip('/')}/{_place(name, self.root)}"


def look_up(url: str) -> StoredFiles:
    """Finds the videos of an address, and the JSON files beside them.

    Args:
        url: the address of a video or of a folder of them, such as `s3://bucket/films`, `gs://...`, `https://...`,
            `memory://...`.

    Raises:
        UserInputError: if there is nothing of the kind, or no way there.
    """
    fsspec = import_optional("fsspec", extra="curate")
    shown = without_secrets(url)
    try:
        storage, root = fsspec.core.url_to_fs(url)
        files = _files(storage, root)
    except Exception as error:  # each storage has errors of its own, which are not all those of files
        reason = reason_of(error, url)
        raise UserInputError(f"The address {shown} cannot be read ({reason}); check it, and what it needs.") from None
    if not files:
        raise UserInputError(
            f"There is no video at {shown}; files of a folder are found by endings such as "
            f"{', '.join(VIDEO_NAMES[:5])}."
        )
    return StoredFiles(url=url, storage=storage, root=root, files=files)


def fetch(url: str, folder: Path, *, progress: ProgressCallback | None = None) -> list[Path]:
    """Copies the videos of an address, and the JSON files beside them; what did not change since is left alone.

    Args:
        url: as `look_up` takes it.
        folder: where they go, with the folders that they lie in.
        progress: told of the files done, and of all.

    Returns:
        All files that belong to it now.

    Raises:
        UserInputError: if there is nothing of the kind, or no way there.
        OutputError: if a file cannot be written.
    """
    stored = look_up(url)
    files: list[Path] = []
    make_folder(folder)
    with locked_folder(folder):  # two that go on with one file would mix what they write
        for _, path in _copies(stored, folder):
            files.append(path)
            if progress is not None:
                progress(len(files), len(stored.files))
    return files


def with_copies(
    sources: Sequence[Source],
    stored: Mapping[str, StoredFiles],
    folder: Path,
    *,
    progress: ProgressCallback | None = None,
) -> list[Source]:
    """Copies what lies in object storage, and names the copies in its place; they say where they are from.

    Args:
        sources: as `find_sources` finds them.
        stored: what `look_up` found at each address of theirs.
        folder: where copies go; what did not change since is left alone.
        progress: told of the files done, and of all.

    Raises:
        UserInputError: if a file cannot be copied.
        OutputError: if a file cannot be written.
    """
    num_files = sum(len(each.files) for each in stored.values())
    num_done = 0
    found: list[Source] = []
    for source in sources:
        if source.address is None:
            found.append(source)
            continue
        files = stored[source.address]
        copies = {}
        for name, path in _copies(files, folder / source.path):
            copies[name] = path
            num_done += 1
            if progress is not None:
                progress(num_done, num_files)
        for name, path in copies.items():
            if name == files.root or path.suffix.lower() in VIDEO_NAMES:
                beside = with_sidecar(path)
                said = {**beside.provenance, **source.provenance}
                found.append(dataclasses.replace(beside, provenance=said, copied_from=files.address(name)))
    return found


def _copies(stored: StoredFiles, folder: Path) -> Iterator[tuple[str, Path]]:
    """The name of each file in the storage and its copy, made unless it is there and neither changed since."""
    make_folder(folder)
    record = CopyRecord(folder / _RECORD_NAME)
    for name, facts in sorted(stored.files.items()):
        target = folder / _place(name, stored.root)
        if not record.is_same(stored.address(name), facts, target):
            make_folder(target.parent)
            _copy(stored, name, target)
            record.add(stored.address(name), facts, target)
        yield name, target


def _copy(stored: StoredFiles, name: str, target: Path) -> None:
    """Copies a file; one that was stopped goes on where it was, if the file is still the same."""
    facts, shown = stored.files[name], without_secrets(stored.url)
    with atomic_path(target) as temporary:
        try:
            if version_of(facts) is None or size_of(facts) is None:
                stored.storage.get_file(name, str(temporary))
            else:
                _partial(stored, name, target).replace(temporary)
        except FileNotFoundError:
            raise UserInputError(
                f"The file {without_secrets(name)} of {shown} is gone; run the command again."
            ) from None
        except Exception as error:
            if is_disk_full(error):
                raise
            raise UserInputError(
                f"The file {without_secrets(name)} of {shown} cannot be copied ({reason_of(error, stored.url)}); "
                "run the command again, and it goes on there."
            ) from None


def _partial(stored: StoredFiles, name: str, target: Path) -> Path:
    """A file beside the target that holds all of a file of the storage, begun anew or gone on with."""
    facts, size = stored.files[name], size_of(stored.files[name]) or 0
    file, version = (
        hashlib.sha256(text.encode()).hexdigest()[:12] for text in (target.name, f"{version_of(facts)} {size}")
    )
    path = target.with_name(f".partial-{file}-{version}")
    for other in target.parent.glob(f".partial-{file}-*"):
        if other != path:  # of another version
            other.unlink()
    done = path.stat().st_size if path.is_file() else 0
    try:
        with stored.storage.open(name, "rb", block_size=_BLOCK) as source, path.open("ab") as copy:
            if done:
                source.seek(done)
            shutil.copyfileobj(source, copy, _BLOCK)
    except (ValueError, NotImplementedError):  # a server that gives files from the beginning to the end alone
        stored.storage.get_file(name, str(path))
    arrived = path.stat().st_size
    if arrived > size or (arrived == size and md5_of(facts) not in {None, file_md5(path)}):
        path.unlink()
        raise ValueError("what arrived is not what the storage says of it")
    if arrived < size:
        raise ValueError(f"{arrived} of {size} bytes arrived")
    return path


def reason_of(error: Exception, url: str) -> str:
    """What an error says, in one line and without the address, which may hold a password."""
    said = " ".join(str(error).split()).replace(url, without_secrets(url))
    return re.sub(r"\w+://\S+", lambda found: without_secrets(found.group()), said) or type(error).__name__


def _place(name: str, root: str) -> PurePosixPath:
    """Where a file of the storage goes within the folder.

    Raises:
        UserInputError: if its name leads out of it.
    """
    if name == root:
        return PurePosixPath(PurePosixPath(urlsplit(name).path if "://" in name else name).name)
    path, start = PurePosixPath(name), PurePosixPath(root)
    if not path.is_relative_to(start) or ".." in path.relative_to(start).parts:
        raise UserInputError(
            f"The file {without_secrets(name)} would be written outside of the folder; rename it in the storage."
        )
    return path.relative_to(start)


def _files(storage: Any, root: str) -> dict[str, Facts]:
    """What a storage says of each video and sidecar by its name there; of the file itself, whatever its ending."""
    if storage.isfile(root):
        return {root: storage.info(root)}
    found = storage.find(root, detail=True)
    videos = {name for name in found if PurePosixPath(name).suffix.lower() in VIDEO_NAMES}
    beside = {f"{name}{_SIDECAR}" for name in videos} | {
        str(PurePosixPath(name).with_suffix(_SIDECAR)) for name in videos
    }
    return {name: facts for name, facts in found.items() if name in videos | beside}
