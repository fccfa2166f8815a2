"""Files that are either complete or not there."""

import contextlib
import errno
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path

from ingredients.core.errors import OutputError

_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


def check_output_path(path: str | Path) -> Path:
    """Says whether a result can be written to `path`, before the work that makes it has begun.

    Raises:
        OutputError: if the folder does not exist or cannot be written to, or if `path` is a folder.
    """
    path = Path(path)
    folder = path.parent
    if not folder.is_dir():
        raise OutputError(
            f"The folder {folder} of the output {path} does not exist; create it with: mkdir -p {folder}"
        )
    if path.is_dir():
        raise OutputError(f"The output {path} is a folder; give the name of a file in it, such as {path / 'out.mp4'}.")
    if not os.access(folder, os.W_OK):
        raise OutputError(f"The folder {folder} of the output {path} cannot be written to; choose another one.")
    return path


def check_not_an_input(output: Path, inputs: Iterable[Path]) -> None:
    """Says whether a result would overwrite what it is made from, also by another name.

    Raises:
        OutputError: if it would.
    """
    for path in inputs:
        if output.exists() and path.exists() and output.samefile(path):
            raise OutputError(f"The output {output} is {path}, which is read; choose another name for it.")


@contextlib.contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Gives a temporary name beside `path`, renamed to `path` when the block ends well and removed when it does not.

    The temporary name keeps the suffix, by which many libraries choose the format.

    Raises:
        OutputError: if the folder does not exist, the disk filled up while the block wrote, or it could not write.
    """
    path = check_output_path(path)
    temporary = path.with_name(f".{path.stem}.{uuid.uuid4().hex[:8]}{path.suffix}")
    try:
        yield temporary
        temporary.replace(path)
    except BaseException as error:
        _remove(temporary)
        if is_disk_full(error):
            raise OutputError(
                f"The disk of {path.parent} is full, so {path.name} was not written; "
                "free some space or choose another output folder."
            ) from error
        if isinstance(error, OSError):
            raise OutputError(
                f"The output {path} could not be written ({error.strerror or error}); choose another folder."
            ) from error
        raise


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def is_disk_full(error: BaseException) -> bool:
    """Whether an error says that a disk has no room left."""
    if isinstance(error, OSError) and error.errno in _DISK_FULL:
        return True
    return "No space left on device" in str(error)  # safetensors' and FFmpeg's own error types carry no errno
