"""Which of the faces in a photo is meant: by size, by side, or by number from left to right."""

import re
from collections.abc import Sequence
from typing import Literal, TypeAlias

from ingredients.core.errors import PhotoError, UserInputError
from ingredients.core.faces_types import Face

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
