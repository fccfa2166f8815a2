"""Which faces of a scene can be seen."""

import numpy as np
from numpy.typing import NDArray

from ingredients.world.scenes import Scene

ABSENT, VISIBLE, HIDDEN = 0, 1, 2
"""State of a face in a picture: not there; in view; there, but covered by someone or cut by the border."""

_MIN_VISIBLE_LANDMARKS = 4


def face_states(scene: Scene) -> NDArray[np.uint8]:
    """Whether each face is in view: four of its five landmarks are on pixels of its own person.

    Returns:
        (F, N): `VISIBLE` or `HIDDEN`.
    """
    num_frames, num_people, height, width = scene.person_masks.shape
    columns = np.floor(scene.landmarks[..., 0]).astype(int)
    rows = np.floor(scene.landmarks[..., 1]).astype(int)  # (F, N, 5)
    inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    frame, person = np.ogrid[:num_frames, :num_people]
    own = scene.person_masks[frame[..., None], person[..., None], rows.clip(0, height - 1), columns.clip(0, width - 1)]
    in_view = (inside & own).sum(-1) >= _MIN_VISIBLE_LANDMARKS
    boxed = np.isfinite(scene.boxes).all(-1)
    return np.where(in_view & boxed, VISIBLE, HIDDEN).astype(np.uint8)
