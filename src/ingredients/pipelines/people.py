"""The forms in which a caller may hand over photos of people."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
from PIL import Image

from ingredients.core.arrays import UInt8Array
from ingredients.core.errors import PhotoError
from ingredients.faces.face_choice import FaceChoice
from ingredients.faces.facial_extractor import IdentityPhotos
from ingredients.media.photos import load_photo


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PhotoFile:
    """A photo in a file, and whose face in it is meant."""

    path: Path
    """The file."""

    face: FaceChoice | None = None
    """Which of its faces; None takes the largest and warns if there are more."""

    def __str__(self) -> str:
        return str(self.path) if self.face is None else f"{self.path}#{self.face}"


PhotoInput: TypeAlias = str | Path | PhotoFile | Image.Image | UInt8Array
"""A file, a Pillow image, or RGB pixels (H, W, 3)."""

PeopleInput: TypeAlias = Mapping[str, PhotoInput | Sequence[PhotoInput]] | Sequence[IdentityPhotos]
"""Photos by name, one or several for each person; or the same spelled out."""


def identity_photos(people: PeopleInput) -> list[IdentityPhotos]:
    """Opens the photos of some people, in the order given.

    Raises:
        PhotoError: if there is nobody, somebody without a photo, or a photo that cannot be read.
    """
    if not people:
        raise PhotoError("No photo was given; give at least one person's photo.")
    if not isinstance(people, Mapping):
        return list(people)
    return [_open_photos(name, photos) for name, photos in people.items()]


def _open_photos(name: str, photos: PhotoInput | Sequence[PhotoInput]) -> IdentityPhotos:
    if isinstance(photos, str | Path | PhotoFile | Image.Image | np.ndarray):
        photos = [photos]
    if not photos:
        raise PhotoError(f"No photo of {name} was given; give at least one.")
    return IdentityPhotos(
        name=name,
        images=[_to_pixels(name, photo) for photo in photos],
        labels=[_label(name, photo, index) for index, photo in enumerate(photos)],
        faces=[photo.face if isinstance(photo, PhotoFile) else None for photo in photos],
    )


def _to_pixels(name: str, photo: PhotoInput) -> UInt8Array:
    if isinstance(photo, str | Path | PhotoFile):
        return load_photo(photo.path if isinstance(photo, PhotoFile) else photo)
    pixels = np.asarray(photo.convert("RGB") if isinstance(photo, Image.Image) else photo)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise PhotoError(
            f"A photo of {name} is an array of {pixels.dtype} with shape {pixels.shape}; "
            "give RGB pixels as uint8 with shape (height, width, 3)."
        )
    return pixels


def _label(name: str, photo: PhotoInput, index: int) -> str:
    if isinstance(photo, PhotoFile):
        photo = photo.path
    return str(photo) if isinstance(photo, str | Path) else f"photo {index + 1} of {name}"
