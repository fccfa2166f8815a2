"""A video that somebody waits for: what was asked, how far it is, what became of it; nothing here needs PyTorch."""

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from ingredients.core.errors import (
    HubError,
    MissingDependencyError,
    ModelFolderError,
    OutputError,
    SpeedOptionError,
    UserInputError,
)
from ingredients.pipelines.execution.speed_options import VideoOptions
from ingredients.pipelines.video_shape import FPS

JobState: TypeAlias = Literal["queued", "in_progress", "completed", "failed", "cancelled"]
JOB_STATES: tuple[JobState, ...] = get_args(JobState)

ENDED: frozenset[JobState] = frozenset({"completed", "failed", "cancelled"})
"""States that nothing follows."""

VIDEO, CONTACT_SHEET, ROUTING_MAP = "video.mp4", "contact_sheet.png", "routing_map.png"
"""Files of a video that was made, in the folder of its job."""


ROUTING, LATENTS = "routing.json", "latents.npy"
"""Files of a video that was made: who is where, as `routing_edit` writes it, and the latents (f, C, h, w)."""

ASKED_ROUTING, KEPT_LATENTS = "asked_routing.json", "kept_latents.npy"
"""Files that a video is asked for with: a map that is forced, and what stays where nobody is made anew."""


def take_file(number: int) -> str:
    """Name of the video of a take, counted from 1, that was not kept."""
    return f"take-{number}.mp4"


def best_face_file(number: int) -> str:
    """Name of the picture of a person's best frame, the people counted from 0; there is none of who is not seen."""
    return f"best-{number}.png"


PREVIEW, PREVIEW_ROUTING = "preview.png", "preview_routing.png"
"""Files of a video that is being made: the frames so far side by side, and the same below the people's colours."""

SERVER_ERROR = "server_error"
"""Code of what is no fault of the request."""

