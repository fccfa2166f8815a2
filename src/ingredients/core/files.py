"""Files and folders that are either complete or not there."""

import contextlib
import errno
import os
import re
import shlex
import shutil
import stat
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path

from ingredients.core.errors import OutputError, UserInputError
from ingredients.core.paths import parse_path

_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
_TEMPORARY_PREFIX = ".ingredients-"
_TEMPORARY = re.compile(re.escape(_TEMPORARY_PREFIX) + "[0-9a-f]{32}")


def check_output_path(path: str | Path, *, overwrite: bool = True) -> Path:
    """Says whether a result can be written to `path`, before the work that makes it has begun.

    Raises:
        OutputError: if the folder does not exist or cannot be written to, if no file can have the name, or if
            something is there that must not be replaced.
    """
    path = Path(path)
    target = _check_name(path)
    if not overwrite and _is_there(target):
        raise OutputError(f"The output {path} is there already; choose another name, or add --overwrite.")
    temporary = _temporary_name(target)
    try:  # permissions say little of disks that are full, far away or made by the system
        temporary.mkdir()
        _remove(temporary)
    except OSError as error:
        raise _explain(error, path) or error from error
    return path


def _check_name(path: Path) -> Path:
    """The file that `path` leads to, if there can be one; raises as `check_output_path`."""
    try:
        parse_path(path)
    except UserInputError as error:
        raise OutputError(str(error)) from error
    target = followed(path)
    if not _is_folder(target.parent):
        raise OutputError(_missing_folder(path, target.parent))
    if _is_folder(target):
        raise OutputError(f"The output {path} is a folder; give the name of a file in it, such as {path / 'out.mp4'}.")
    if len(os.fsencode(target.name)) > (longest := _longest_name(target.parent)):
        raise OutputError(f"The output {path} has a name of more than {longest} bytes; choose a shorter one.")
    if target.is_symlink():  # it was followed as far as it leads
        raise OutputError(f"The output {path} is a link that leads in a circle; choose another name.")
    if _is_there(target) and not target.is_file():
        raise OutputError(f"The output {path} is a device or a pipe, not a file; choose another name.")
    if not os.access(target.parent, os.W_OK):
        raise OutputError(f"The folder {target.parent} of the output {path} cannot be written to; choose another one.")
    return target


def check_not_an_input(output: Path, inputs: Iterable[Path]) -> None:
    """Says whether a result would overwrite what it is made from, also by another name.

    Raises:
        OutputError: if it would.
    """
    try:
        there = output.stat()
    except OSError:
        return  # nothing is there, so the inputs are elsewhere
    for path in inputs:
        with contextlib.suppress(OSError, ValueError):
            if os.path.samestat(there, path.stat()):
                raise OutputError(f"The output {output} is {path}, which is read; choose another name for it.")


def followed(path: Path) -> Path:
    """The file or folder that a name leads to where it is a link, also if nothing is there yet."""
    return Path(os.path.realpath(path)) if path.is_symlink() else path


@contextlib.contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Gives a temporary name beside `path`, renamed to `path` when the block ends well and removed when it does not.

    The temporary file has the same name, by whose suffix many libraries choose the format, in a temporary folder. A
    link is followed: the file that it leads to is written.

    Raises:
        OutputError: if the folder does not exist, the disk filled up while the block wrote, or it could not write.
    """
    path = Path(path)
    target = _check_name(path)
    temporary = _temporary_name(target)
    try:
        temporary.mkdir()
        yield temporary / target.name
        (temporary / target.name).replace(target)
    except BaseException as error:
        if (explained := _explain(error, path)) is not None:
            raise explained from error
        raise
    finally:
        _remove(temporary)


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
        if path.exists() or path.is_symlink():
            path.rename(replaced)
        temporary.rename(path)
        _remove(replaced)
    except BaseException as error:
        _remove(temporary)
        if (explained := _explain(error, path)) is not None:
            raise explained from error
        raise


def make_folder(path: Path) -> None:
    """Makes a folder and those above it, as far as they are not there.

    Raises:
        OutputError: if it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise OutputError(f"The folder {path} cannot be made ({reason}); choose another one.") from error


def write_text(path: Path, text: str) -> None:
    """Writes a text file, whole or not at all.

    Raises:
        OutputError: if it cannot be written.
    """
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a file, whole or not at all.

    Raises:
        OutputError: if it cannot be written.
    """
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


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


def drop_half_line(path: Path) -> None:
    """Cuts off the line in whose middle a writer was killed, or the next one would be joined to it.

    Raises:
        OutputError: if the file cannot be written.
    """
    try:
        with path.open("rb+") as file:
            size = end = file.seek(0, os.SEEK_END)
            while end:
                start = max(end - 65_536, 0)
                file.seek(start)
                position = file.read(end - start).rfind(b"\n")
                if position >= 0:
                    end = start + position + 1
                    break
                end = start
            if end < size:
                file.truncate(end)
    except OSError as error:
        raise _explain(error, path) or error from error


def remove_leftovers(folder: Path) -> None:
    """Removes what writers that were killed left under temporary names; nobody may be writing into the folder."""
    for path in folder.glob(f"{_TEMPORARY_PREFIX}*"):
        if is_temporary(path):
            _remove(path)


def is_temporary(path: Path) -> bool:
    """Whether a path has one of the names that `atomic_path` and `atomic_folder` give, and nobody else would."""
    return _TEMPORARY.fullmatch(path.name) is not None


def _temporary_name(path: Path) -> Path:
    """A name of the same length whatever the path, so that a long name does not become too long."""
    return path.with_name(f"{_TEMPORARY_PREFIX}{uuid.uuid4().hex}")


def _missing_folder(path: Path, folder: Path) -> str:
    there = next(each for each in (folder, *folder.absolute().parents) if _is_there(each))
    if not _is_folder(there):
        return f"The output {path} would lie below {there}, which is no folder; choose another one."
    return (
        f"The folder {folder} of the output {path} does not exist; create it with: mkdir -p {shlex.quote(str(folder))}"
    )


def _is_there(path: Path) -> bool:
    return os.path.exists(path)  # noqa: PTH110 (Path.exists raises where one may not look, or a name is too long)


def _is_folder(path: Path) -> bool:
    return os.path.isdir(path)  # noqa: PTH112 (as above)


def _longest_name(folder: Path) -> int:
    try:
        return os.pathconf(folder, "PC_NAME_MAX")
    except (OSError, ValueError, AttributeError):  # AttributeError: not every system can say it
        return 255


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
    """Removes a file or a folder; of a link, the link alone."""
    with contextlib.suppress(FileNotFoundError):
        if stat.S_ISDIR(path.lstat().st_mode):
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()


def is_disk_full(error: BaseException) -> bool:
    """Whether an error says that a disk has no room left."""
    if isinstance(error, OSError) and error.errno in _DISK_FULL:
        return True
    return "No space left on device" in str(error)  # safetensors' and FFmpeg's own error types carry no errno
