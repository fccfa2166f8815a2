"""Where it goes wrong (Figure 4 of the paper): the worst cases, and how much of it the router explains.

Legend: F frames, H/W pixels.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw

from ingredients.core.arrays import UInt8Array
from ingredients.visualisation.layout import (
    WHITE,
    Colour,
    at_least_as_wide,
    blank,
    fit_height,
    in_column,
    in_row,
    load_font,
    text_block,
    text_line,
    titled,
    with_margin,
    writable,
)
from ingredients.visualisation.people_sheets import GalleryExample, frame_strip, photo_block
from ingredients.visualisation.plots import new_figure, to_picture

FRAME_HEIGHT = 128
"""Pixels of a frame on the sheet."""

_LABEL_COLOUR: Colour = (176, 32, 32)
_PROMPT_SIZE = 14
_TITLE_SIZE = 11
_FEWEST_FOR_AN_INTERVAL = 4


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Failure(GalleryExample):
    """A video that went wrong."""

    label: str
    """How: say, copied from the photo, canvas taken for a first frame, wrong person routed."""

    numbers: Mapping[str, float] = dataclasses.field(default_factory=dict)
    """What was measured, by name."""

    evidence: Mapping[str, UInt8Array] = dataclasses.field(default_factory=dict)
    """More pictures (H, W, 3) by title, at the end of the row: the canvas, a routing map over a frame."""


def failures_sheet(
    failures: Sequence[Failure], *, num_frames: int = 4, frame_height: int = FRAME_HEIGHT
) -> UInt8Array:
    """Puts failures below each other: label, numbers and prompt, and under them photos, frames and evidence.

    Returns:
        A picture (height, width, 3).

    Raises:
        ValueError: if there is none.
    """
    if not failures:
        raise ValueError("a sheet of failures needs at least one")
    blocks = [photo_block(failure.photos, height=frame_height) for failure in failures]
    width = max(block.shape[1] for block in blocks)
    title_height = len(titled(blank(1, 1), "", size=_TITLE_SIZE)) - 1
    rows = []
    for failure, block in zip(failures, blocks, strict=True):
        strip = frame_strip(failure.frames, num_frames=num_frames, height=frame_height)
        evidence = [
            titled(fit_height(picture, frame_height - title_height), title, size=_TITLE_SIZE)
            for title, picture in failure.evidence.items()
        ]
        row = in_row([at_least_as_wide(block, width), strip, *evidence], gap=10)
        numbers = "   ".join(f"{name} {value:.2f}" for name, value in failure.numbers.items())
        chip = _chip(failure.label)
        head = in_row([chip, text_line(numbers, width=max(1, row.shape[1] - chip.shape[1]))], gap=10)
        prompt = text_block(failure.prompt, width=row.shape[1], size=_PROMPT_SIZE)
        rows.append(in_column([head, prompt, row], gap=4))
    return with_margin(in_column(rows, gap=22))


def correlation_plot(
    errors: Sequence[float],
    similarities: Sequence[float],
    *,
    labels: Sequence[str] | None = None,
    error_name: str = "router error",
    similarity_name: str = "similarity to the photos",
) -> UInt8Array:
    """Draws one point a case, the line that fits them best, and Pearson's correlation with its 95 % interval.

    Args:
        errors: the errors of each case.
        similarities: the similarities of each case.
        labels: kind of failure of each case, for its colour.
        error_name: the name of the axis to the right.
        similarity_name: the name of the axis upwards.

    Returns:
        A picture (height, width, 3).

    Raises:
        ValueError: if the numbers of cases differ, or there are fewer than two.
        MissingDependencyError: if matplotlib is not installed.
    """
    if not len(errors) == len(similarities) >= 2 or (labels is not None and len(labels) != len(errors)):
        raise ValueError(
            f"a correlation needs two or more cases with one number each, not {len(errors)} errors, "
            f"{len(similarities)} similarities and {len(errors) if labels is None else len(labels)} labels"
        )
    figure = new_figure(width=6.0, height=4.5)
    panel = figure.subplots()
    across, up = np.asarray(errors, np.float64), np.asarray(similarities, np.float64)
    kinds = list(labels) if labels is not None else [""] * len(across)
    for kind in dict.fromkeys(kinds):
        chosen = np.array([each == kind for each in kinds])
        panel.scatter(across[chosen], up[chosen], s=26, alpha=0.75, label=kind or None)
    correlation = pearson(across, up)
    if correlation is None:
        text = f"no correlation: one of the two is the same for all {len(across)} cases"
    else:
        slope, height = np.polyfit(across, up, 1)
        ends = np.array([across.min(), across.max()])
        panel.plot(ends, slope * ends + height, color="black", linewidth=1, linestyle="--")
        text = f"r = {correlation[0]:.2f}"
        if len(across) >= _FEWEST_FOR_AN_INTERVAL:
            text += f" (95 %: {correlation[1]:.2f} to {correlation[2]:.2f})"
        text += f", {len(across)} cases"
    panel.set_title(text, fontsize="medium")
    panel.set_xlabel(error_name)
    panel.set_ylabel(similarity_name)
    panel.grid(alpha=0.3)
    if labels is not None:
        panel.legend(fontsize="small")
    return to_picture(figure)


def pearson(
    first: np.ndarray[tuple[int], np.dtype[np.float64]], second: np.ndarray[tuple[int], np.dtype[np.float64]]
) -> tuple[float, float, float] | None:
    """Pearson's correlation with its 95 % interval by Fisher's z; None where one of the two does not vary."""
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    value = float(np.clip(np.corrcoef(first, second)[0, 1], -1.0, 1.0))
    if len(first) < _FEWEST_FOR_AN_INTERVAL or abs(value) == 1:
        return value, value, value
    z, spread = math.atanh(value), 1.96 / math.sqrt(len(first) - 3)
    return value, math.tanh(z - spread), math.tanh(z + spread)


def _chip(text: str) -> UInt8Array:
    """White text on a coloured ground."""
    font = load_font(13)
    text = writable(text, font)
    chip = Image.new("RGB", (math.ceil(font.getlength(text)) + 12, 20), _LABEL_COLOUR)
    ImageDraw.Draw(chip).text((6, 2), text, font=font, fill=WHITE)
    return np.asarray(chip)
