"""What one case leaves behind: small enough for JSON, enough for every metric.

Legend: J routed blocks, t timesteps, D embedding.
"""

import dataclasses
from typing import Literal

from ingredients.evaluation.assessment import ClipAssessment, PersonAssessment
from ingredients.evaluation.confusion import Confusion
from ingredients.evaluation.face_changes import FaceChanges

Need = Literal["people", "routing", "text", "faces", "motion", "changes"]
"""A part of a case's record that a metric reads."""

Vector = tuple[float, ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RoutingRecord:
    """How well the router finds each person's face tokens, on noised latents of the real clip."""

    timesteps: tuple[int, ...]
    """The noise levels t."""

    balanced_recall: tuple[tuple[float, ...], ...]
    """J rows of one number for each t: recall on each person's face tokens, averaged over people."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TextRecord:
    """Embeddings of the frames and of the prompt in the dual encoder's common space."""

    frames: Vector
    """Mean over frames of the embeddings of length 1 (D,): its product with a prompt's is the mean cosine."""

    prompt: Vector
    """Of length 1 (D,)."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FacesRecord:
    """The judge's embeddings of all tracked faces, of the video and of a real clip of the same people and prompt."""

    generated: tuple[Vector, ...]
    """One a face and frame (D,)."""

    real: tuple[Vector, ...]
    """One a face and frame (D,)."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class MotionRecord:
    """Mean absolute change of a pixel from frame to frame, as a share of the full range."""

    generated: float
    """In the video."""

    real: float
    """In a real clip of the same prompt."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ChangesRecord:
    """Who appears as whom, and how the faces change through the clip."""

    confusion: Confusion
    """Who appears as whom."""

    faces: tuple[FaceChanges | None, ...]
    """Changes of each person's face; None for a person who was not found."""

    real_variety: float | None = None
    """Mean variety of the faces in a real clip of the same people and prompt."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CaseRecord:
    """All that was measured on one case; a part that was not asked for is None."""

    index: int
    """Number of the case."""

    prompt: str
    """What was asked for."""

    people: ClipAssessment
    """Who is seen, how well."""

    other_people: ClipAssessment | None = None
    """The same for the people that the local branch alone was given, where they are others."""

    routing: RoutingRecord | None = None
    """Router accuracy by block and timestep."""

    text: TextRecord | None = None
    """For the agreement with the prompt."""

    faces: FacesRecord | None = None
    """For distances between distributions of faces."""

    motion: MotionRecord | None = None
    """For the amount of motion."""

    changes: ChangesRecord | None = None
    """For confusions, drift and copying."""

    seconds: float = 0.0
    """Time that the generation took."""

    error: str | None = None
    """Why there is no video; everybody then counts as missing."""


def nobody_found(num_people: int) -> ClipAssessment:
    """The assessment of a video that could not be made."""
    return ClipAssessment(
        people=(PersonAssessment(found=False, similarity=0.0),) * num_people,
        num_tracks=0,
        greedy_minimum=0.0,
        blended=False,
        doubled=False,
    )