_SERVER_KINDS = (HubError, MissingDependencyError, ModelFolderError, OutputError, SpeedOptionError)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class JobPhoto:
    """A photo of a person."""

    file: str
    """Its name in the folder of the job, given by the store."""

    face: str | None = None
    """Which of its faces is meant, as `parse_face_choice` reads it."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class JobPerson:
    """Somebody who is to appear."""

    name: str
    """The name, as given."""

    photos: tuple[JobPhoto, ...]
    """The photos, at least one."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class JobSettings:
    """What is to be made; None leaves it to the model."""

    prompt: str
    """What happens."""

    people: tuple[JobPerson, ...]
    """The people, in the order given."""

    seed: int
    """The seed of the noise; a job that is run again has the same."""

    negative_prompt: str | None = None
    """What the video is led away from."""

    sampling: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Fields of `SamplingSettings` that differ from the model's own, by name."""

    face_scale: float = 1.0
    """Strength of the faces' local features."""

    num_frames: int | None = None
    """Length in frames."""

    height: int | None = None
    """Pixels."""

    width: int | None = None
    """Pixels."""

    fps: float = FPS
    """Frames a second of the file."""

    scale: int = 1
    """The whole number of pixels to which each pixel is enlarged in the file."""

    allow_photographs: bool = False
    """Whether a model that knows drawn people only takes photographs."""

    places: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Where people are to stand, by name, as `PlacePath.to_json` writes it."""

    has_routing: bool = False
    """Whether a routing map is forced, which lies beside the photos."""

    options: VideoOptions = dataclasses.field(default_factory=VideoOptions)
    """What of time and memory the video has another way than the loaded model."""

    redrawn: tuple[str, ...] = ()
    """Those who alone are made anew in a video that is there; empty: everybody."""

    takes: int = 1
    """How many videos are made, of which the best is kept, with this seed and those after it."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PersonAction:
    """What a person does in a video, by the model's judge of actions."""

    seen: str
    """The likeliest of the drawn world's actions, such as `wave`."""

    share: float
    """How sure the judge is of it, from 0 to 1."""

    asked: tuple[str, ...] = ()
    """What the sentence asks of the person, as far as it can be told; empty: nothing."""

    @property
    def as_asked(self) -> bool | None:
        """Whether the person does one of the things asked; None where nothing was."""
        return self.seen in self.asked if self.asked else None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PersonTurn:
    """A moment of a video from which on a person's face is somebody else's."""

    seconds: float
    """When."""

    becomes: str | None
    """Name of who it is from then on; None for nobody who was asked for."""

    is_exchange: bool = False
    """Whether the other's face becomes the person's at that moment."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PersonOutcome:
    """How one person fared."""

    name: str
    """The name, as given."""

    found: bool | None
    """Whether a face of the video was matched to the person; None if nobody looked."""

    similarity: float | None
    """The similarity by the model's judge: 0 is a stranger, 1 the same person in a real clip."""

    distance: float | None
    """The distance by dlib: below 0.6 it takes them for one person."""

    verdict: str
    """The same in words."""

    turns: tuple[PersonTurn, ...] = ()
    """When the person's face becomes somebody else's, in their order."""

    action: PersonAction | None = None
    """What the person does; None where nobody can tell."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TakeOutcome:
    """One of several takes."""

    number: int
    """Which, from 1."""

    seed: int
    """The seed that makes it again."""

    likeness: tuple[float, ...]
    """For each person, cosine to the photos by the model's own face networks; empty if it was stopped."""

    clarity: float | None
    """How clear it is what people do, from 0 to 1; None where nobody can tell."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TakesOutcome:
    """Several takes, of which one was kept."""

    kept: int
    """Number of that one."""

    reason: str
    """Why it is the best: one sentence."""

    all: tuple[TakeOutcome, ...]
    """The takes, in the order in which they were made."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class JobOutcome:
    """A video that was made."""

    num_frames: int
    """Length in frames."""

    height: int
    """Pixels of the file."""

    width: int
    """Pixels of the file."""

    seconds_taken: float
    """Time that it took, with all of its takes."""

    judge: str | None
    """Who looked for the people; None if nobody could."""

    people: tuple[PersonOutcome, ...]
    """The people, in the order of the request."""

    files: tuple[str, ...]
    """Names of its files in the folder of the job."""

    notices: tuple[str, ...] = ()
    """Doubts about photos, words that the model does not know, sizes that it was not made for."""

    remarks: tuple[str, ...] = ()
    """Who is exchanged, doubled, blended or a stranger in the video, a sentence each."""

    model: str | None = None
    """Who made it; None of what was made before this was noted."""

    takes: TakesOutcome | None = None
    """Which take was kept, and why, of several; None of one."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class JobError:
    """Why there is no video."""

    code: str
    """The code, for programs."""

    message: str
    """One sentence, for people."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job as the store knows it."""

    id: str
    """The name by which its owner asks for it; it cannot be guessed."""

    owner: str
    """Name of the key that it was asked for with; empty without keys."""

    state: JobState
    """How far it is."""

    settings: JobSettings
    """What is to be made."""

    created_at: float
    """Seconds since 1970, here and below."""

    started_at: float | None = None
    """When it was begun the last time."""

    ended_at: float | None = None
    """When it was completed, failed or was cancelled."""

    expires_at: float | None = None
    """When it is removed."""

    step: int = 0
    """Denoising steps taken."""

    num_steps: int | None = None
    """Denoising steps in all, once that is known."""

    seconds_left: float | None = None
    """Time until the last step; of a queued job, a guess by those before it."""

    place: int | None = None
    """Place in the queue, from 1, of a queued job."""

    outcome: JobOutcome | None = None
    """What was made."""

    error: JobError | None = None
    """Why nothing was."""

    @property
    def has_ended(self) -> bool:
        """Whether nothing will change any more."""
        return self.state in ENDED

    @property
    def progress(self) -> int:
        """Percent: 100 only once the files are there."""
        if self.state == "completed":
            return 100
        return min(99, 100 * self.step // self.num_steps) if self.num_steps else 0


def explain_error(
    error: UserInputError,
    *,
    job_id: str,
    private: Mapping[str, str] | None = None,
    options: VideoOptions | None = None,
    doing: str = "make this video",
) -> JobError:
    """What the owner of a job is told of an error of the pipeline.

    Args:
        error: whose sentence is about the request, or about the machine.
        job_id: under which the operator finds it in the log.
        private: what must not be said, such as folders, and what is said in its place.
        options: those that the owner chose, about which the sentence may be.
        doing: what was asked for, behind "the server could not".
    """
    is_about_choice = isinstance(error, SpeedOptionError) and options is not None and bool(options.names())
    if isinstance(error, _SERVER_KINDS) and not is_about_choice:
        return server_error(job_id, doing=doing)
    message = str(error)
    for secret, word in (private or {}).items():
        message = message.replace(secret, word)
    return JobError(code=error_code(error), message=message)


def server_error(job_id: str, *, doing: str = "make this video") -> JobError:
    """What the owner is told where only the operator can help."""
    return JobError(
        code=SERVER_ERROR,
        message=f"The server could not {doing}, for a reason that is not in the request; its operator finds "
        f"it in the log at {job_id}.",
    )


def error_code(error: UserInputError) -> str:
    """A short name of an error's kind, such as `no_face` for a `NoFaceError`."""
    if type(error) is UserInputError:
        return "invalid_request"
    name = type(error).__name__.removesuffix("Error")
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


def private_folders(*folders: Path) -> dict[str, str]:
    """Names of folders that no error may say, the longest first, for `explain_error`."""
    named = {str(each) for folder in (*folders, Path.home(), Path.cwd()) for each in (folder, folder.resolve())}
    return {name: "..." for name in sorted(named, key=len, reverse=True) if len(name) > 1}
