"""Pieces that pictures are put together from. Pictures are RGB uint8 (H, W, 3) throughout."""

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ingredients.core.arrays import UInt8Array

Colour = tuple[int, int, int]

WHITE: Colour = (255, 255, 255)
INK: Colour = (32, 32, 32)
GAP = 4
"""Pixels between two pieces."""

IDENTITY_COLOURS: tuple[Colour, ...] = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (204, 121, 167),
    (213, 94, 0),
    (0, 114, 178),
    (240, 228, 66),
    (110, 110, 110),
)
"""Okabe and Ito's palette, which people with colour blindness can tell apart; it repeats after eight identities."""


def identity_colour(index: int) -> Colour:
    """The colour of identity number `index`."""
    return IDENTITY_COLOURS[index % len(IDENTITY_COLOURS)]


def resize(picture: UInt8Array, *, width: int, height: int, smooth: bool = True) -> UInt8Array:
    """Scales a picture; `smooth=False` keeps hard edges, for maps."""
    method = Image.Resampling.LANCZOS if smooth else Image.Resampling.NEAREST
    return np.asarray(Image.fromarray(picture).resize((width, height), method))


def fit_height(picture: UInt8Array, height: int) -> UInt8Array:
    """Scales a picture to a height, keeping its proportions."""
    return resize(picture, width=max(1, round(picture.shape[1] * height / picture.shape[0])), height=height)


def in_row(pictures: Sequence[UInt8Array], *, gap: int = GAP) -> UInt8Array:
    """Pictures side by side on white, aligned at the top."""
    height = max(picture.shape[0] for picture in pictures)
    width = sum(picture.shape[1] for picture in pictures) + gap * (len(pictures) - 1)
    sheet = blank(height, width)
    left = 0
    for picture in pictures:
        sheet[: picture.shape[0], left : left + picture.shape[1]] = picture
        left += picture.shape[1] + gap
    return sheet


def in_column(pictures: Sequence[UInt8Array], *, gap: int = GAP) -> UInt8Array:
    """Pictures below each other on white, aligned at the left."""
    return in_row([picture.transpose(1, 0, 2) for picture in pictures], gap=gap).transpose(1, 0, 2)


def in_grid(pictures: Sequence[UInt8Array], *, columns: int, gap: int = GAP) -> UInt8Array:
    """Pictures row by row."""
    return in_column(
        [in_row(pictures[first : first + columns], gap=gap) for first in range(0, len(pictures), columns)], gap=gap
    )


def with_margin(picture: UInt8Array, *, margin: int = 2 * GAP) -> UInt8Array:
    """A picture with white around it."""
    return np.pad(picture, ((margin, margin), (margin, margin), (0, 0)), constant_values=255)


def blank(height: int, width: int) -> UInt8Array:
    """A white picture."""
    return np.full((height, width, 3), 255, dtype=np.uint8)


def at_least_as_wide(picture: UInt8Array, width: int) -> UInt8Array:
    """A picture with white at its right, if it is narrower than that."""
    return in_row([picture, blank(1, width - picture.shape[1])], gap=0) if picture.shape[1] < width else picture


def text_width(text: str, *, size: int = 13) -> int:
    """Pixels that `text_line` needs for a text."""
    return math.ceil(ImageFont.load_default(size).getlength(text))


def text_line(text: str, *, width: int, size: int = 13, colour: Colour = INK) -> UInt8Array:
    """A line of text; what does not fit is cut and ends in an ellipsis."""
    font = ImageFont.load_default(size)
    if font.getlength(text) > width:
        while text and font.getlength(text + "…") > width:
            text = text[:-1]
        text += "…"
    line = Image.new("RGB", (width, round(size * 1.4)), WHITE)
    ImageDraw.Draw(line).text((0, 0), text, font=font, fill=colour)
    return np.asarray(line)


def titled(picture: UInt8Array, title: str, *, size: int = 13, colour: Colour = INK) -> UInt8Array:
    """A picture below a line of text as wide as it."""
    return in_column([text_line(title, width=picture.shape[1], size=size, colour=colour), picture], gap=1)
