"""What a studio is asked for; nothing here needs PyTorch, so that a mistake is told before it is imported."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ingredients.core.errors import PromptError, UserInputError
from ingredients.core.printable import check_letters, printable
from ingredients.core.ranges import check_number
from ingredients.model_folders.sampling_settings import SamplingOverrides, SamplingSettings
from ingredients.pipelines.prompts import check_prompts

if TYPE_CHECKING:
    from ingredients.faces.facial_extractor import ExtractedIdentities
    from ingredients.pipelines.people import PeopleInput

FPS = 8.0
"""Frames a second of every model's videos (4.1)."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StudioRequest:
    """One video."""

    people: PeopleInput | ExtractedIdentities
    """Photos by name, one or several each; or what `Studio.read_people` made of them, to make several videos."""

    prompt: str
    """What happens."""

    negative_prompt: str | None = None
    """What the video is led away from."""

    seed: int = 0
    """Any integer; the same request makes the same video."""

    sampling: SamplingOverrides = dataclasses.field(default_factory=dict)
    """Fields of `SamplingSettings` that differ from the model's own, by name."""

    face_scale: float = 1.0
    """Strength of the faces' local features (alpha_m of Eq. 4)."""

    num_frames: int | None = None
    """Length in frames; None, here and below, takes what the model was trained on."""

    height: int | None = None
    """Height in pixels."""

    width: int | None = None
    """Width in pixels."""

    allow_photographs: bool = False
    """Whether a model that knows drawn people only takes photographs, with a warning and without a similarity."""

    with_routing_maps: bool = False
    """Whether the result says which person the router chose for each place."""

    def check(self) -> None:
        """Checks what can be checked before anything is loaded.

        Raises:
            PromptError: if the prompt is empty, or not UTF-8.
            UserInputError: if a name is not UTF-8, or a number is none or out of its range.
        """
        check_prompts([self.prompt])
        check_letters(self.negative_prompt or "", "The negative prompt", kind=PromptError)
        for name in self.people if isinstance(self.people, Mapping) else ():
            check_letters(name, f"The name {printable(name)}", kind=UserInputError)
        check_number("face_scale", self.face_scale)
        SamplingSettings().override(**self.sampling)
