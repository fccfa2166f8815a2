"""The one way in which files that somebody names are opened: regular ones alone, and only so much of them.

Opening a named pipe waits for a writer who may never come, and a device such as `/dev/zero` never ends. What is
refused raises an `OSError` with a reason in `strerror`, like any other file that cannot be read, so that one `except`
is enough for all of them.
"""

import errno
import io
import os
import stat
from pathlib import Path

from ingredients.core.errors import UserInputError

MOST_TEXT_BYTES = 256 * 2**20
"""Largest file that is read as a text."""

_KINDS = (
    (stat.S_ISDIR, errno.EISDIR, "it is a folder"),
    (stat.S_ISFIFO, errno.EINVAL, "it is a pipe or a device"),
    (stat.S_ISSOCK, errno.EINVAL, "it is a pipe or a device"),
    (stat.S_ISCHR, errno.EINVAL, "it is a pipe or a device"),
    (stat.S_ISBLK, errno.EINVAL, "it is a pipe or a device"),
)


class RefusedFileError(OSError):
    """A file that is not read; as a text it is the reason alone."""

    def __str__(self) -> str:
        return str(self.strerror)


class NotAFileError(RefusedFileError):
    """A folder, a pipe or a device where a file was expected."""


class TooLargeError(RefusedFileError):
    """A file that is larger than it may be."""


def check_regular(path: str | Path) -> None:
    """Says whether a library may be given a path to open: whether a regular file is there.

    Raises:
        NotAFileError: if it is something else.
        OSError: if it is missing, or cannot be looked at.
    """
    try:
        found = Path(path).stat()
    except ValueError as error:  # a NUL in the name
        raise NotAFileError(errno.EINVAL, "it has a name that no file can have", str(path)) from error
    _check_kind(found, path)


def check_all_regular(folder: Path) -> None:
    """The same of every file in a folder that a library is going to look through, or of a file.

    Raises:
        NotAFileError: for the first that is neither a regular file nor a folder; links to nothing are left alone.
    """
    for path in [folder, *sorted(folder.rglob("*"))] if folder.is_dir() else [folder]:
        if path.exists() and not path.is_dir():
            try:
                check_regular(path)
            except NotAFileError as error:
                name = path.name if path == folder else path.relative_to(folder)
                raise NotAFileError(error.errno, f"{name} {str(error).removeprefix('it ')}", str(path)) from error


def open_file(path: str | Path) -> io.BufferedReader:
    """Opens a regular file for reading bytes; never waits.

    Raises:
        NotAFileError: for a folder, a pipe or a device.
        OSError: if it is missing or cannot be opened.
    """
    check_regular(path)  # before it is opened: opening alone does something to some devices
    # A pipe that took the file's place in between is not waited for, and found by the second look.
    number = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        _check_kind(os.fstat(number), path)
        return os.fdopen(number, "rb")
    except BaseException:
        os.close(number)
        raise


def read_bytes(path: str | Path, *, most_bytes: int = MOST_TEXT_BYTES) -> bytes:
    """Reads a regular file whole.

    Raises:
        TooLargeError: if it is larger than `most_bytes`.
        OSError: as `open_file`.
    """
    with open_file(path) as file:
        content = file.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise TooLargeError(errno.EFBIG, f"it is larger than {size_in_words(most_bytes)}", str(path))
    return content


def read_text(path: str | Path, *, most_bytes: int = MOST_TEXT_BYTES) -> str:
    """Reads a regular file as UTF-8.

    Raises:
        UnicodeDecodeError: if it is something else.
        OSError: as `read_bytes`.
    """
    return read_bytes(path, most_bytes=most_bytes).decode("utf-8").replace("\r\n", "\n")


def size_in_words(num_bytes: int) -> str:
    """A limit on a file's size as messages name it."""
    return f"{num_bytes >> 20} MB" if num_bytes >= 2**20 else f"{num_bytes >> 10} kB"


def open_input(
    path: str | Path, what: str, *, example: str | None = None, error: type[UserInputError] = UserInputError
) -> io.BufferedReader:
    """Opens a file that the user named, or says in one sentence why that is not possible.

    Args:
        path: the file.
        what: what it should be, such as `photo`.
        example: what to name instead of a folder, such as `an image file`.
        error: type of the error.

    Raises:
        UserInputError: of the type `error`, if there is no regular file that can be opened.
    """
    instead = f"give the name of {example or f'a {what}'}"
    try:
        return open_file(path)
    except FileNotFoundError as reason:
        raise error(f"The {what} {path} does not exist; {missing_remedy(path)}.") from reason
    except NotAFileError as reason:
        in_it = " in it" if reason.errno == errno.EISDIR else ""
        raise error(f"The {what} {path} {str(reason).removeprefix('it ')}; {instead}{in_it}.") from reason
    except OSError as reason:
        raise error(f"The {what} {path} cannot be opened ({reason.strerror}); check who may read it.") from reason


def missing_remedy(path: str | Path) -> str:
    """What a person can do about a file that is not there."""
    if "\\" in str(path) and os.sep != "\\":
        return "write / between folders, where Windows has \\"
    return "check the name and the folder"


def _check_kind(found: os.stat_result, path: str | Path) -> None:
    if stat.S_ISREG(found.st_mode):
        return
    for is_kind, number, reason in _KINDS:
        if is_kind(found.st_mode):
            raise NotAFileError(number, reason, str(path))
    raise NotAFileError(errno.EINVAL, "it is no file", str(path))
