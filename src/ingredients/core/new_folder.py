"""Folders that are either complete or not there, and never take the place of something else."""

import contextlib
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

from ingredients.core.errors import OutputError
from ingredients.core.files import is_disk_full


def check_new_folder(path: Path) -> None:
    """Says whether a folder can be made at `path`, before the work that fills it has begun.

    Raises:
        OutputError: if something is there already, or the folder above cannot be written to.
    """
    if path.is_dir() and any(path.iterdir()):
        raise OutputError(f"The folder {path} holds something already; choose another name, or delete it first.")
    if path.exists() and not path.is_dir():
        raise OutputError(f"The output {path} is a file; choose the name of a folder.")
    above = next(folder for folder in path.absolute().parents if folder.exists())
    if not above.is_dir() or not os.access(above, os.W_OK):
        raise OutputError(f"The folder {above} of the output {path} cannot be written to; choose another one.")


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Gives a temporary folder beside `path`, renamed to `path` when the block ends well and removed when it does not.

    Raises:
        OutputError: as `check_new_folder`, or if the disk filled up while the block wrote, or it could not write.
    """
    check_new_folder(path)
    path = path.absolute()
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        temporary.mkdir(parents=True)
        yield temporary
        if path.is_dir():
            path.rmdir()  # empty, or this fails
        temporary.rename(path)
    except BaseException as error:
        shutil.rmtree(temporary, ignore_errors=True)
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
