"""Which of the faces in a photo is meant: by size, by side, or by number from left to right; and where none can be.

A network says something of every input, and some say "a face" of pure black: its embedding, the same for every black
picture, would then have a likeness to somebody. So no face is found in a black frame, or on a wall of one colour.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Literal, TypeAlias

import numpy as np

from ingredients.core.arrays import UInt8Array
from ingredients.core.errors import PhotoError, UserInputError
from ingredients.core.protocols import Face

FaceChoice: TypeAlias = Literal["largest", "left", "right"] | int
"""A number counts from 1, from left to right, as `ingredients faces` shows them."""

_ABOUT_AS_SURE = 0.8
"""Part of the surest face's score from which on a detector is about as sure of another."""

_NUMBER = re.compile("[1-9][0-9]{0,3}")
_WORDS: dict[str, FaceChoice] = {"largest": "largest", "left": "left", "right": "right"}


def parse_face_choice(text: str) -> FaceChoice:
    """Reads `largest`, `left`, `right` or a number.

    Raises:
        UserInputError: for anything else.
    """
    if text in _WORDS:
        return _WORDS[text]
    if _NUMBER.fullmatch(text):
        return int(text)
    raise UserInputError(f"A face is largest, left, right or a number from 1 (from left to right), not {text!r}.")


def from_left(faces: Sequence[Face]) -> list[Face]:
    """The faces in the order of their numbers."""
    return sorted(faces, key=_middle)


def largest_face(faces: Sequence[Face]) -> Face:
    """The largest of those, at least one, that the detector is about as sure of as of the surest.

    What a detector takes for a face by mistake is often large, a collar or a cup, but seldom as sure as a face.
    """
    surest = max(face.score for face in faces)
    return max((face for face in faces if face.score >= _ABOUT_AS_SURE * surest), key=lambda face: face.area)


def choose_face(faces: Sequence[Face], choice: FaceChoice, *, label: str) -> Face:
    """The face that is meant.

    Args:
        faces: at least one.
        choice: which.
        label: the photo's name, for the error.

    Raises:
        PhotoError: if the photo has fewer faces than the number asks for.
    """
    if choice == "largest":
        return largest_face(faces)
    if choice == "left":
        return min(faces, key=_middle)
    if choice == "right":
        return max(faces, key=_middle)
    if not 1 <= choice <= len(faces):
        raise PhotoError(
            f"{label} shows {len(faces)} {'face' if len(faces) == 1 else 'faces'}, so there is no face {choice}; "
            "`ingredients faces` draws their numbers."
        )
    return from_left(faces)[choice - 1]


def _middle(face: Face) -> float:
    return float(face.box[0] + face.box[2])


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
