"""What a studio is asked for; nothing here needs PyTorch, so that a mistake is told before it is imported."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

from ingredients.core.arrays import Float32Array, Int64Array
from ingredients.core.errors import PromptError, UserInputError
from ingredients.core.printable import check_letters, printable
from ingredients.core.ranges import check_number, whole_number
from ingredients.faces.identity_photos import IdentityPhotos
from ingredients.model_folders.sampling_settings import SamplingOverrides, SamplingSettings
from ingredients.pipelines.execution.speed_options import VideoOptions
from ingredients.pipelines.names import find_mentions
from ingredients.pipelines.places import PlacePath, PlacesInput, parse_places
from ingredients.pipelines.prompts import check_prompts

if TYPE_CHECKING:
    from ingredients.faces.facial_extractor import ExtractedIdentities
    from ingredients.pipelines.people import PeopleInput


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StudioRequest:
    """One video."""

    people: PeopleInput | ExtractedIdentities
    """Photos by name, one or several each; or what `Studio.read_people` made of them, to make several videos."""

    prompt: str
    """What happens; people are called by their names, as "@ana" or as "Ana"."""

    negative_prompt: str | None = None
    """What the video is led away from."""

    seed: int = 0
    """Any integer; the same request makes the same video."""

    sampling: SamplingOverrides = dataclasses.field(default_factory=dict)
    """Fields of `SamplingSettings` that differ from the model's own, by name."""

    places: PlacesInput = dataclasses.field(default_factory=dict)
    """Where people are to stand, by name, such as `{"ana": "left", "ben": (0.55, 0.2, 0.95, 0.9)}`; what JSON holds of
    them, too (`pipelines/places.py`)."""

    routing: Int64Array | None = None
    """(f, h, w), a person for each video token, -1 for none: a map that is forced, such as `load_routing` reads."""

    kept_latents: Float32Array | None = None
    """(f, C, h, w) of a finished video, such as `StudioResult.latents`, which stay where nobody of `redrawn` is."""

    redrawn: tuple[str, ...] = ()
    """Those who alone are made anew, where `routing` says that they are; with `kept_latents` and `routing`."""

    takes: int = 1
    """How many videos `Studio.make_takes` makes, of which it keeps the best, with this seed and those after it."""

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

    options: VideoOptions = dataclasses.field(default_factory=VideoOptions)
    """What of time and memory this video has another way than the loaded model."""

    with_routing_maps: bool = False
    """Whether the result says which person the router chose for each place."""

    @property
    def names(self) -> tuple[str, ...] | None:
        """What the people are called; None where they have no names yet."""
        if isinstance(self.people, Mapping):
            return tuple(self.people)
        if isinstance(self.people, Sequence) and all(isinstance(each, IdentityPhotos) for each in self.people):
            return tuple(cast(IdentityPhotos, each).name for each in self.people)
        return getattr(self.people, "names", None)

    def check(self) -> None:
        """Checks what can be checked before anything is loaded.

        Raises:
            PromptError: if the prompt is empty, not UTF-8, or has an @ before a name that nobody has.
            UserInputError: if a name is not UTF-8, a place is none or nobody's, or a number is none or out of its
                range.
        """
        check_prompts([self.prompt])
        check_letters(self.negative_prompt or "", "The negative prompt", kind=PromptError)
        for name in self.people if isinstance(self.people, Mapping) else ():
            check_letters(name, f"The name {printable(name)}", kind=UserInputError)
        names = self.names
        if names is not None:
            find_mentions(self.prompt, names)
            parse_places(self.places, names)
        for name, place in self.places.items():
            PlacePath.parse(place, name=name)
        if self.places and self.routing is not None:
            raise UserInputError("Places and a routing map both say who is where; give one of the two.")
        if bool(self.redrawn) != (self.kept_latents is not None) or (self.redrawn and self.routing is None):
            raise UserInputError("Making some people anew needs their names, a routing map and the finished latents.")
        if names is not None and (strangers := sorted(set(self.redrawn) - set(names))):
            raise UserInputError(f"{strangers[0]} cannot be made anew: there are {', '.join(names)}.")
        whole_number("takes", self.takes, least=1)
        check_number("face_scale", self.face_scale)
        SamplingSettings().override(**self.sampling)
