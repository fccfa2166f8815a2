"""Progress with the time left, on standard error, so that standard output stays clean."""

import contextlib
from collections.abc import Iterator

from ingredients.core.protocols import ProgressCallback


@contextlib.contextmanager
def show_progress(description: str, *, enabled: bool = True) -> Iterator[ProgressCallback]:
    """Shows a bar with the time left while the block runs; call what it gives with (completed, total)."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

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

        yield update
