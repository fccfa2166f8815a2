"""A picture of each person of a clip, which the clip can lend to others that the person is in.

Legend: F frames, H/W pixels.
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from ingredients.core.arrays import UInt8Array
from ingredients.core.files import atomic_path
from ingredients.core.protocols import Face
from ingredients.curation.step import Clip, ClipStep, Measured, Rejection
from ingredients.data.lent_references import head_window, lendable_frames
from ingredients.data.schema import Box
from ingredients.faces.photo_quality import measure_photo

_NUM_TRIED = 6
"""Frames among which the sharpest is taken: those that show the face largest and least turned."""

_SHARPNESS_SIZE = 56


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
        tracks: the tracks of all people, with `boxes` and `landmarks`.
        number: which of them.
        strangers: in each frame, faces of nobody with a track: passers-by and people far away.

    Returns:
        (height, width, 3), or None where another face is always near, or the face is always cut off.
    """
    track = tracks[number]
    height, width = frames.shape[1:3]
    found = lendable_frames(
        track["boxes"],
        track["landmarks"],
        [other["boxes"] for index, other in enumerate(tracks) if index != number],
        height=height,
        width=width,
        strangers=strangers,
    )
    best, best_sharpness = None, -1.0
    for frame in itertools.islice(found, _NUM_TRIED):
        left, top, right, bottom = head_window(track["boxes"][frame], height, width)
        face = Face(
            box=np.asarray(track["boxes"][frame], np.float32),
            landmarks=np.asarray(track["landmarks"][frame], np.float32),
            score=1.0,
        )
        sharpness = measure_photo(frames[frame], face, sharpness_size=_SHARPNESS_SIZE).sharpness
        if sharpness > best_sharpness:
            best, best_sharpness = frames[frame, top:bottom, left:right], sharpness
    return best
