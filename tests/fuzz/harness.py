"""What every case of the fuzz must keep to: an end in time, one sentence for a mistake, and files left alone."""

import contextlib
import hashlib
import os
import resource
import signal
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

import torch
from hypothesis import HealthCheck, settings
from typer.testing import CliRunner

from ingredients.apps.cli import app
from ingredients.core.errors import UserInputError

SECONDS_A_CASE = 180  # by the clock, for a case may wait for ever without working; on a busy machine one takes ten
MEMORY = 40 * 2**30
"""Bytes of addresses: what is asked for beyond them fails at once, instead of stopping the machine."""

TestT = TypeVar("TestT", bound=Callable[..., Any])


def fuzzed(num_cases: int) -> Callable[[TestT], TestT]:
    """A test of the same cases each time, or with FUZZ_FACTOR in the environment of so many times as many new ones."""
    factor = int(os.environ.get("FUZZ_FACTOR", "0"))
    return settings(
        max_examples=num_cases * (factor or 1),
        derandomize=not factor,
        deadline=None,
        database=None,
        print_blob=bool(factor),
        suppress_health_check=list(HealthCheck),
    )


@contextlib.contextmanager
def in_time_and_memory() -> Iterator[None]:
    """Ends what takes too long, and what asks for all memory."""

    def give_up(number: int, frame: FrameType | None) -> None:
        raise AssertionError(f"not done after {SECONDS_A_CASE} seconds")

    before = signal.signal(signal.SIGALRM, give_up)
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, hard))
    signal.alarm(SECONDS_A_CASE)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def value_or_sentence(read: Callable[[], Any]) -> Any:
    """What a reader gives; or None, if it says in one sentence why there is nothing."""
    with in_time_and_memory():
        try:
            return read()
        except UserInputError as error:
            check_sentence(str(error))
            return None


def check_sentence(message: str) -> None:
    """Refuses a message that is long, of several lines, or has no end."""
    assert message.strip()
    assert len(message) < 3000, message
    assert "\x1b" not in message
    assert "Traceback" not in message
    message.encode()


@contextlib.contextmanager
def empty_folder() -> Iterator[Path]:
    """A folder for one case, which it is in meanwhile; the folder above it is the case's as well."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as name:
        folder = Path(name) / "here"
        folder.mkdir()
        os.chdir(folder)
        try:
            yield folder
        finally:
            os.chdir(before)


def snapshot() -> dict[str, str]:
    """Each file's kind and content, by its name from the current folder, and of the one above it."""
    found = {}
    for path in sorted(Path.cwd().parent.rglob("*")):
        mode, name = path.lstat().st_mode, os.path.relpath(path)
        if stat.S_ISREG(mode):
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
        elif stat.S_ISLNK(mode):
            found[name] = f"link to {path.readlink()}"
        elif not stat.S_ISDIR(mode):
            found[name] = "no file"
    return found


def run_command(
    arguments: list[str],
    *,
    may_write: Callable[[str], bool],
    may_leave: str | None = None,
    must_fail: bool = False,
    codes: tuple[int, ...] = (0, 2),
) -> bool:
    """Runs a command line in the current folder, and checks what it says and leaves.

    Args:
        arguments: of the command line.
        may_write: whether a file, by its name in the folder, is one that the command was asked to write. One that was
            there before may never change: no line asks for it.
        may_leave: beginning of the names of files that stay when the command fails: what was done is kept.
        must_fail: whether success would be wrong.
        codes: exit codes that the command has; those of checks are 1 where something was found.

    Returns:
        Whether it succeeded.
    """
    before = snapshot()
    with in_time_and_memory(), torch.random.fork_rng():
        result = CliRunner().invoke(app, arguments)
    shown = f"{arguments}\n{result.output[-2000:]}"
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise AssertionError(f"a traceback: {shown}") from result.exception
    assert result.exit_code in codes, shown
    after = snapshot()
    changed = {name for name in {*before, *after} if before.get(name) != after.get(name)}
    if result.exit_code == 2:
        errors = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
        is_usage = "Usage: " in result.stderr
        assert is_usage or len(errors) == 1, shown
        for error in errors:
            check_sentence(error)
        left = {name for name in changed if may_leave is None or not name.startswith(may_leave)}
        assert not left, f"{left} left by {shown}"
    else:
        assert not must_fail, f"a wrong success: {shown}"
        assert all(may_write(name) and name not in before for name in changed), f"{changed} changed by {shown}"
    return result.exit_code == 0
