"""Who of those asked for is seen in a video, right after it was made.

Legend: F frames, H/W pixels, R photos of one person.
"""

import dataclasses
from collections.abc import Mapping, Sequence

from ingredients.core.arrays import UInt8Array
from ingredients.core.faces_types import Face
from ingredients.evaluation.judge import Judge


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PersonReport:
    """How one person fared."""

    name: str
    """As given."""

    found: bool
    """Whether a face of the video was matched to the person."""

    similarity: float
    """Normalised: 0 is a stranger (or no face at all), 1 the same person in a real clip; not clipped."""

    frames_found: int
    """Frames in which that face was seen."""


def report_people(
    judge: Judge,
    frames: UInt8Array,
    photos: Mapping[str, Sequence[UInt8Array]],
    faces: Mapping[str, Sequence[Face]] | None = None,
) -> list[PersonReport]:
    """Matches the faces of a video (F, H, W, 3) to people, one to one.

    Args:
        judge: with its scale.
        frames: the video.
        photos: photos (H, W, 3) by name, one or several each.
        faces: the person's face in each of them; None has the judge choose.

    Raises:
        PhotoError: as `Judge.find_person`.
    """
    if not photos:
        return []
    references = [
        judge.embed_person(of_person, None if faces is None else faces[name], name=name)
        for name, of_person in photos.items()
    ]
    one_photo_each = all(len(of_person) == 1 for of_person in photos.values())
    assessment = judge.assess(frames, references, scale=judge.one_photo_scale if one_photo_each else judge.scale)
    return [
        PersonReport(name=name, found=person.found, similarity=person.similarity, frames_found=person.frames_found)
        for name, person in zip(photos, assessment.people, strict=True)
    ]
