"""What training writes down of itself, read back: the log of a run and what it measured at its end."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ingredients.core.json_yaml import BadFileError, NotPlainError, found, iterate_lines, parse_json, read_json

LOG_NAME = "log.jsonl"
METRICS_NAME = "metrics.json"

STEP = "step"
"""In each line of a log, the step after which it was written."""

Metrics = dict[str, int | float | str]
"""What was measured, by name."""

_REMEDY = "put it back as the run wrote it, or train again"


def read_metrics_file(path: Path) -> Metrics:
    """Reads what a run measured at its end.

    Raises:
        MissingFileError: if there is no such file.
        BadFileError: if it holds something else.
    """
    try:
        return _metrics(read_json(path, remedy=_REMEDY))
    except NotPlainError as error:
        raise BadFileError(f"The file {path} is damaged ({error}); {_REMEDY}.") from error


def read_training_log(path: Path) -> Iterator[tuple[int, Metrics]]:
    """Reads the log of a run: each line's step, and what was measured.

    The last line may be half a one, for the run may be going on or was killed; it is left out.

    Raises:
        MissingFileError: if there is no such file.
        BadFileError: if it holds something else; it names the line.
    """
    for number, line in iterate_lines(path, remedy=_REMEDY):
        try:
            metrics = _metrics(parse_json(line))
            step = metrics.pop(STEP, None)
            if not isinstance(step, int) or step < 0:
                raise NotPlainError(f"its {STEP} must be a whole number, not {found(step)}")
        except NotPlainError as error:
            if not line.endswith(b"\n"):
                return
            raise BadFileError(
                f"The file {path} cannot be read: it is no training log (line {number}: {error}); {_REMEDY}."
            ) from error
        yield step, metrics


def _metrics(values: Any) -> Metrics:
    """Raises NotPlainError for anything else; what was no number when it was written is None, and left out."""
    if not isinstance(values, dict):
        raise NotPlainError(f"it must hold names and numbers, not {found(values)}")
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, float | int | str | None):
            raise NotPlainError(f"{found(name)} must be a number or a text, not {found(value)}")
    return {name: value for name, value in values.items() if value is not None}
