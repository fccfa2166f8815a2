"""Pieces of the sheets that show who was asked for beside what came out.

Legend: F frames, H/W pixels.
"""

from collections.abc import Mapping

from ingredients.core.arrays import UInt8Array
from ingredients.visualisation.contact_sheet import evenly_spread
from ingredients.visualisation.layout import (
    GAP,
    fit_height,
    fit_square,
    framed,
    identity_colour,
    in_grid,
    in_row,
    text_line,
    titled,
)

_NAME_SIZE = 11
_SMALLEST_SIDE = 16


def photo_block(photos: Mapping[str, UInt8Array], *, height: int, rows: int | None = None) -> UInt8Array:
    """Photos with their names, framed in the identities' colours.

    Args:
        photos: one photo (H, W, 3) a person, by name, in the order of the identities.
        height: pixels of the block.
        rows: of photos; two, or one for a single person, without it.
    """
    rows = rows or min(2, len(photos))
    name_height = text_line("", width=1, size=_NAME_SIZE).shape[0] + 1
    side = max(_SMALLEST_SIDE, (height - GAP * (rows - 1)) // rows - name_height)
    cells = [
        titled(
            framed(fit_square(photo, side), identity_colour(index)),
            name,
            size=_NAME_SIZE,
            colour=identity_colour(index),
        )
        for index, (name, photo) in enumerate(photos.items())
    ]
    return in_grid(cells, columns=-(-len(cells) // rows))


def frame_strip(frames: UInt8Array, *, num_frames: int, height: int) -> UInt8Array:
    """Frames (F, H, W, 3) of a video side by side, spread evenly over it."""
    return in_row([fit_height(frames[index], height) for index in evenly_spread(len(frames), num_frames)])
