"""Progress with the time left, on standard error, so that standard output stays clean; and times in words."""

import contextlib
import sys
import time
from collections.abc import Iterator

from ingredients.core.protocols import ProgressCallback

_UNITS = (
    (2 * 365 * 86_400, 365 * 86_400, "years"),
    (90 * 86_400, 30.4 * 86_400, "months"),
    (2 * 86_400, 86_400, "days"),
    (90 * 60, 3600, "hours"),
    (90, 60, "minutes"),
)
"""From how many seconds on a unit is taken, how many it has, and its name."""

_MOST_YEARS = 100


def duration_in_words(seconds: float) -> str:
    """A time such as `12 minutes` or `3.5 days`: as precise as anybody plans by."""
    if seconds < 1:
        return "under a second"
    if seconds > _MOST_YEARS * 365 * 86_400:
        return f"over {_MOST_YEARS} years"
    for least, unit, name in _UNITS:
        if seconds >= least:
            number = seconds / unit
            return f"{number:.0f} {name}" if number >= 10 or name == "minutes" else f"{number:.1f} {name}"
    return "1 second" if round(seconds) == 1 else f"{seconds:.0f} seconds"


_SECONDS_BETWEEN_LINES = 10.0


@contextlib.contextmanager
def show_progress(description: str, *, enabled: bool = True) -> Iterator[ProgressCallback]:
    """Shows a bar with the time left while the block runs; call what it gives with (completed, total).

    Of a block that fails before it has done anything, no bar is left. Without rich, a line now and then says how far
    it has come.
    """
    try:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )
    except ImportError:
        yield _Lines(description, enabled=enabled)
        return

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), disable=not enabled) as progress:
        task = progress.add_task(description, total=None)

        def update(completed: int, total: int) -> None:
            progress.update(task, completed=completed, total=total)

        try:
            yield update
        except BaseException:
            # Nothing was done, so that what is said of it next is all that there is to see.
            progress.live.transient = not progress.tasks[task].completed
            raise


class _Lines:
    """Says by lines how far a piece of work has come: the first time, every so many seconds, and at its end."""

    def __init__(self, description: str, *, enabled: bool) -> None:
        self._description = description
        self._enabled = enabled
        self._told_at = -_SECONDS_BETWEEN_LINES

    def __call__(self, completed: int, total: int) -> None:
        """Says it, if it is time to."""
        now = time.monotonic()
        if self._enabled and (completed == total or now - self._told_at >= _SECONDS_BETWEEN_LINES):
            self._told_at = now
            sys.stderr.write(f"{self._description}: {completed} of {total}\n")
