"""What a run says on standard error while it trains: a bar on a terminal, a line now and then in a redirected log."""

import contextlib
import re
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

from ingredients.core.progress import duration_in_words


class ProgressReport:
    """Tells how far a run is; this one tells nobody.

    Args:
        name: the name of the run's stage.
        num_steps: the number of steps of the whole run, which may end sooner by its minutes.
        progress: share of the run that is done already.
    """

    def __init__(self, name: str, *, num_steps: int, progress: float) -> None:
        self.name = name
        self.num_steps = num_steps
        self._first = progress
        self._began = time.monotonic()

    def step(self, step: int, *, progress: float, loss: float | None, learning_rate: float) -> None:
        """A step was done.

        Args:
            step: its number.
            progress: share of the run that is done.
            loss: the loss of the last steps; None where none could be used.
            learning_rate: the rate at the moment.
        """

    def logged(self, step: int, metrics: Mapping[str, float]) -> None:
        """Numbers of the last steps went to the log."""

    def measured(self, step: int, metrics: Mapping[str, float]) -> None:
        """Numbers of held-out data went to the log."""

    def time_left(self, progress: float) -> str:
        """How long the rest takes at the speed so far."""
        done = progress - self._first
        if done <= 0:
            return "?"
        return duration_in_words((time.monotonic() - self._began) * max(1 - progress, 0) / done)

    def _state(self, step: int, progress: float, loss: float | None, learning_rate: float) -> str:
        shown = "-" if loss is None else f"{loss:.4f}"
        return (
            f"step {step:,} of {self.num_steps:,}, loss {shown}, learning rate {learning_rate:.2g}, "
            f"{self.time_left(progress)} left"
        )


class _Lines(ProgressReport):
    """A line of each that is logged, at once."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._last = ""

    def step(self, step: int, *, progress: float, loss: float | None, learning_rate: float) -> None:
        self._last = self._state(step, progress, loss, learning_rate)

    def logged(self, step: int, metrics: Mapping[str, float]) -> None:
        del step, metrics
        self._say(self._last)

    def measured(self, step: int, metrics: Mapping[str, float]) -> None:
        self._say(f"step {step:,}, {_measured_in_words(metrics)}")

    def _say(self, text: str) -> None:
        sys.stderr.write(f"{self.name}: {text}\n")
        sys.stderr.flush()


class _Bar(ProgressReport):
    """A bar, and above it a line of what was measured."""

    def __init__(self, progress_bar: Any, task: Any, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._bar = progress_bar
        self._task = task

    def step(self, step: int, *, progress: float, loss: float | None, learning_rate: float) -> None:
        self._bar.update(self._task, completed=progress, state=self._state(step, progress, loss, learning_rate))

    def measured(self, step: int, metrics: Mapping[str, float]) -> None:
        text = f"{self.name}: step {step:,}, {_measured_in_words(metrics)}"
        self._bar.console.print(text, highlight=False, markup=False)


@contextlib.contextmanager
def reporting(name: str, *, num_steps: int, progress: float, enabled: bool) -> Iterator[ProgressReport]:
    """Tells standard error of a run while the block runs."""
    settings = {"num_steps": num_steps, "progress": progress}
    if not enabled:
        yield ProgressReport(name, num_steps=num_steps, progress=progress)
        return

    try:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn
    except ImportError:
        yield _Lines(name, **settings)
        return

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Lines(name, **settings)
        return
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=20), TextColumn("{task.fields[state]}"))
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(name, total=1.0, state="getting ready")  # held-out clips are measured first
        bar.update(task, completed=progress)
        yield _Bar(bar, task, name, **settings)


def _measured_in_words(metrics: Mapping[str, float]) -> str:
    """What held-out data say, without the numbers by noise level and by block."""
    chosen = {name: value for name, value in metrics.items() if not re.search(r"_(t\d+|block\d+)", name)}
    return ", ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in chosen.items())
