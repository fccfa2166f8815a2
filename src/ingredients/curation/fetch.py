"""Videos of object storage copied to a disk, where curation reads them: by fsspec, from wherever it knows a way."""

import re
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from ingredients.core.errors import UserInputError
from ingredients.core.files import atomic_path, is_disk_full, make_folder
from ingredients.core.optional_dependencies import import_optional
from ingredients.curation.sources import VIDEO_NAMES

_SIDECAR = ".json"


def fetch(url: str, folder: Path, *, progress: Callable[[int, int], None] | None = None) -> list[Path]:
    """Copies the videos of an address, and the JSON files beside them; what is there in the same size is left alone.

    Args:
        url: of a video or of a folder of them, such as `s3://bucket/films`, `gs://...`, `https://...`, `memory://...`.
        folder: where they go, with the folders that they lie in.
        progress: told of the files done, and of all.

    Returns:
        All files that belong to it now.

    Raises:
        UserInputError: if there is nothing of the kind, or no way there.
        OutputError: if a file cannot be written.
    """
    fsspec = import_optional("fsspec", extra="curate")
    shown = without_secrets(url)
    try:
        storage, root = fsspec.core.url_to_fs(url)
        sizes = _sizes(storage, root)
    except Exception as error:  # each storage has errors of its own, which are not all those of files
        reason = _reason(error, url)
        raise UserInputError(f"The address {shown} cannot be read ({reason}); check it, and what it needs.") from None
    if not sizes:
        raise UserInputError(
            f"There is no video at {shown}; files of a folder are found by endings such as "
            f"{', '.join(VIDEO_NAMES[:5])}."
        )
    files: list[Path] = []
    for number, (name, size) in enumerate(sorted(sizes.items()), start=1):
        target = folder / _place(name, root)
        if not target.is_file() or size is None or target.stat().st_size != size:
            make_folder(target.parent)
            with atomic_path(target) as temporary:
                try:
                    storage.get_file(name, str(temporary))
                except FileNotFoundError:
                    raise UserInputError(
                        f"The file {without_secrets(name)} of {shown} is gone; run the command again."
                    ) from None
                except Exception as error:
                    if is_disk_full(error):
                        raise
                    raise UserInputError(
                        f"The file {without_secrets(name)} of {shown} cannot be copied ({_reason(error, url)}); "
                        "run the command again, and it goes on there."
                    ) from None
        files.append(target)
        if progress is not None:
            progress(number, len(sizes))
    return files


def without_secrets(url: str) -> str:
    """An address to be shown: without the name and password of somebody, and without a signature."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        return url.partition("?")[0]
    host, slash, path = rest.partition("?")[0].partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"


def _reason(error: Exception, url: str) -> str:
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
