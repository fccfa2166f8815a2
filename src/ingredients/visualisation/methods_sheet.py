"""Several methods on the same case (Figure 3 of the paper).

Legend: F frames, H/W pixels.
"""

import dataclasses
from collections.abc import Mapping, Sequence

from ingredients.core.arrays import UInt8Array
from ingredients.visualisation.layout import in_column, in_row, in_the_middle, text_block, with_margin
from ingredients.visualisation.people_and_frames import frame_strip, photo_block

FRAME_HEIGHT = 128
"""Pixels of a frame on the sheet."""

_LABEL_WIDTH = 130
_PROMPT_SIZE = 15
_NOTE_SIZE = 11


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MethodsCase:
    """A case, and what each method made of it."""

    prompt: str
    """What was asked for."""

    photos: Mapping[str, UInt8Array]
    """A photo (H, W, 3) of each person, by name."""

    videos: Mapping[str, UInt8Array]
    """Frames (F, H, W, 3) by the method's name, from the first row to the last."""

    notes: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """What to write below a method's name, say its similarity."""


def methods_sheet(
    cases: Sequence[MethodsCase], *, num_frames: int = 4, frame_height: int = FRAME_HEIGHT
) -> UInt8Array:
    """Puts cases below each other: prompt and photos at the left, and at their right a row of frames for each method.

    Args:
        cases: with the same methods or with others.
        num_frames: frames of each video, spread evenly.
        frame_height: pixels of a frame on the sheet.

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
