"""How every command speaks: results on standard output, everything else on standard error.

This is the one place where anything is printed, and where names, prompts and metadata are made fit for a terminal.
"""

import contextlib
import errno
import functools
import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from ingredients.apps.quiet_libraries import only_our_words
from ingredients.core.errors import OutputError, UserInputError
from ingredients.core.json_yaml import finite_or_none, to_json
from ingredients.core.printable import printable, printable_lines

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

USER_MISTAKE = 2
INTERRUPTED = 130
"""What shells report for Ctrl-C: 128 + SIGINT."""

_NUM_PROBLEMS_SHOWN = 40
_MOST_LETTERS = 1000
"""A longer message loses its middle: it begins with what it is about and ends with what helps."""


class IngredientsGroup(TyperGroup):
    """Commands in which a user's mistake is one sentence and exit code 2, and Ctrl-C says what became of the files.

    Nothing but our own words reaches the terminal.
    """

    def main(self, *args: Any, **options: Any) -> Any:
        """Runs the command line, on streams that take every letter."""
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace")
        return super().main(*args, **options)

    def make_context(self, *args: Any, **options: Any) -> Any:
        """Reads the options."""
        with _printable_usage():
            return super().make_context(*args, **options)

    def invoke(self, ctx: Any) -> Any:
        """Runs the command."""
        try:
            # A photo's warning is told once, however often it is read.
            with _printable_usage(), only_our_words(functools.cache(note)):
                return super().invoke(ctx)
        except UserInputError as error:
            say(f"Error: {printable_lines(str(error), most=_MOST_LETTERS)}")
            raise typer.Exit(USER_MISTAKE) from error
        except KeyboardInterrupt as interruption:
            # Training says what is kept of a run, and which signal it was.
            say(
                str(interruption)
                or "Interrupted; results are written whole or not at all, so nothing half-written is left."
            )
            raise typer.Exit(getattr(interruption, "exit_code", INTERRUPTED)) from interruption


@contextlib.contextmanager
def whole_streams() -> Iterator[None]:
    """Runs a process in which streams that are closed, or cannot be written to, harm nothing but themselves.

    A file that is opened while standard output is closed would take its place, and what is printed would go into it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    if sys.stderr is not None:
        sys.stderr = _Forgiving(sys.stderr)
    try:
        yield
    finally:
        with contextlib.suppress(AttributeError):
            try:
                sys.stdout.flush()
            except (OSError, ValueError) as error:  # help texts, which are printed elsewhere
                _give_up(sys.stdout)
                say(f"Error: Standard output could not be written ({getattr(error, 'strerror', None) or error}).")
                sys.exit(USER_MISTAKE)


class _Forgiving:
    """A stream for people that goes on where nothing can be written: progress bars must not end a night's work."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Writes, if it can."""
        with self._giving_up():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flushes, if it can."""
        with self._giving_up():
            self._stream.flush()

    @contextlib.contextmanager
    def _giving_up(self) -> Iterator[None]:
        try:
            yield
        except OSError:
            _give_up(self._stream)


@contextlib.contextmanager
def _printable_usage() -> Iterator[None]:
    """Makes what is said of a wrong option fit for a terminal, for it holds what was given."""
    try:
        yield
    except TyperException as error:
        # pydantic, by which values are read, says first that it was a ValueError
        error.message = printable_lines(error.message.removeprefix("Value error, "), most=_MOST_LETTERS)
        raise


def show(text: object) -> None:
    """Prints a result, on standard output.

    Raises:
        OutputError: if it cannot be written there; it stands on standard error then.
    """
    _write_result(printable_lines(str(text)))


def show_json(*values: Any) -> None:
    """Prints JSON objects, a line each, on standard output; numbers that are not finite are null.

    Letters stand as they are where the stream knows them and they are harmless, and else as JSON's escapes.

    Raises:
        OutputError: as `show`.
    """
    _write_result("\n".join(_json_line(finite_or_none(each)) for each in values))


def show_rendered(*parts: "RenderableType") -> None:
    """Prints tables and the like of rich on standard output; foreign text in them goes through `cell`.

    Raises:
        OutputError: as `show`.
    """
    from rich.console import Console

    console = Console(highlight=False)
    with console.capture() as captured:
        for part in parts:
            console.print(part)
    _write_result(captured.get().removesuffix("\n"))


def cell(text: object) -> "Text":
    """Foreign text for a table: rich takes no part of it for markup, nor the terminal for a command."""
    from rich.text import Text

    return Text(printable(str(text), most=None))


def say(message: str) -> None:
    """Prints a line for the person at the terminal, on standard error; where that is gone, nobody is there to read."""
    with contextlib.suppress(OSError, ValueError):
        _write_to(sys.stderr, printable_lines(message))


def _json_line(values: Any) -> str:
    text = to_json(values)
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "ascii")
    except UnicodeEncodeError:
        return json.dumps(values, allow_nan=False)
    return text if printable_lines(text) == text else json.dumps(values, allow_nan=False)


def _write_result(text: str) -> None:
    try:
        _write_to(sys.stdout, text)
    except (OSError, ValueError) as error:  # ValueError: the stream was closed
        _give_up(sys.stdout)
        say(text)
        reason = getattr(error, "strerror", None) or error
        raise OutputError(
            f"Standard output could not be written ({reason}); what belongs there stands on standard error."
        ) from error


def _write_to(stream: Any, text: str) -> None:
    if stream is None:  # closed by who started the program
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    encoding = stream.encoding or "utf-8"
    stream.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
    stream.flush()  # or an error would come when nobody can be told of it


def _give_up(stream: Any) -> None:
    """Lets what is left in a stream's buffer go nowhere, or Python would end with an error of its own."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def note(message: str) -> None:
    """Tells the person at the terminal something worth knowing, beside what was asked for."""
    say(f"Note: {printable_lines(message, most=_MOST_LETTERS)}")


@contextlib.contextmanager
def kept_when_interrupted(kept: str, folder: Path) -> Iterator[None]:
    """Says what of the block's work is kept in a folder when Ctrl-C ends it, and that the same command goes on."""
    try:
        yield
    except KeyboardInterrupt as interruption:
        say(f"Interrupted; {kept} kept in {folder}, and the same command goes on from there.")
        raise typer.Exit(INTERRUPTED) from interruption


def is_given(context: typer.Context, name: str) -> bool:
    """Whether a parameter was given on the command line; its default was taken otherwise."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def problem_lines(problems: Sequence[tuple[str, bool, str]]) -> list[str]:
    """A line for each of the first problems that a check found: of what, whether it is fatal, and which."""
    lines = [f"{where}: {'' if is_fatal else 'doubtful: '}{problem}" for where, is_fatal, problem in problems]
    num_more = len(lines) - _NUM_PROBLEMS_SHOWN
    return lines if num_more <= 0 else [*lines[:_NUM_PROBLEMS_SHOWN], f"... and {num_more} more; --json has them all"]


def with_examples(description: str, *examples: str) -> str:
    """Joins a command's description and example command lines to its help."""
    lines = "\n".join(f"  {example}" for example in examples)
    return f"{description}\n\nExamples:\n\n\b\n{lines}"
