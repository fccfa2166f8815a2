"""Training curves (Figure 6 of the paper) from the logs that training writes."""

import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from ingredients.core.arrays import UInt8Array
from ingredients.core.errors import UserInputError
from ingredients.core.optional_dependencies import import_optional

_STEP = "step"


def read_log(path: str | Path) -> list[dict[str, float]]:
    """Reads a log of one JSON object a line, each with its step; what is not a number is left out.

    Raises:
        UserInputError: if it cannot be read or holds something else.
    """
    try:
        lines = [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise UserInputError(f"The training log {path} cannot be read: {error}.") from error
    if not lines or not all(isinstance(line, dict) and _STEP in line for line in lines):
        raise UserInputError(f"The file {path} is no training log: each line must be a JSON object with a step.")
    return [{name: float(value) for name, value in line.items() if isinstance(value, int | float)} for line in lines]


def training_curves(
    logs: Mapping[str, Sequence[Mapping[str, float]]], *, metrics: Sequence[str] | None = None, columns: int = 2
) -> UInt8Array:
    """Draws one panel a metric, with one line a run.

    Args:
        logs: lines of `read_log` by the name of the run.
        metrics: keys to draw; all that occur, without one.
        columns: panels side by side.

    Returns:
        A picture (height, width, 3).

    Raises:
        UserInputError: if there is nothing to draw.
        MissingDependencyError: if matplotlib is not installed.
    """
    import_optional("matplotlib", extra="plots")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    names = metrics or sorted({name for lines in logs.values() for line in lines for name in line} - {_STEP})
    if not names:
        raise UserInputError("The training logs hold no metric to draw.")
    rows = math.ceil(len(names) / columns)
    figure = Figure(figsize=(5.0 * columns, 3.0 * rows), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(rows, columns, squeeze=False).flatten()
    for panel, name in zip(panels, names, strict=False):
        for run, lines in logs.items():
            points = [(line[_STEP], line[name]) for line in lines if name in line]
            if points:
                panel.plot(*zip(*points, strict=True), label=run, linewidth=1.2)
        panel.set_title(name)
        panel.set_xlabel(_STEP)
        panel.grid(alpha=0.3)
        panel.legend(fontsize="small")
    for panel in panels[len(names) :]:
        panel.set_axis_off()
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    return np.asarray(Image.open(picture).convert("RGB"))
