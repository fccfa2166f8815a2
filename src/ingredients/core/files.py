"""Files that are either complete or not there."""

import contextlib
import errno
import os
import re
import shutil
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path

from ingredients.core.errors import OutputError

_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{8}(\.\w+)?|\.tmp[0-9A-Za-z]{6}")  # ours, and those of safetensors


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
    temporary = _temporary_name(path)
    try:
        yield temporary
        temporary.replace(path)
    except BaseException as error:
        _remove(temporary)
        if (explained := _explain(error, path)) is not None:
            raise explained from error
        raise


@contextlib.contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Gives a temporary folder beside `path`, which takes its place when the block ends well, or else is removed.

    Raises:
        OutputError: as `atomic_path`.
    """
    temporary, replaced = _temporary_name(path), _temporary_name(path)
    try:
        temporary.mkdir()
        yield temporary
        if path.exists():
            path.rename(replaced)
        temporary.rename(path)
        _remove(replaced)
    except BaseException as error:
        _remove(temporary)
        if (explained := _explain(error, path)) is not None:
            raise explained from error
        raise


def append_line(path: Path, line: str) -> None:
    """Adds a line to a file, which need not exist.

    Raises:
        OutputError: if it cannot be written; half a line may be left.
    """
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
    except OSError as error:
        raise _explain(error, path) or error from error


def remove_leftovers(folder: Path) -> None:
    """Removes what writers that were killed left under temporary names; nobody may be writing into the folder."""
    for path in folder.glob(".*"):
        if _TEMPORARY.fullmatch(path.name):
            _remove(path)


def _temporary_name(path: Path) -> Path:
    return path.with_name(f".{path.stem}.{uuid.uuid4().hex[:8]}{path.suffix}")


def _explain(error: BaseException, path: Path) -> OutputError | None:
    """What a person is told of a failed write; None if it failed for another reason."""
    if is_disk_full(error):
        return OutputError(
            f"The disk of {path.parent} is full, so {path.name} was not written; "
            "free some space or choose another output folder."
        )
    if isinstance(error, OSError):
        return OutputError(
            f"The output {path} could not be written ({error.strerror or error}); choose another folder."
        )
    return None


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
