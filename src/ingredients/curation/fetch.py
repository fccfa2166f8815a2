"""Videos of object storage copied to a disk, where curation reads them: by fsspec, from wherever it knows a way."""

from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

from ingredients.core.errors import UserInputError
from ingredients.core.files import atomic_path, make_folder
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
    try:
        storage, root = fsspec.core.url_to_fs(url)
        sizes = _sizes(storage, root)
    except (ImportError, OSError, ValueError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserInputError(f"The address {url} cannot be read ({reason}); check it, and what it needs.") from error
    if not sizes:
        raise UserInputError(
            f"There is no video at {url}; files of a folder are found by endings such as {', '.join(VIDEO_NAMES[:5])}."
        )
    files: list[Path] = []
    for number, (name, size) in enumerate(sorted(sizes.items()), start=1):
        relative = PurePosixPath(name).relative_to(root) if name != root else PurePosixPath(PurePosixPath(name).name)
        target = folder / relative
        if not target.is_file() or target.stat().st_size != size:
            make_folder(target.parent)
            try:
                with atomic_path(target) as temporary:
                    storage.get_file(name, str(temporary))
            except FileNotFoundError as error:
                raise UserInputError(f"The file {name} of {url} is gone; run the command again.") from error
        files.append(target)
        if progress is not None:
            progress(number, len(sizes))
    return files


def _sizes(storage: Any, root: str) -> dict[str, int]:
    """The bytes of each video and sidecar by its name in the storage; the file itself, whatever its ending."""
    if storage.isfile(root):
        return {root: int(storage.size(root))}
    found = storage.find(root, detail=True)
    videos = {name for name in found if PurePosixPath(name).suffix.lower() in VIDEO_NAMES}
    beside = {f"{name}{_SIDECAR}" for name in videos} | {
        str(PurePosixPath(name).with_suffix(_SIDECAR)) for name in videos
    }
    return {name: int(facts["size"]) for name, facts in found.items() if name in videos | beside}
