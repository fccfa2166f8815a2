"""Checks of paths that commands make before PyTorch is imported, whose import takes seconds.

What lies at a path is checked by who reads it; that something lies there, a mistyped name should not wait for.
"""

from collections.abc import Iterable
from pathlib import Path

from ingredients.core.errors import UserInputError


def check_folders(folders: Iterable[Path | None], what: str) -> None:
    """Says whether folders are there.

    Args:
        folders: those that were named; None was not.
        what: what each is, such as "model folder".

    Raises:
        UserInputError: for the first that is not.
    """
    for folder in folders:
        if folder is not None and not folder.is_dir():
            raise UserInputError(f"There is no {what} {folder}; check the name.")


def check_files(files: Iterable[Path | None], what: str) -> None:
    """Says whether files are there; arguments and errors as `check_folders`."""
    for file in files:
        if file is not None and not file.exists():
            raise UserInputError(f"The {what} {file} does not exist; check the name and the folder.")
