"""What a page asks of a model beside videos: who is in a photo, what a sentence lacks, what a video needs.

Nothing here needs PyTorch; `Studio` answers.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from ingredients.core.arrays import UInt8Array
from ingredients.faces.identity_photos import IdentityPhotos
from ingredients.generation.progress import OnStep
from ingredients.generation.request import StudioRequest
from ingredients.model_folders.sampling_settings import SamplingOverrides


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FaceNotes:
    """A face of a photo, and what makes it doubtful."""

    number: int
    """The number of the face, from 1, from left to right, as `parse_face_choice` counts."""

    box: tuple[float, float, float, float]
    """Left, top, right, bottom, as parts of the photo's width and height."""

    crop: UInt8Array
    """(S, S, 3): the face, upright."""

    notes: tuple[str, ...]
    """What makes it doubtful; empty where nothing does."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PhotoNotes:
    """What is seen in a photo."""

    faces: tuple[FaceNotes, ...]
    """The faces from left to right."""

    is_photograph: bool
    """Whether it shows a photographed person to a model that knows drawn people only."""

    refusal: str | None
    """Why the model takes nobody of it, in a sentence; None if it does."""

    can_be_drawn: bool
    """Whether its faces could be drawn instead."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class JudgedFile:
    """A video of any system, judged."""

    values: Mapping[str, Any]
    """Who is who and when, as plain values."""

    sheet: UInt8Array
    """(H, W, 3): people beside their best frames, a timeline and marked frames."""

    notices: tuple[str, ...]
    """What is worth knowing of photos and judge."""


class PageHelp(Protocol):
    """Answers the questions of a page; `Studio` is one."""

    def look_at_photo(self, photo: UInt8Array, *, label: str) -> PhotoNotes:
        """Finds the faces of a photo (H, W, 3)."""

    def notes_on_prompt(
        self,
        prompt: str,
        names: Sequence[str],
        *,
        sampling: SamplingOverrides | None = None,
        order: Sequence[int] | None = None,
    ) -> list[str]:
        """What of a sentence the model will not follow, as `Studio.notes_on_prompt`."""

    def judge_file(
        self,
        video: Path,
        people: Sequence[IdentityPhotos],
        *,
        title: str,
        on_step: OnStep | None = None,
        is_cancelled: Callable[[], bool] | None = None,
    ) -> JudgedFile:
        """Says who of some people is who in a video, as `Studio.judge_file`; told of each frame, and ended at it."""

    def needed_bytes(self, request: StudioRequest, *, num_people: int) -> int:
        """Memory that a video needs at its busiest, as far as can be told."""
