"""What is told of a video that somebody waits for, which the server writes and the client reads.

Nothing here needs PyTorch, or the server's libraries. The page of the server's addresses (OpenAPI) says of each field
what stands below it here.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, TypeAlias

from ingredients.generation.jobs import ENDED, JobState
from ingredients.pipelines.video_shape import FPS

Variant: TypeAlias = Literal["video", "contact_sheet", "routing_map", "routing", "preview", "preview_routing"]
"""What can be downloaded of a video."""

_DESCRIBED: Mapping[str, Any] = {
    "use_attribute_docstrings": True,
    "json_schema_serialization_defaults_required": True,
}
"""Settings of pydantic's, by which the server describes a record; its reader needs no pydantic."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ErrorRecord:
    """Why there is no video, or why a request is refused."""

    __pydantic_config__: ClassVar = _DESCRIBED

    code: str
    """The code, for programs."""

    message: str
    """The sentence, for people."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ActionRecord:
    """What a person does, by the model's judge of actions, which is often unsure."""

    __pydantic_config__: ClassVar = _DESCRIBED

    asked: tuple[str, ...]
    """What the sentence asks, as far as can be told; empty: nothing."""

    seen: str
    """The likeliest action of the drawn world, such as wave."""

    share: float
    """How sure the judge is of it, from 0 to 1."""

    as_asked: bool | None
    """Whether it is one of those asked; null where nothing was."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TurnRecord:
    """A moment of the video from which on a person's face is somebody else's."""

    __pydantic_config__: ClassVar = _DESCRIBED

    seconds: float
    """When."""

    becomes: str | None
    """Name of who it is from then on; null for nobody who was asked for."""

    is_exchange: bool
    """Whether the other's face becomes the person's at that moment."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PersonRecord:
    """A person of a video."""

    __pydantic_config__: ClassVar = _DESCRIBED

    name: str
    """The person's name, as given."""

    photos: int
    """Number of photos that were given."""

    faces: tuple[str, ...] = ()
    """Which face of each photo is meant; empty: the largest."""

    place: Mapping[str, Any] | None = None
    """By key frame, where the person was to stand; null leaves it to the model."""

    found: bool | None = None
    """Whether the person was found in the video; null while nobody has looked."""

    similarity: float | None = None
    """The similarity by the model's judge: 0 is a stranger, 1 the same person in a real clip."""

    distance: float | None = None
    """The distance by dlib: below 0.6 it takes them for one person."""

    verdict: str | None = None
    """The same in words."""

    turns: tuple[TurnRecord, ...] = ()
    """When the person's face becomes somebody else's, in their order."""

    action: ActionRecord | None = None
    """What the person does; null where nobody can tell."""

    has_best_face: bool = False
    """Whether /faces/{number} shows the best frame's face."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TakeRecord:
    """One of several takes."""

    __pydantic_config__: ClassVar = _DESCRIBED

    number: int
    """The number of the take, from 1."""

    seed: int
    """The seed that makes it again."""

    likeness: tuple[float, ...]
    """For each person, cosine to the photos by the model's own face networks."""

    clarity: float | None = None
    """How clear it is what people do, if somebody can tell."""

    has_video: bool = False
    """Whether /content?take=NUMBER shows it."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class KeptTake:
    """Which of several takes a video is, and why."""

    __pydantic_config__: ClassVar = _DESCRIBED

    number: int
    """The number of the take, from 1."""

    seed: int
    """The seed that makes it again, with `takes` 1."""

    reason: str
    """Why it is the best, in a sentence."""

    all: tuple[TakeRecord, ...] = ()
    """The takes, in the order in which they were made."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class VideoRecord:
    """A video that was asked for."""

    __pydantic_config__: ClassVar = _DESCRIBED

    id: str
    """The name by which the server knows it."""

    object: Literal["video"] = "video"
    """What this is a record of."""

    model: str | None = None
    """Who makes it."""

    status: JobState
    """How far it is."""

    progress: int
    """Percent."""

    step: int = 0
    """Denoising steps taken, of all takes."""

    num_steps: int | None = None
    """Denoising steps in all, of all takes."""

    seconds_left: float | None = None
    """Time until it is done, as far as can be told."""

    place: int | None = None
    """Place in the queue, from 1, while it is queued."""

    created_at: int
    """Seconds since 1970, as for the next three."""

    started_at: int | None = None
    """When it was begun."""

    completed_at: int | None = None
    """When it ended."""

    expires_at: int | None = None
    """When the server removes it."""

    prompt: str
    """What happens in it."""

    negative_prompt: str | None = None
    """What it is led away from."""

    seed: int
    """The seed of the first take."""

    takes: int = 1
    """Number of takes that were asked for."""

    kept_take: KeptTake | None = None
    """Which of several it is, and why; null before it is made, and of one."""

    has_routing: bool = False
    """Whether a routing map was forced."""

    redrawn: tuple[str, ...] = ()
    """Who alone was made anew in a video that was there; empty: everybody."""

    size: str | None = None
    """Width and height of the file."""

    scale: int = 1
    """The whole number of pixels, each way, to which each pixel of the video is enlarged in the file."""

    seconds: str | None = None
    """Length in seconds."""

    num_frames: int | None = None
    """Length in frames."""

    fps: float = FPS
    """Frames a second."""

    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """The sampling settings, and options of time and memory, that were asked for."""

    people: tuple[PersonRecord, ...]
    """The people, in the order given."""

    judge: str | None = None
    """Who looked for the people in the video."""

    seconds_taken: float | None = None
    """Time that it took, with all of its takes."""

    notices: tuple[str, ...] = ()
    """Doubts about photos, words and sizes."""

    remarks: tuple[str, ...] = ()
    """Who is exchanged, doubled, blended or a stranger in the video."""

    variants: tuple[Variant, ...] = ()
    """What /content has by now."""

    error: ErrorRecord | None = None
    """Why there is no video."""

    @property
    def has_ended(self) -> bool:
        """Whether nothing will change any more."""
        return self.status in ENDED
