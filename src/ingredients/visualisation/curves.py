"""Training curves (Figure 6 of the paper) from the logs that training writes."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from ingredients.core.arrays import UInt8Array
from ingredients.core.errors import UserInputError
from ingredients.core.training_log import STEP, read_training_log
from ingredients.visualisation.plots import new_figure, to_picture

ROUTER_STAGE_LOSSES = ("diffusion_loss", "routing_loss")
"""What the paper's figure shows."""

_FEW_POINTS = 12


def read_log(path: str | Path) -> list[dict[str, float]]:
    """Reads a log of one JSON object a line, each with its step; what is not a number is left out.

    Raises:
        UserInputError: if it cannot be read, is empty or holds something else.
    """
    lines = [
        {STEP: float(step), **{name: float(value) for name, value in metrics.items() if not isinstance(value, str)}}
        for step, metrics in read_training_log(Path(path))
    ]
    if not lines:
        raise UserInputError(f"The training log {path} cannot be read: it holds no line.")
    return lines


def training_curves(
    logs: Mapping[str, Sequence[Mapping[str, float]]],
    *,
    metrics: Sequence[str] | None = None,
    columns: int = 2,
    smoothing: float = 0.0,
) -> UInt8Array:
    """Draws one panel a metric, with one line a run.

    Args:
        logs: lines of `read_log` by the name of the run.
        metrics: keys to draw, such as `ROUTER_STAGE_LOSSES`; all that occur, without one.
        columns: panels side by side.
        smoothing: share of the earlier lines in each point of a moving average; above 0, the average is drawn and the
            line itself pale behind it.

    Returns:
        A picture (height, width, 3).

    Raises:
        UserInputError: if there is nothing to draw.
        MissingDependencyError: if matplotlib is not installed.
    """
    names = metrics or sorted({name for lines in logs.values() for line in lines for name in line} - {STEP})
    if not names:
        raise UserInputError("The training logs hold no metric to draw.")
    rows = math.ceil(len(names) / columns)
    figure = new_figure(width=5.0 * columns, height=3.0 * rows)
    panels = figure.subplots(rows, columns, squeeze=False).flatten()
    for panel, name in zip(panels, names, strict=False):
        for number, (run, lines) in enumerate(logs.items()):
            points = [(line[STEP], line[name]) for line in lines if name in line]
            if not points:
                continue
            steps, values = zip(*points, strict=True)
            colour = f"C{number}"
            marker = "o" if len(points) <= _FEW_POINTS else ""  # of a single one, a line shows nothing
            if smoothing > 0:
                panel.plot(steps, values, color=colour, alpha=0.25, linewidth=0.8)
            panel.plot(
                steps, smooth(values, smoothing), color=colour, label=run, linewidth=1.3, marker=marker, markersize=4
            )
        panel.set_title(name.replace("_", " "))
        panel.set_xlabel(STEP)
        panel.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)  # also around a single one
        panel.grid(alpha=0.3)
        panel.legend(fontsize="small")
    for panel in panels[len(names) :]:
        panel.set_axis_off()
    return to_picture(figure)


def smooth(values: Sequence[float], smoothing: float) -> list[float]:
    """The moving average with the given share of what came before, without the pull of its start towards 0.

    Raises:
        ValueError: for a share outside of [0, 1).
    """
    if not 0 <= smoothing < 1:
        raise ValueError(f"smoothing must be at least 0 and below 1, not {smoothing}")
    averages: list[float] = []
    total = weight = 0.0
    for value in values:
        total = smoothing * total + (1 - smoothing) * value
        weight = smoothing * weight + (1 - smoothing)
        averages.append(total / weight)
    return averages
