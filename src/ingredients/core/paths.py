"""Names of files and folders as people give them."""

import os
import re
from pathlib import Path

from ingredients.core.errors import UserInputError
from ingredients.core.printable import printable

_MOST_BYTES_A_NAME = 255  # in every common file system
_MOST_BYTES_A_PATH = 4095
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")


def is_address(text: str) -> bool:
    """Whether a text names a place in a net, such as `s3://bucket/films`, rather than a file."""
    return _ADDRESS.match(text) is not None


def without_secrets(url: str) -> str:
    """An address to be shown: without the name and password of somebody, and without a signature."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        return url.partition("?")[0]
    host, slash, path = rest.partition("?")[0].partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"


def parse_path(text: str | Path) -> Path:
    """The path that a person means: a `~` at its beginning is the home folder, as in a shell.

    No shell expands it in `--output=~/x` or `NAME=~/x`. A file whose name begins with `~` is `./~name`.

    Raises:
        UserInputError: if no file system can have such a name, if it is an address, which would mean a folder called
            `s3:`, or empty: that of a shell's variable without a value would mean the current folder.
    """
    named = str(text)
    if not named:
        raise UserInputError("A name of a file or folder is empty; give one, or a dot for the current folder.")
    if is_address(named):
        raise UserInputError(
            f"The address {printable(without_secrets(named))} is no file or folder of this machine; name one, and "
            "copy from the address before, or to it afterwards."
        )
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
