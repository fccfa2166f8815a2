"""Clips of a data set at a glance: frames with the masks of faces and people tinted and boxes drawn.

Legend: F frames, N people, H/W pixels.
"""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from ingredients.core.arrays import BoolArray, UInt8Array
from ingredients.visualisation.contact_sheet import evenly_spread
from ingredients.visualisation.layout import (
    fit_height,
    identity_colour,
    in_column,
    in_row,
    text_line,
    with_margin,
)
from ingredients.world import Scene

FRAME_HEIGHT = 128
"""Pixels of a frame on the sheet."""

_TINT = 0.45
_PALE_TINT = 0.2
"""Tint of a person beside the face."""

_MAX_COLUMNS = 5
"""Frames that are shown of a drawn scene."""

Box = tuple[float, float, float, float]


def clip_sheet(rows: Sequence[UInt8Array]) -> UInt8Array:
    """Puts the rows that `clip_row` made below each other."""
    return with_margin(in_column(rows, gap=12))


def clip_row(
    title: str,
    frames: UInt8Array,
    masks: BoolArray,
    person_masks: BoolArray,
    boxes: Sequence[Sequence[Box | None]],
    references: Sequence[Sequence[UInt8Array]],
    *,
    num_frames: int = 5,
) -> UInt8Array:
    """A clip: its title, photos of its people, and some of its frames, evenly spaced.

    Args:
        title: a line above.
        frames: (F, H, W, 3).
        masks: (N, F, H, W), of the faces.
        person_masks: (N, F, H, W), of the people; tinted paler, and empty where nobody cut them out.
        boxes: for each person and frame, left, top, right, bottom in pixels, or None.
        references: photos of each person.
        num_frames: frames to show.
    """
    shown = np.unique(np.linspace(0, len(frames) - 1, num_frames).round().astype(int)).tolist()
    pictures = [fit_height(photos[0], FRAME_HEIGHT) for photos in references if photos]
    pictures += [
        _mark(frames[frame], masks[:, frame], person_masks[:, frame], [track[frame] for track in boxes])
        for frame in shown
    ]
    row = in_row(pictures)
    return in_column([text_line(title, width=row.shape[1]), row])


def _mark(frame: UInt8Array, masks: BoolArray, person_masks: BoolArray, boxes: Sequence[Box | None]) -> UInt8Array:
    pixels = frame.astype(np.float32)
    for index, (face, person) in enumerate(zip(masks, person_masks, strict=True)):
        colour = np.array(identity_colour(index), np.float32)
        for mask, tint in ((face, _TINT), (person & ~face, _PALE_TINT)):
            pixels[mask] = (1 - tint) * pixels[mask] + tint * colour
    picture = Image.fromarray(fit_height(pixels.round().astype(np.uint8), FRAME_HEIGHT))
    scale = picture.height / frame.shape[0]
    draw = ImageDraw.Draw(picture)
    for index, box in enumerate(boxes):
        if box is not None:
            draw.rectangle([edge * scale for edge in box], outline=identity_colour(index), width=2)
    return np.asarray(picture)


def draw_mask_picture(scene: Scene) -> UInt8Array:
    """Shows up to five frames of a scene, evenly spread, above their masks: people tinted, faces in full colour."""
    num_frames, num_people = scene.face_masks.shape[:2]
    shown = evenly_spread(num_frames, _MAX_COLUMNS)
    masks = scene.frames[shown].astype(np.float32) * 0.25 + 160.0  # (F, H, W, 3), a pale ghost of the frame
    for person in range(num_people):
        colour = np.array(identity_colour(person), np.float32)
        masks[scene.person_masks[shown, person]] = 0.5 * colour + 0.5 * 255.0
        masks[scene.face_masks[shown, person]] = colour
    rows = [in_row(list(row)) for row in (scene.frames[shown], masks.astype(np.uint8))]
    return with_margin(in_column(rows))
