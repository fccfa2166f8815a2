"""Plots by matplotlib, as pictures (height, width, 3) like all others."""

import io
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from ingredients.core.arrays import UInt8Array
from ingredients.core.optional_dependencies import import_optional

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DOTS_PER_INCH = 100


def new_figure(*, width: float, height: float) -> "Figure":
    """An empty figure of so many inches, of a hundred pixels each.

    Raises:
        MissingDependencyError: if matplotlib is not installed.
    """
    import_optional("matplotlib", extra="plots")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=_DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def to_picture(figure: "Figure") -> UInt8Array:
    """Draws a figure."""
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    return np.asarray(Image.open(picture).convert("RGB"))
