"""Photos of one person, as they are handed to the facial extractor.

Legend: H/W pixels of a photo.
"""

import dataclasses
from collections.abc import Sequence

from ingredients.core.arrays import UInt8Array
from ingredients.core.errors import ArgumentError
from ingredients.faces.face_choice import FaceChoice


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class IdentityPhotos:
    """The photos of one person."""

    name: str
    """What the person is called in reports and errors."""

    images: Sequence[UInt8Array]
    """RGB photos (H, W, 3), at least one; sizes may differ."""

    labels: Sequence[str] = ()
    """What each photo is called in errors, say its path; empty: numbered."""

    faces: Sequence[FaceChoice | None] = ()
    """Which face of each photo; None, or nothing at all, takes the largest and warns if there are more."""

    def __post_init__(self) -> None:
        if not self.images:
            raise ValueError(f"{self.name} needs at least one photo")
        if self.labels and len(self.labels) != len(self.images):
            raise ValueError(f"{self.name} has {len(self.images)} photos but {len(self.labels)} labels")
        if self.faces and len(self.faces) != len(self.images):
            raise ValueError(f"{self.name} has {len(self.images)} photos but {len(self.faces)} choices of faces")

    def label(self, index: int) -> str:
        """What photo `index` is called."""
        return self.labels[index] if self.labels else f"photo {index + 1} of {self.name}"

    def choice(self, index: int) -> FaceChoice | None:
        """Which face of photo `index` is meant."""
        return self.faces[index] if self.faces else None


def check_names_differ(
    names: Sequence[str], *, remedy: str = "give one of them another name, or all photos under one name"
) -> None:
    """Refuses to call two people the same, for a prompt, a place or a report that says the name could mean either.

    Args:
        names: those of all people.
        remedy: what to do about it.

    Raises:
        ArgumentError: if two are the same.
    """
    for index, name in enumerate(names):
        if name in names[:index]:
            raise ArgumentError(f"Two people are called {name}; {remedy}.")
