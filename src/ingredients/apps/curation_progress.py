"""How far curation has come, at the terminal and in its log."""

import contextlib
import time
import types
from pathlib import Path
from typing import IO, Any, Self

from ingredients.apps.terminal import say
from ingredients.core.errors import OutputError

_TITLES = {
    "copying": "Copying",
    "reading": "Reading",
    "videos": "Videos",
    "survey": "Decoding",
    "duplicates": "Duplicates",
    "near duplicates": "Near copies",
    "cut": "Cutting",
    "embedding": "Embedding",
    "people": "People",
    "masks": "Masks",
    "portraits": "Portraits",
    "acting": "Actions",
    "answers": "Answers",
    "captions": "Captions",
}


class CurationProgress:
    """A bar for each step, with the time left, what it does a second and what was left out so far; a log line a clip.

    Args:
        log: file of the log, written anew.
        verbose: whether the log's lines are printed, too.
        console: rich's, to draw on; None takes standard error.
    """

    def __init__(self, log: Path, *, verbose: bool, console: Any = None) -> None:
        self._console = console
        self._path = log
        self._verbose = verbose
        self._stack = contextlib.ExitStack()
        self._log: IO[str] | None = None
        self._progress: Any = None
        self._tasks: dict[str, Any] = {}
        self._begun: dict[str, float] = {}

    def __enter__(self) -> Self:
        """Opens the log, and shows the bars if rich is there."""
        try:
            self._log = self._stack.enter_context(self._path.open("w", encoding="utf-8"))
        except OSError as error:
            raise OutputError(
                f"The log {self._path} cannot be written ({error.strerror}); choose another folder."
            ) from error
        with contextlib.suppress(ImportError):
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

            self._progress = self._stack.enter_context(
                Progress(
                    TextColumn("{task.description:<11}"),
                    BarColumn(bar_width=6),
                    TextColumn("{task.fields[done]}"),
                    TextColumn("left"),
                    TimeRemainingColumn(),
                    TextColumn("{task.fields[note]}"),
                    console=self._console or Console(stderr=True),
                )
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> None:
        """Closes both."""
        self._stack.close()

    def step(self, name: str, done: float, total: float | None, note: str = "") -> None:
        """Draws a step's bar."""
        if self._progress is None:
            return
        if name not in self._tasks:
            self._begun[name] = time.monotonic()
            self._tasks[name] = self._progress.add_task(
                _TITLES.get(name, name.capitalize()), total=total, done="", note=""
            )
        elapsed = max(time.monotonic() - self._begun[name], 1e-3)
        if name == "survey":
            said = f"{done / 60:.1f} min, {done / elapsed:.0f}x"
        else:
            said = f"{done:.0f} of {total:.0f}" + (f", {done / elapsed:.1f}/s" if elapsed > 1 else "")
        self._progress.update(self._tasks[name], completed=done, total=total, done=said, note=note)

    def tell(self, sentence: str) -> None:
        """Prints a sentence, and writes it into the log."""
        self.clip(sentence)
        if not self._verbose:
            say(sentence)

    def clip(self, line: str) -> None:
        """Writes a line into the log."""
        if self._log is not None:
            self._log.write(line + "\n")
            self._log.flush()
        if self._verbose:
            say(line)
