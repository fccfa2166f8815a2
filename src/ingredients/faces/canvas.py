"""The white canvas that shows the transformer every face at once: the global half of the facial extractor (3.2).

Legend: N people, H/W pixels of the video, S side of a square crop.
"""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image

from ingredients.core.arrays import UInt8Array
from ingredients.core.errors import ShapeError

WHITE = 255
MIN_SLOT_SIZE = 8
"""Smallest side of a slot in pixels: below it a face is less than one cell of the VAE's latents."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CanvasSlot:
    """The square in which one face is pasted."""

    left: int
    """Pixels from the canvas's left edge."""

    top: int
    """Pixels from the canvas's top edge."""

    size: int
    """Side in pixels."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Grid:
    columns: int
    rows: int
    slot_size: int

    @property
    def num_slots(self) -> int:
        return self.columns * self.rows


def canvas_slots(num_people: int, height: int, width: int) -> list[CanvasSlot]:
    """Places `num_people` square slots on a canvas of `height` x `width` pixels, row by row.

    One or two people get two columns: at 720x480 the published positions, 360x360 at x = 0 and 360, y = 60. Three to
    six get three columns and two rows; more get the grid with the largest slots, and of those the one with the fewest
    slots. The grid as a whole is centred.

    Raises:
        ShapeError: if a slot would be smaller than 8 pixels.
    """
    if num_people < 1:
        raise ValueError(f"num_people must be at least 1, got {num_people}.")
    grid = _choose_grid(num_people, height, width)
    if grid.slot_size < MIN_SLOT_SIZE:
        raise ShapeError(
            f"{num_people} faces do not fit on a canvas of {width}x{height} pixels; "
            f"use at most {_max_people(height, width)} people, or a larger video."
        )
    margin_left = (width - grid.columns * grid.slot_size) // 2
    margin_top = (height - grid.rows * grid.slot_size) // 2
    return [
        CanvasSlot(
            left=margin_left + (index % grid.columns) * grid.slot_size,
            top=margin_top + (index // grid.columns) * grid.slot_size,
            size=grid.slot_size,
        )
        for index in range(num_people)
    ]


def compose_canvas(crops: Sequence[UInt8Array] | UInt8Array, height: int, width: int) -> UInt8Array:
    """Pastes aligned face crops on a white canvas of the video's size.

    Crop n goes to slot n of `canvas_slots`, resized by Pillow's default filter, as published.

    Args:
        crops: N RGB crops (S, S, 3), or one array (N, S, S, 3); S may differ from crop to crop.
        height: Of the video, in pixels.
        width: Of the video, in pixels.

    Returns:
        The canvas, RGB (H, W, 3).

    Raises:
        ShapeError: if so many faces do not fit.
    """
    canvas = np.full((height, width, 3), WHITE, dtype=np.uint8)
    for crop, slot in zip(crops, canvas_slots(len(crops), height, width), strict=True):
        face = Image.fromarray(np.asarray(crop, dtype=np.uint8)).resize((slot.size, slot.size))
        canvas[slot.top : slot.top + slot.size, slot.left : slot.left + slot.size] = np.asarray(face)
    return canvas


def _choose_grid(num_people: int, height: int, width: int) -> _Grid:
    if num_people <= 2:
        return _Grid(columns=2, rows=1, slot_size=min(width // 2, height))
    if num_people <= 6:
        return _Grid(columns=3, rows=2, slot_size=min(width // 3, height // 2))
    return max(_grids(num_people, height, width), key=lambda grid: (grid.slot_size, -grid.num_slots, grid.columns))


def _grids(num_people: int, height: int, width: int) -> Iterator[_Grid]:
    for columns in range(1, num_people + 1):
        rows = -(-num_people // columns)
        yield _Grid(columns=columns, rows=rows, slot_size=min(width // columns, height // rows))


def _max_people(height: int, width: int) -> int:
    most = (height // MIN_SLOT_SIZE) * (width // MIN_SLOT_SIZE)
    counts = range(most, 0, -1)
    return next((count for count in counts if _choose_grid(count, height, width).slot_size >= MIN_SLOT_SIZE), 0)
