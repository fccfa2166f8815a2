"""Folders that results go to: new, empty, or provably ours, so that nothing of anybody else's is ever destroyed.

A folder that fills little by little, such as that of a training run or an evaluation, holds `.ingredients.json`, which
says what it is for. It is written before anything else, and only into a folder that is new or empty. A folder that
holds something else and no such file is refused.
"""

import contextlib
import functools
import inspect
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal, ParamSpec, TypeVar

from ingredients.core.errors import OutputError, UserInputError
from ingredients.core.files import atomic_folder, is_temporary, make_folder, write_text
from ingredients.core.json_yaml import BadFileError, read_json
from ingredients.core.paths import parse_path

MARKER_NAME = ".ingredients.json"
_LOCK_NAME = ".ingredients.lock"
_MADE_BY = "ingredients"

Contents = Literal[
    "a training run",
    "an evaluation",
    "videos of a benchmark",
    "a benchmark",
    "encoded clips",
    "a data set of clips",
    "shards of clips",
    "raw films",
    "a curated data set",
    "studies",
    "results of studies",
    "runs of the small model",
    "jobs of a server",
]
"""What a folder is for, as sentences say it."""

_Given = ParamSpec("_Given")
_Result = TypeVar("_Result")


def check_output_folder(path: Path, contents: Contents) -> None:
    """Says whether results can go into the folder `path`, before the work has begun; nothing is changed.

    Raises:
        OutputError: if it holds something else, is a file, or cannot be made.
    """
    _check_place(path)
    if not path.is_dir():
        return
    there = next((each.name for each in sorted(path.iterdir()) if not _is_ours(each)), None)
    found = _read_marker(path)  # after the names, as another process may be claiming the folder
    if found is None and there is not None:
        raise OutputError(
            f"The folder {path} holds something already ({there}) that this program did not put there: it lacks "
            f"{MARKER_NAME}; name a folder that is new or empty."
        )
    if found is not None and found != contents:
        raise OutputError(f"The folder {path} holds {found}, not {contents}; name another one.")


def mark_folder(path: Path, contents: Contents) -> None:
    """Says in a folder what it is for, if nothing does yet; for a folder that is new, empty or known to be ours.

    Raises:
        OutputError: if it cannot be written.
    """
    if _read_marker(path) is None:
        write_text(path / MARKER_NAME, json.dumps({"made_by": _MADE_BY, "holds": contents}, allow_nan=False) + "\n")


def claim_folder(path: Path, contents: Contents) -> None:
    """Makes a folder for results, or finds that it is there for the same purpose.

    Processes that share a folder may claim it at the same time.

    Raises:
        OutputError: as `check_output_folder`, or if it cannot be written to.
    """
    check_output_folder(path, contents)
    make_folder(path)
    mark_folder(path, contents)


@contextlib.contextmanager
def claimed_folder(path: Path, contents: Contents) -> Iterator[None]:
    """`claim_folder`, and no other process may have it while the block runs.

    Raises:
        OutputError: as `claim_folder`, or if another process works in the folder.
    """
    is_new = not path.exists()
    claim_folder(path, contents)
    try:
        with locked_folder(path):
            yield
    except BaseException:
        if is_new:
            _remove_empty(path)
        raise


def fills_folder(
    contents: Contents, argument: str
) -> Callable[[Callable[_Given, _Result]], Callable[_Given, _Result]]:
    """Makes a function hold the `claimed_folder` that one of its arguments names while it runs.

    Args:
        contents: what the folder is for.
        argument: name of the argument, a path.
    """

    def decorate(function: Callable[_Given, _Result]) -> Callable[_Given, _Result]:
        signature = inspect.signature(function)

        @functools.wraps(function)
        def filling(*arguments: _Given.args, **named: _Given.kwargs) -> _Result:
            folder = signature.bind(*arguments, **named).arguments[argument]
            with claimed_folder(Path(folder), contents):
                return function(*arguments, **named)

        return filling

    return decorate


@contextlib.contextmanager
def locked_folder(path: Path) -> Iterator[None]:
    """Keeps other processes out of a folder, whatever it is for, while the block runs.

    Raises:
        OutputError: if another process works in the folder.
    """
    with locked(path / _LOCK_NAME, busy=f"Another process is writing into the folder {path}"):
        yield


@contextlib.contextmanager
def locked(path: Path, *, busy: str) -> Iterator[None]:
    """Holds a lock while the block runs; it ends with the process, however that ends.

    Args:
        path: the path of the lock's file, which stays.
        busy: what the error says if somebody else holds it.

    Raises:
        OutputError: if somebody else holds it.
    """
    import filelock

    try:
        lock = filelock.FileLock(path)
        lock.acquire(blocking=False)
    except filelock.Timeout as error:
        raise OutputError(f"{busy}; wait for it to end, or choose another one.") from error
    except (OSError, NotImplementedError):  # a disk that knows no locks: as careful as it can be
        yield
        return
    try:
        yield
    finally:
        lock.release()


def check_new_folder(path: Path) -> None:
    """Says whether a folder can be made at `path`, before the work that fills it has begun.

    Raises:
        OutputError: if something is there already, or the folder above cannot be written to.
    """
    _check_place(path)
    if path.is_dir() and any(path.iterdir()):
        raise OutputError(f"The folder {path} holds something already; choose another name, or delete it first.")


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """`atomic_folder`, where nothing is yet, nor appears while the block runs; folders above it are made.

    Raises:
        OutputError: as `check_new_folder`, or if the disk filled up while the block wrote, or it could not write.
    """
    check_new_folder(path)
    path = Path(os.path.realpath(path))
    make_folder(path.parent)
    with atomic_folder(path) as temporary:
        yield temporary
        check_new_folder(path)


def _check_place(path: Path) -> None:
    try:
        parse_path(path)
    except UserInputError as error:
        raise OutputError(str(error)) from error
    real = Path(os.path.realpath(path))
    if real.is_symlink():
        raise OutputError(f"The output {path} is a link that leads in a circle; choose another name.")
    if os.path.exists(real) and not os.path.isdir(real):  # noqa: PTH110, PTH112 (these never raise)
        raise OutputError(f"The output {path} is a file; choose the name of a folder.")
    above = next(folder for folder in (real, *real.parents) if os.path.lexists(folder))
    if not os.path.isdir(above):  # noqa: PTH112
        raise OutputError(f"The output {path} would lie below {above}, which is no folder; choose another one.")
    if not os.access(above, os.W_OK):
        raise OutputError(f"The folder {above} of the output {path} cannot be written to; choose another one.")


def _remove_empty(folder: Path) -> None:
    """Removes a folder that was made for work that then could not begin."""
    with contextlib.suppress(OSError):
        if {path.name for path in folder.iterdir()} <= {MARKER_NAME, _LOCK_NAME}:
            for name in (MARKER_NAME, _LOCK_NAME):
                (folder / name).unlink(missing_ok=True)
            folder.rmdir()


def _is_ours(path: Path) -> bool:
    """Whether a file says nothing of what the folder is for: a claim in the making, or its lock."""
    return path.name == _LOCK_NAME or is_temporary(path)


def _read_marker(folder: Path) -> str | None:
    """What a folder is for, if a marker of ours says it."""
    try:
        values = read_json(folder / MARKER_NAME, remedy="")
    except BadFileError:
        return None
    is_made_by_us = isinstance(values, dict) and values.get("made_by") == _MADE_BY
    return str(values["holds"]) if is_made_by_us and isinstance(values.get("holds"), str) else None
