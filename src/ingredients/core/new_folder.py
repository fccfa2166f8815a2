"""Folders that are either complete or not there, and never take the place of something else."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from ingredients.core.errors import OutputError
from ingredients.core.files import atomic_folder


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
    """`atomic_folder`, where nothing is yet, nor appears while the block runs; folders above it are made.

    Raises:
        OutputError: as `check_new_folder`, or if the disk filled up while the block wrote, or it could not write.
    """
    check_new_folder(path)
    path = path.absolute()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"The folder {path.parent} cannot be made ({error.strerror}); choose another one."
        ) from error
    with atomic_folder(path) as temporary:
        yield temporary
        check_new_folder(path)
