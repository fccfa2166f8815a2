"""Sheets that show who was asked for beside what came out: examples (Figure 1 of the paper), and methods (Figure 3).

Legend: F frames, H/W pixels.
"""

import dataclasses
from collections.abc import Mapping, Sequence

from ingredients.core.arrays import UInt8Array
from ingredients.visualisation.contact_sheet import evenly_spread
from ingredients.visualisation.layout import (
    GAP,
    at_least_as_wide,
    fit_height,
    fit_square,
    framed,
    identity_colour,
    in_column,
    in_grid,
    in_row,
    in_the_middle,
    text_block,
    text_line,
    titled,
    with_margin,
)

_NAME_SIZE = 11
_SMALLEST_SIDE = 16


def photo_block(photos: Mapping[str, UInt8Array], *, height: int, rows: int | None = None) -> UInt8Array:
    """Photos with their names, framed in the identities' colours.

    Args:
        photos: one photo (H, W, 3) a person, by name, in the order of the identities.
        height: pixels of the block.
        rows: the rows of photos; two, or one for a single person, without it.
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


_FRAME_HEIGHT = 160
"""Pixels of a frame on the sheet."""

_PROMPT_SIZE = 15


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Asked:
    """What a video was asked for with."""

    prompt: str
    """What was asked for."""

    photos: Mapping[str, UInt8Array]
    """A photo (H, W, 3) of each person, by name."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GalleryExample(Asked):
    """A video, and what it was made from."""

    frames: UInt8Array
    """(F, H, W, 3)."""


def gallery(
    examples: Sequence[GalleryExample], *, num_frames: int = 5, frame_height: int = _FRAME_HEIGHT
) -> UInt8Array:
    """Puts examples below each other: the prompt, and under it the photos beside a row of frames.

    Returns:
        A picture (height, width, 3).

    Raises:
        ValueError: if there is no example.
    """
    if not examples:
        raise ValueError("a gallery needs at least one example")
    blocks = [photo_block(example.photos, height=frame_height) for example in examples]
    width = max(block.shape[1] for block in blocks)
    rows = []
    for example, block in zip(examples, blocks, strict=True):
        strip = frame_strip(example.frames, num_frames=num_frames, height=frame_height)
        row = in_row([at_least_as_wide(block, width), strip], gap=12)
        rows.append(in_column([text_block(example.prompt, width=row.shape[1], size=_PROMPT_SIZE), row], gap=6))
    return with_margin(in_column(rows, gap=20))


_METHODS_HEIGHT = 128
"""Pixels of a frame on the sheet."""

_LABEL_WIDTH = 130
_NOTE_SIZE = 11


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MethodsCase(Asked):
    """A case, and what each method made of it."""

    videos: Mapping[str, UInt8Array]
    """Frames (F, H, W, 3) by the method's name, from the first row to the last."""

    notes: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """What to write below a method's name, say its similarity."""


def methods_sheet(
    cases: Sequence[MethodsCase], *, num_frames: int = 4, frame_height: int = _METHODS_HEIGHT
) -> UInt8Array:
    """Puts cases below each other: prompt and photos at the left, and at their right a row of frames for each method.

    Returns:
        A picture (height, width, 3).

    Raises:
        ValueError: if there is no case.
    """
    if not cases:
        raise ValueError("a sheet of methods needs at least one case")
    return with_margin(
        in_column([_case_block(case, num_frames=num_frames, height=frame_height) for case in cases], gap=24)
    )


def _case_block(case: MethodsCase, *, num_frames: int, height: int) -> UInt8Array:
    rows = []
    for method, frames in case.videos.items():
        label = [text_block(method, width=_LABEL_WIDTH)]
        if method in case.notes:
            label.append(text_block(case.notes[method], width=_LABEL_WIDTH, size=_NOTE_SIZE))
        strip = frame_strip(frames, num_frames=num_frames, height=height)
        rows.append(in_row([in_the_middle(in_column(label, gap=2), strip.shape[0]), strip]))
    block = in_row([photo_block(case.photos, height=2 * height), in_column(rows)], gap=12)
    return in_column([text_block(case.prompt, width=block.shape[1], size=_PROMPT_SIZE), block], gap=6)
