"""Examples (Figure 1 of the paper): photos of the people beside frames of their video.

Legend: F frames, H/W pixels.
"""

import dataclasses
from collections.abc import Mapping, Sequence

from ingredients.core.arrays import UInt8Array
from ingredients.visualisation.layout import at_least_as_wide, in_column, in_row, text_block, with_margin
from ingredients.visualisation.people_and_frames import frame_strip, photo_block

FRAME_HEIGHT = 160
"""Pixels of a frame on the sheet."""

_PROMPT_SIZE = 15


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GalleryExample:
    """A video, and what it was made from."""

    prompt: str
    """What was asked for."""

    photos: Mapping[str, UInt8Array]
    """A photo (H, W, 3) of each person, by name."""

    frames: UInt8Array
    """(F, H, W, 3)."""


def gallery(
    examples: Sequence[GalleryExample], *, num_frames: int = 5, frame_height: int = FRAME_HEIGHT
) -> UInt8Array:
    """Puts examples below each other: the prompt, and under it the photos beside a row of frames.

    Args:
        examples: with any numbers of people; the frames begin where the widest block of photos ends.
        num_frames: frames of each, spread evenly.
        frame_height: pixels of a frame on the sheet.

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
