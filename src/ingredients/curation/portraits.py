"""A picture of each person of a clip, which the clip can lend to others that the person is in.

Legend: F frames, H/W pixels.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from ingredients.core.arrays import UInt8Array
from ingredients.core.files import atomic_path
from ingredients.core.protocols import Face
from ingredients.curation.step import Clip, ClipStep, Measured, Rejection
from ingredients.data.lent_references import clearest_frames
from ingredients.data.schema import Box
from ingredients.faces.photo_quality import measure_photo

_NUM_TRIED = 6
"""Frames among which the sharpest is taken: those that show the face largest and least turned."""

_SHARPNESS_SIZE = 56
_MOST_CUT_OFF = 0.08
"""Part of a face that may lie outside of the picture, as with photos that are given."""

_REACH = 1.1
"""Half side of the picture in heights of the face: the whole head."""


class Portraits(ClipStep):
    """Takes the clearest picture of each person."""

    name, cost, title = "portraits", "frames", "Taking portraits"
    needs = ("cut", "people")
    version = 3

    def measure(self, clip: Clip) -> Measured:
        """The files of the pictures, in the order of the tracks; None where there is none of somebody alone."""
        tracks: Sequence[Mapping[str, Any]] = clip.results["people"]["tracks"]
        files: list[str | None] = []
        for number in range(len(tracks)):
            picture = take_portrait(clip.frames, tracks, number, strangers=clip.results["people"]["others"])
            if picture is None:
                files.append(None)
                continue
            files.append(f"{clip.file_prefix}-{number}.png")
            with atomic_path(clip.folder / str(files[-1])) as temporary:
                Image.fromarray(picture).save(temporary, format="PNG")
        return {"files": files}

    def decide(self, measured: Measured) -> Rejection | None:
        """A clip that has nothing to lend is kept all the same."""
        return None


def take_portrait(
    frames: UInt8Array,
    tracks: Sequence[Mapping[str, Any]],
    number: int,
    *,
    strangers: Sequence[Sequence[Box]] | None = None,
) -> UInt8Array | None:
    """The sharpest of the clearest pictures of one person's head, on which nobody else's face is seen.

    Args:
        frames: (F, H, W, 3).
        tracks: of all people, with `boxes` and `landmarks`.
        number: which of them.
        strangers: in each frame, faces of nobody with a track: passers-by and people far away.

    Returns:
        (height, width, 3), or None where another face is always near, or the face is always cut off.
    """
    track = tracks[number]
    others = [other["boxes"] for index, other in enumerate(tracks) if index != number]
    best, best_sharpness = None, -1.0
    num_tried = 0
    for frame in clearest_frames(track["boxes"], track["landmarks"]):
        left, top, right, bottom = _window(track["boxes"][frame], frames.shape[1], frames.shape[2])
        near = [_around(boxes, frame) for boxes in others] + [strangers[frame] if strangers else ()]
        if any(_meet(box, (left, top, right, bottom)) for boxes in near for box in boxes):
            continue
        face = Face(
            box=np.asarray(track["boxes"][frame], np.float32),
            landmarks=np.asarray(track["landmarks"][frame], np.float32),
            score=1.0,
        )
        quality = measure_photo(frames[frame], face, sharpness_size=_SHARPNESS_SIZE)
        if quality.cut_off > _MOST_CUT_OFF:
            continue
        if quality.sharpness > best_sharpness:
            best, best_sharpness = frames[frame, top:bottom, left:right], quality.sharpness
        num_tried += 1
        if num_tried == _NUM_TRIED:
            break
    return best


def _around(boxes: Sequence[Box | None], frame: int) -> Sequence[Box]:
    """Where a face is in a frame; where it was missed there, the places at which it is seen before and after."""
    if (box := boxes[frame]) is not None:
        return (box,)
    before = next((each for each in reversed(boxes[:frame]) if each is not None), None)
    after = next((each for each in boxes[frame + 1 :] if each is not None), None)
    return () if before is None or after is None else (before, after)


def _window(box: Box, height: int, width: int) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the picture around a face, within the frame."""
    reach = _REACH * (box[3] - box[1])
    across, down = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    left, right = max(round(across - reach), 0), min(round(across + reach), width)
    top, bottom = max(round(down - reach), 0), min(round(down + reach), height)
    return left, top, right, bottom


def _meet(box: Box, window: tuple[int, int, int, int]) -> bool:
    """Whether the middle of a face lies in a window, or a good part of the face beside it."""
    across, down = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    slack_across, slack_down = (box[2] - box[0]) / 4, (box[3] - box[1]) / 4
    return (
        window[0] - slack_across < across < window[2] + slack_across
        and window[1] - slack_down < down < window[3] + slack_down
    )
