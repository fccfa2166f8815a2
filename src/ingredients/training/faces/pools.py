"""Pools of rendered pictures that the face networks train on: drawn once a run, kept beside its checkpoint."""

import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ingredients.core.files import atomic_path
from ingredients.world import WORLD_VERSION, Scene

Pool = dict[str, NDArray[Any]]

ABSENT, VISIBLE, HIDDEN = 0, 1, 2
"""State of a face in a picture: not there; in view; there, but covered by someone or cut by the border."""

_MIN_VISIBLE_LANDMARKS = 4
_KEY_NAME = "key"


def cached_pool(path: Path, key: Mapping[str, Any], render: Callable[[], Pool]) -> Pool:
    """Reads the pool at `path` if it was rendered for the same key and world, and renders it otherwise."""
    text = json.dumps({"world": WORLD_VERSION, **key}, sort_keys=True)
    try:
        with np.load(path) as stored:
            if str(stored[_KEY_NAME]) == text:
                return {name: stored[name] for name in stored.files if name != _KEY_NAME}
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        pass  # not there yet, or half of a file from elsewhere
    pool = render()
    with atomic_path(path) as temporary:
        np.savez(temporary, allow_pickle=False, **{_KEY_NAME: np.array(text), **pool})
    return pool


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
