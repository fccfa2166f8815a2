"""Places of a picture that show nothing: a black frame, a wall of one colour. No face is found there.

A network says something of every input, and some say "a face" of pure black: its embedding, the same for every black
picture, would then have a likeness to somebody.
"""

from collections.abc import Iterable

import numpy as np

from ingredients.core.arrays import UInt8Array
from ingredients.core.faces_types import Face

_FLAT = 2.0
"""Standard deviation of a colour, of 255, up to which a place is flat: chosen low, not measured; values that differ by
less than four steps stay below it."""


def without_flat(image: UInt8Array, faces: Iterable[Face]) -> list[Face]:
    """The faces in whose box an RGB image (H, W, 3) shows anything."""
    return [face for face in faces if not _is_flat(image, face)]


def _is_flat(image: UInt8Array, face: Face) -> bool:
    height, width = image.shape[:2]
    left, right = np.clip([face.box[0], face.box[2] + 1], 0, width).astype(int)
    top, bottom = np.clip([face.box[1], face.box[3] + 1], 0, height).astype(int)
    inside = image[top:bottom, left:right]
    return inside.size == 0 or float(inside.reshape(-1, inside.shape[-1]).std(axis=0).max()) <= _FLAT
