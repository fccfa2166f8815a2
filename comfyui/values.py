"""What travels along the wires between the nodes, and what becomes of ComfyUI's pictures; nothing here needs ComfyUI.

Legend: B pictures of a batch, F frames, H/W pixels.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import torch

from ingredients.core.arrays import UInt8Array
from ingredients.core.errors import ArgumentError
from ingredients.core.memory_mode import MemoryMode
from ingredients.faces.face_choice import parse_face_choice
from ingredients.faces.identity_photos import IdentityPhotos, check_names_differ
from ingredients.generation.request import StudioRequest
from ingredients.model_folders.sampling_settings import SamplingSettings
from ingredients.pipelines.execution.speed_options import StepCacheName, VideoOptions
from ingredients.pipelines.places import PLACE_STRENGTH, PlacePath

PLACES = ("left", "middle", "right", "box")
"""Where a person can be put; `box` has edges of its own."""

MANAGED = "comfyui"
MEMORY_CHOICES = (MANAGED, MemoryMode.BALANCED.value, MemoryMode.LOW.value, MemoryMode.MINIMAL.value)
"""Who moves weights: ComfyUI, all at once; or the model itself, in turn, by block or by layer (docs/memory.md)."""

OWN = 0
"""What stands in a widget for the model's own number."""

NO_CACHE = "none"
"""What stands in a widget for a video all of whose steps are worked out."""


def own_setting(name: str) -> int:
    """What stands in the widget of a field of `SamplingSettings` for the model's own number.

    It is 0, or -1 where 0 is what a user may ask for: such settings are off unless somebody wants them.
    """
    return OWN if SamplingSettings.__dataclass_fields__[name].default else -1


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Person:
    """Somebody who is to appear, or to be looked for."""

    photos: IdentityPhotos
    """Name and photos."""

    places: Mapping[int, Any] = dataclasses.field(default_factory=dict)
    """Where the person is to stand, by frame; empty leaves it to the model."""

    strength: float = PLACE_STRENGTH
    """How much the router is told of it."""

    def placed(self, place: str, *, box: Sequence[float], frame: int, strength: float) -> "Person":
        """The same person with another key frame.

        Args:
            place: one of `PLACES`.
            box: left, top, right and bottom in parts of the picture, for `box`.
            frame: from when on.
            strength: how much the router is told of it.

        Raises:
            ArgumentError: if it is no place.
        """
        places = {**self.places, frame: tuple(box) if place == "box" else place}
        PlacePath.parse(places, name=self.photos.name, strength=strength)
        return dataclasses.replace(self, places=places, strength=strength)


def read_person(name: str, photos: Sequence[torch.Tensor], face: str) -> Person:
    """Somebody from pictures of ComfyUI.

    Args:
        name: of the person.
        photos: batches (B, H, W, 3 or 4), all pictures of which show the person.
        face: which face of each, as `parse_face_choice` reads it; empty takes the largest, and says so if there are
            more.

    Raises:
        ArgumentError: if there is no name.
        UserInputError: if no such face can be meant.
    """
    name = name.strip()
    if not name:
        raise ArgumentError("The person has no name; write one, by which the prompt and the report call them.")
    images = [image for batch in photos for image in to_pixels(batch)]
    choice = parse_face_choice(face.strip()) if face.strip() else None
    return Person(photos=IdentityPhotos(name=name, images=images, faces=[choice] * len(images)))


def connected(inputs: Mapping[str, Any]) -> list[Any]:
    """What is connected to inputs that grow, in their order."""
    numbered = sorted(inputs, key=lambda name: int(name.rpartition("_")[2]))
    return [inputs[name] for name in numbered if inputs[name] is not None]


def check_names(people: Sequence[Person]) -> Sequence[Person]:
    """Refuses to call two people the same.

    Raises:
        ArgumentError: if two have one name.
    """
    remedy = "give one of them another name, or join the photos in one Person node"
    check_names_differ([person.photos.name for person in people], remedy=remedy)
    return people


def request_of(
    people: Sequence[Person],
    prompt: str,
    *,
    negative_prompt: str,
    seed: int,
    num_frames: int,
    width: int,
    height: int,
    face_scale: float,
    takes: int,
    routing: Any = None,
    step_cache: str = NO_CACHE,
    split_guidance: bool = False,
    decode_in_tiles: bool = False,
    **sampling: float,
) -> StudioRequest:
    """The video that the widgets of a node ask for; those of `sampling` are fields of `SamplingSettings`.

    Raises:
        UserInputError: if something about it cannot be.
    """
    request = StudioRequest(
        people=[person.photos for person in check_names(people)],
        prompt=prompt,
        negative_prompt=negative_prompt or None,
        seed=seed,
        sampling={name: None if value <= own_setting(name) else value for name, value in sampling.items()},
        options=VideoOptions(
            step_cache=None if step_cache == NO_CACHE else cast(StepCacheName, step_cache),
            split_guidance=split_guidance or None,
            decode_in_tiles=decode_in_tiles or None,
        ),
        places={
            person.photos.name: PlacePath.parse(person.places, name=person.photos.name, strength=person.strength)
            for person in people
            if person.places
        },
        routing=routing,
        takes=takes,
        face_scale=face_scale,
        num_frames=None if num_frames == OWN else num_frames,
        height=None if height == OWN else height,
        width=None if width == OWN else width,
        with_routing_maps=True,
    )
    request.check()
    return request


def to_pixels(images: torch.Tensor) -> UInt8Array:
    """RGB pixels (B, H, W, 3) of ComfyUI's pictures (B, H, W, 3 or 4), whose numbers go from 0 to 1."""
    colours = images[..., :3].detach().float().cpu().clamp(0, 1)
    pixels: UInt8Array = (colours * 255).round().to(torch.uint8).numpy()
    return pixels


def to_images(pixels: UInt8Array) -> torch.Tensor:
    """ComfyUI's pictures (B, H, W, 3) of RGB pixels, (B, H, W, 3) or one picture (H, W, 3)."""
    batch = pixels[None] if pixels.ndim == 3 else pixels
    return torch.from_numpy(np.ascontiguousarray(batch)).float() / 255
