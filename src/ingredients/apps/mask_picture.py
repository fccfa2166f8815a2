"""A picture of a scene's truth.

Legend: F frames, N people, H/W pixels.
"""

import numpy as np

from ingredients.core.arrays import UInt8Array
from ingredients.visualisation.contact_sheet import evenly_spread
from ingredients.visualisation.layout import identity_colour, in_column, in_row, with_margin
from ingredients.world import Scene

MAX_COLUMNS = 5


def draw_mask_picture(scene: Scene) -> UInt8Array:
    """Shows up to five frames of a scene, evenly spread, above their masks: people tinted, faces in full colour."""
    num_frames, num_people = scene.face_masks.shape[:2]
    shown = evenly_spread(num_frames, MAX_COLUMNS)
    masks = scene.frames[shown].astype(np.float32) * 0.25 + 160.0  # (F, H, W, 3), a pale ghost of the frame
    for person in range(num_people):
        colour = np.array(identity_colour(person), np.float32)
        masks[scene.person_masks[shown, person]] = 0.5 * colour + 0.5 * 255.0
        masks[scene.face_masks[shown, person]] = colour
    rows = [in_row(list(row)) for row in (scene.frames[shown], masks.astype(np.uint8))]
    return with_margin(in_column(rows))
