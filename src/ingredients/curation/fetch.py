"""Videos of object storage copied to a disk, where curation reads them: by fsspec, from wherever it knows a way."""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from ingredients.core.errors import UserInputError
from ingredients.core.files import atomic_path, is_disk_full, make_folder
from ingredients.core.optional_dependencies import import_optional
from ingredients.core.paths import without_secrets
from ingredients.core.protocols import ProgressCallback
from ingredients.curation.sources import VIDEO_NAMES, Source, with_sidecar

_SIDECAR = ".json"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StoredFiles:
    """Videos of an address, and the JSON files beside them."""

    url: str
    """The address."""

    storage: Any
    """fsspec's way to them."""

    root: str
    """The address as the storage says it."""

    sizes: Mapping[str, int | None]
    """Bytes of each file by its name in the storage; None where a server does not say."""


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
        sizes = _sizes(storage, root)
    except Exception as error:  # each storage has errors of its own, which are not all those of files
        reason = reason_of(error, url)
        raise UserInputError(f"The address {shown} cannot be read ({reason}); check it, and what it needs.") from None
    if not sizes:
        raise UserInputError(
            f"There is no video at {shown}; files of a folder are found by endings such as "
            f"{', '.join(VIDEO_NAMES[:5])}."
        )
    return StoredFiles(url=url, storage=storage, root=root, sizes=sizes)


def fetch(url: str, folder: Path, *, progress: ProgressCallback | None = None) -> list[Path]:
    """Copies the videos of an address, and the JSON files beside them; what is there in the same size is left alone.

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
    for name in sorted(stored.sizes):
        files.append(_copied(stored, name, folder))
        if progress is not None:
            progress(len(files), len(stored.sizes))
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
        folder: where copies go; what is there in the same size is left alone.
        progress: told of the files done, and of all.

    Raises:
        UserInputError: if a file cannot be copied.
        OutputError: if a file cannot be written.
    """
    num_files = sum(len(each.sizes) for each in stored.values())
    num_done = 0
    found: list[Source] = []
    for source in sources:
        if source.address is None:
            found.append(source)
            continue
        files = stored[source.address]
        copies = {}
        for name in sorted(files.sizes):
            copies[name] = _copied(files, name, folder / source.path)
            num_done += 1
            if progress is not None:
                progress(num_done, num_files)
        for name, path in copies.items():
            if name == files.root or path.suffix.lower() in VIDEO_NAMES:
                beside = with_sidecar(path)
                said = {**beside.provenance, **source.provenance}
                found.append(dataclasses.replace(beside, provenance=said, copied_from=_address_of(files, name)))
    return found


def _copied(stored: StoredFiles, name: str, folder: Path) -> Path:
    """The copy of a file, made unless it is there in the same size."""
    shown, size = without_secrets(stored.url), stored.sizes[name]
    target = folder / _place(name, stored.root)
    if target.is_file() and size is not None and target.stat().st_size == size:
        return target
    make_folder(target.parent)
    with atomic_path(target) as temporary:
        try:
            stored.storage.get_file(name, str(temporary))
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
    return target


def _address_of(stored: StoredFiles, name: str) -> str:
    """Where a file is from, as it may be shown."""
    shown = without_secrets(stored.url)
    return shown if name == stored.root else f"{shown.rstrip('/')}/{_place(name, stored.root)}"


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


def _sizes(storage: Any, root: str) -> dict[str, int | None]:
    """The bytes of each video and sidecar by its name in the storage; the file itself, whatever its ending.

    Servers that do not say how large a file is give None.
    """
    if storage.isfile(root):
        return {root: storage.size(root)}
    found = storage.find(root, detail=True)
    videos = {name for name in found if PurePosixPath(name).suffix.lower() in VIDEO_NAMES}
    beside = {f"{name}{_SIDECAR}" for name in videos} | {
        str(PurePosixPath(name).with_suffix(_SIDECAR)) for name in videos
    }
    return {name: facts.get("size") for name, facts in found.items() if name in videos | beside}
