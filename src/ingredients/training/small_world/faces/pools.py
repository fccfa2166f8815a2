"""Pools of rendered pictures that the face networks train on: drawn once a run, kept beside its checkpoint."""

import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ingredients.core.files import atomic_path
from ingredients.world import WORLD_VERSION

Pool = dict[str, NDArray[Any]]

_KEY_NAME = "key"


def cached_pool(path: Path, key: Mapping[str, Any], render: Callable[[], Pool]) -> Pool:
    """Reads the pool at `path` if it was rendered for the same key and world, and renders it otherwise."""
    text = json.dumps({"world": WORLD_VERSION, **key}, sort_keys=True, allow_nan=False)
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
