"""Names of files and folders as people give them."""

import os
from pathlib import Path

from ingredients.core.errors import UserInputError
from ingredients.core.printable import printable

_MOST_BYTES_A_NAME = 255  # in every common file system
_MOST_BYTES_A_PATH = 4095


def parse_path(text: str | Path) -> Path:
    """The path that a person means: a `~` at its beginning is the home folder, as in a shell.

    No shell expands it in `--output=~/x` or `NAME=~/x`. A file whose name begins with `~` is `./~name`.

    Raises:
        UserInputError: if no file system can have such a name, or it is empty: that of a shell's variable without a
            value would mean the current folder.
    """
    named = str(text)
    if not named:
        raise UserInputError("A name of a file or folder is empty; give one, or a dot for the current folder.")
    try:
        encoded = os.fsencode(named)
    except UnicodeEncodeError as error:
        raise UserInputError(f"The name {printable(named)} holds half a character; choose another one.") from error
    if b"\0" in encoded:
        raise UserInputError(f"The name {printable(named)} holds a zero byte; choose another one.")
    longest = max(map(len, encoded.split(os.fsencode(os.sep))))
    if longest > _MOST_BYTES_A_NAME or len(encoded) > _MOST_BYTES_A_PATH:
        raise UserInputError(
            f"The name {printable(named, most=80)} is too long: no part of a path may have more than "
            f"{_MOST_BYTES_A_NAME} bytes, and the whole no more than {_MOST_BYTES_A_PATH}; choose a shorter one."
        )
    try:
        return Path(named).expanduser()
    except RuntimeError:  # nobody of this name has a home: shells leave it alone, too
        return Path(named)
