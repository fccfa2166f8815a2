"""A picture of a scene's truth.

Legend: F frames, N people, H/W pixels.
"""

import numpy as np

from ingredients.core.arrays import UInt8Array
from ingredients.world import Scene

PERSON_COLOURS = np.array([(230, 97, 1), (94, 60, 153), (0, 136, 55), (5, 113, 176)], np.float32)
"""One a person, told apart by colour-blind readers too."""

MAX_COLUMNS = 5


def draw_mask_picture(scene: Scene) -> UInt8Array:
    """Shows up to five frames of a scene, evenly spread, above their masks: people tinted, faces in full colour."""
    num_frames, num_people = scene.face_masks.shape[:2]
    shown = np.unique(np.linspace(0, num_frames - 1, min(MAX_COLUMNS, num_frames)).round().astype(int))
    frames = scene.frames[shown]
    masks = frames.astype(np.float32) * 0.25 + 160.0  # (F, H, W, 3), a pale ghost of the frame
    for person in range(num_people):
        colour = PERSON_COLOURS[person]
        masks[scene.person_masks[shown, person]] = 0.5 * colour + 0.5 * 255.0
        masks[scene.face_masks[shown, person]] = colour
    rows = [np.concatenate(list(row), axis=1) for row in (frames, masks.astype(np.uint8))]  # (H, F x W, 3)
    return np.concatenate(rows, axis=0)
