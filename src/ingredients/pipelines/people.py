"""The forms in which a caller may hand over photos of people."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard, Union, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ingredients.core.arrays import UInt8Array
from ingredients.core.errors import ArgumentError, PhotoError
from ingredients.faces.face_choice import FaceChoice
from ingredients.faces.identity_photos import IdentityPhotos, check_names_differ
from ingredients.media.photos import MemoryPhoto, load_photo, read_photo

if TYPE_CHECKING:
    import torch


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PhotoFile:
    """A photo in a file, and whose face in it is meant."""

    path: Path
    """The file."""

    face: FaceChoice | None = None
    """Which of its faces; None takes the largest and warns if there are more."""

    def __str__(self) -> str:
        return str(self.path) if self.face is None else f"{self.path}#{self.face}"


PhotoInput: TypeAlias = Union[str, Path, PhotoFile, MemoryPhoto, "torch.Tensor"]
"""A file, its bytes, a Pillow image, or pixels: arrays (H, W, 3), tensors (3, H, W) or (H, W, 3), with alpha or grey
too, as uint8, as uint16, or as floating-point numbers from 0 to 1."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PeopleEmbeds:
    """People as a facial extractor's numbers, instead of their photos, as prompt embeddings are instead of a prompt.

    Legend: N people, R recognition dim, S semantic dim, P image-encoder tokens, C channels.
    """

    id_embeds: torch.Tensor
    """(N, R + S), the same people in every video, or (1 or prompts, N, R + S)."""

    id_vit_hidden_states: Sequence[torch.Tensor]
    """Five tensors (N, P, C) or (1 or prompts, N, P, C), shallow to deep."""

    id_mask: torch.Tensor | None = None
    """(N) or (1 or prompts, N) bool, True = a real identity; None where all are."""

    names: Sequence[str] | Sequence[Sequence[str]] | None = None
    """What they are called, for all prompts or for each; None where they have no names."""

    def __post_init__(self) -> None:
        """Checks that these are several people, and that names have people.

        Raises:
            ArgumentError: if they are the numbers of one person, without an axis for people, or names are no names, or
                two people have the same.
            ValueError: if some of the people may be padding, which has no name.
        """
        if self.id_embeds.ndim not in (2, 3):
            raise ArgumentError(
                "id_embeds must have the axes (people, dim) or (prompts, people, dim), not the shape "
                f"{tuple(self.id_embeds.shape)}; of one person, give id_embeds[None]."
            )
        names = self.names or ()
        rows: list[Sequence[Any]]
        rows = [each for each in names if isinstance(each, Sequence) and not isinstance(each, str)]
        if len(rows) != len(names):
            rows = [names]  # of all prompts
        if isinstance(names, str) or not all(isinstance(name, str) for row in rows for name in row):
            raise ArgumentError(f"names must be a list of names, or such a list for each prompt, not {names!r}.")
        for row in rows:
            check_names_differ(row)
        if self.names is not None and self.id_mask is not None:
            raise ValueError("names go with id_embeds that are all real, without id_mask.")

    def by_prompt(self) -> PeopleEmbeds:
        """The same with an axis for prompts in front of each tensor."""
        if self.id_embeds.ndim != 2:
            return self
        return PeopleEmbeds(
            id_embeds=self.id_embeds[None],
            id_vit_hidden_states=[states[None] for states in self.id_vit_hidden_states],
            id_mask=None if self.id_mask is None else self.id_mask[None],
            names=self.names,
        )


PersonInput: TypeAlias = PhotoInput | Sequence[PhotoInput]
"""One person's photo, or several."""

PeopleInput: TypeAlias = Mapping[str, PersonInput] | Sequence[PersonInput] | Sequence[IdentityPhotos] | PhotoInput
"""Photos by name, one or several for each person; a list of photos, or of lists of them, for people without names; one
photo; or the same spelled out."""


def identity_photos(people: PeopleInput) -> list[IdentityPhotos]:
    """Opens the photos of some people, in the order given; those without names are called person 1, person 2, ...

    Raises:
        PhotoError: if there is nobody, somebody without a photo, or a photo that cannot be read.
        ArgumentError: if two people have the same name.
    """
    if _is_photo(people):
        people = [people]
    if not isinstance(people, Mapping | Sequence):
        raise PhotoError(
            f"People cannot be a {type(people).__name__}; give photos by name, such as "
            '{"ana": "ana.png", "ben": ["ben1.png", "ben2.png"]}, or a list of photos, one for each person.'
        )
    if not people:
        raise PhotoError("No photo was given; give at least one person's photo.")
    if not isinstance(people, Mapping):
        opened = [
            each if isinstance(each, IdentityPhotos) else _open_photos(f"person {number}", cast(PersonInput, each))
            for number, each in enumerate(people, start=1)
        ]
        check_names_differ([person.name for person in opened])
        return opened
    return [_open_photos(name, photos) for name, photos in people.items()]


def _open_photos(name: str, photos: PersonInput) -> IdentityPhotos:
    if _is_photo(photos):
        photos = [photos]
    if not isinstance(photos, Sequence):
        raise PhotoError(f"A photo of {name} cannot be a {type(photos).__name__}; give a file, an image or pixels.")
    if not photos:
        raise PhotoError(f"No photo of {name} was given; give at least one.")
    photos = cast(Sequence[PhotoInput], photos)
    return IdentityPhotos(
        name=name,
        images=[_to_pixels(photo, _label(name, photo, index)) for index, photo in enumerate(photos)],
        labels=[_label(name, photo, index) for index, photo in enumerate(photos)],
        faces=[photo.face if isinstance(photo, PhotoFile) else None for photo in photos],
    )


def _to_pixels(photo: PhotoInput, label: str) -> UInt8Array:
    if isinstance(photo, str | Path | PhotoFile):
        return load_photo(photo.path if isinstance(photo, PhotoFile) else photo)
    if _is_tensor(photo):
        photo = _tensor_to_array(photo)
    if not isinstance(photo, bytes | Image.Image | np.ndarray):
        raise PhotoError(f"The {label} is of type {type(photo).__name__}; give a file, a Pillow image or pixels.")
    return read_photo(photo, label)


def _is_photo(given: object) -> TypeGuard[PhotoInput]:
    return isinstance(given, str | Path | PhotoFile | bytes | Image.Image | np.ndarray) or _is_tensor(given)


def _is_tensor(photo: object) -> TypeGuard[torch.Tensor]:
    """Whether a photo is a tensor, which nobody can have made without PyTorch."""
    return "torch" in sys.modules and isinstance(photo, sys.modules["torch"].Tensor)


def _tensor_to_array(photo: torch.Tensor) -> NDArray[np.generic]:
    """Pixels with the colours last, which tensors usually have first."""
    import torch

    pixels = photo.detach().cpu()
    if pixels.dtype == torch.bfloat16:  # which NumPy lacks
        pixels = pixels.float()
    if pixels.ndim == 3 and pixels.shape[0] in (1, 3, 4):
        pixels = pixels.movedim(0, -1)
    return pixels.numpy()


def _label(name: str, photo: PhotoInput, index: int) -> str:
    if isinstance(photo, PhotoFile):
        photo = photo.path
    return str(photo) if isinstance(photo, str | Path) else f"photo {index + 1} of {name}"
