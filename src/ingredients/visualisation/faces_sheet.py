"""What the facial extractor sees in photos: boxes, landmarks, aligned crops.

Legend: H/W pixels, S side of a crop.
"""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from ingredients.core.arrays import UInt8Array
from ingredients.core.protocols import Face
from ingredients.visualisation.layout import (
    Colour,
    fit_height,
    identity_colour,
    in_column,
    in_lines,
    load_font,
    path_line,
    resize,
    titled,
    with_margin,
)

PHOTO_HEIGHT = 256
"""Pixels of a photo on the sheet."""

MAX_WIDTH = 1300
"""Pixels after which a row goes on below: what a screen shows without shrinking it."""

_LEAST_TEXT_WIDTH = 480
"""Pixels for a path above a narrow photo."""

_OTHER_FACE: Colour = (150, 150, 150)


def faces_sheet(rows: Sequence[UInt8Array]) -> UInt8Array:
    """Puts the rows that `photo_row` made below each other.

    Raises:
        ValueError: if there is none.
    """
    if not rows:
        raise ValueError("a faces sheet needs at least one photo")
    return with_margin(in_column(rows, gap=12))


def photo_row(
    label: str,
    photo: UInt8Array,
    faces: Sequence[Face],
    *,
    taken: int = 0,
    crops: Sequence[tuple[str, UInt8Array]] = (),
    height: int = PHOTO_HEIGHT,
) -> UInt8Array:
    """A photo with its faces marked, beside what is cut out of it, and below where there is no more room.

    Args:
        label: a line above, the photo's path: where it does not fit, its end stays.
        photo: (H, W, 3).
        faces: those found, in the order of their numbers; none leaves the photo as it is.
        taken: index of the one that is used; the others are marked in grey.
        crops: titles and aligned crops (S, S, 3).
        height: pixels of the photo on the sheet.
    """
    photo_height = min(height, max(1, round(photo.shape[0] * MAX_WIDTH / photo.shape[1])))  # a panorama is lower
    pictures = [titled(mark_faces(photo, faces, taken=taken, height=photo_height), "detected", size=12)]
    pictures += [
        titled(resize(crop, width=height, height=height, smooth=False), title, size=12) for title, crop in crops
    ]
    row = in_lines(pictures, max_width=MAX_WIDTH)
    return in_column([path_line(label, width=max(row.shape[1], _LEAST_TEXT_WIDTH)), row])


def mark_faces(photo: UInt8Array, faces: Sequence[Face], *, taken: int, height: int) -> UInt8Array:
    """The photo (H, W, 3) scaled to a height, with boxes, numbers, scores and landmarks drawn over it."""
    picture = Image.fromarray(fit_height(photo, height))
    scale = picture.height / photo.shape[0]
    draw = ImageDraw.Draw(picture)
    for index, face in enumerate(faces):
        colour = identity_colour(0) if index == taken else _OTHER_FACE
        left, top, right, bottom = (face.box * scale).tolist()
        draw.rectangle((left, top, right, bottom), outline=colour, width=2)
        _draw_label(draw, f"#{index + 1}  {face.score:.2f}", left, top, colour)
        for column, row in (face.landmarks * scale).tolist():
            draw.ellipse((column - 3, row - 3, column + 3, row + 3), fill=colour, outline=(0, 0, 0))
    return np.asarray(picture)


def _draw_label(draw: ImageDraw.ImageDraw, text: str, left: float, bottom: float, colour: Colour) -> None:
    """Writes on a coloured ground above a box, or in its corner where the picture ends."""
    font = load_font(14)
    _, _, width, height = draw.textbbox((0, 0), text, font=font)
    top = max(0.0, bottom - height - 5)
    draw.rectangle((left, top, left + width + 8, top + height + 5), fill=colour)
    draw.text((left + 4, top + 2), text, font=font, fill=(0, 0, 0))
