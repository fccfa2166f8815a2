"""A clip as it is encoded for training: frames of one size, exact truth, and photos of the people in it.

Legend: F frames, N people, H/W pixels.
"""

import dataclasses
from collections.abc import Callable
from typing import Literal

from ingredients.core.arrays import BoolArray, Float32Array, UInt8Array

ReferenceKind = Literal["frame", "photo"]
"""A frame of the clip itself, or a photo that no frame of it shows."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReferencePhoto:
    """A picture that shows one of the people."""

    image: UInt8Array
    """RGB (height, width, 3), of any size."""

    landmarks: Float32Array
    """(5, 2) pixels of the picture."""

    kind: ReferenceKind
    """Where it is from."""

    frame: int | None = None
    """Which frame of the clip it is; None for a photo."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ClipExample:
    """One clip with everything that training asks of it."""

    clip_id: str
    """Its name, unique in the data set."""

    caption: str
    """What happens."""

    frames: UInt8Array
    """(F, H, W, 3)."""

    face_masks: BoolArray
    """(F, N, H, W), the visible faces."""

    person_masks: BoolArray | None
    """(F, N, H, W), everything visible of each person; None where only faces are known."""

    boxes: Float32Array
    """(F, N, 4) pixels of the faces; NaN where one is not in view."""

    landmarks: Float32Array
    """(F, N, 5, 2) pixels; NaN where the face is not in view."""

    person_ids: tuple[str | None, ...]
    """Who each is, where the same person is known in other clips."""

    references: tuple[tuple[ReferencePhoto, ...], ...]
    """For each person, at least one."""

    phrases: tuple[str | None, ...] = ()
    """For each person, the words of the caption that stand for them, None where there are none; empty where nobody
    knows."""

    @property
    def num_people(self) -> int:
        """N."""
        return len(self.person_ids)


ReadExample = Callable[[], ClipExample]
"""Reads a clip when it is its turn.

Raises:
    UserInputError: if it cannot be used; the message says why.
"""
