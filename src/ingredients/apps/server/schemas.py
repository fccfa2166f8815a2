"""The forms of requests and records, as they travel."""

from collections.abc import Collection
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

from ingredients.core.config import field_docstrings
from ingredients.core.ranges import declared_range
from ingredients.generation.jobs import (
    CONTACT_SHEET,
    ROUTING,
    ROUTING_MAP,
    VIDEO,
    Job,
    PersonOutcome,
    TakesOutcome,
    best_face_file,
    take_file,
)
from ingredients.generation.model_facts import ModelFacts
from ingredients.generation.video_record import (
    ActionRecord,
    ErrorRecord,
    KeptTake,
    PersonRecord,
    TakeRecord,
    TurnRecord,
    Variant,
    VideoRecord,
)
from ingredients.model_folders.sampling_settings import SamplingSettings
from ingredients.pipelines.execution.speed_options import StepCacheChoice
from ingredients.pipelines.video_shape import FPS

MOST_PROMPT_LETTERS = 4000
SAMPLING_FIELDS = tuple(SamplingSettings.__dataclass_fields__)

Side = Annotated[int, Field(ge=1, le=16_384)]
_Text = Annotated[str, Field(max_length=MOST_PROMPT_LETTERS)]


class OptionFields(BaseModel):
    """What of time and memory a video has another way than the loaded model does it, as `VideoOptions`."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    step_cache: Annotated[
        StepCacheChoice | None,
        Field(
            description="What steps take over from those before: less time, and a slightly other video. One of the "
            "model's `step_caches`, or none."
        ),
    ] = None
    split_guidance: Annotated[
        bool | None,
        Field(description="Whether the guidance passes of a step run one after the other: less memory, more time."),
    ] = None
    decode_in_tiles: Annotated[
        bool | None, Field(description="Whether large pictures are decoded in tiles: less memory.")
    ] = None


class VideoFields(BaseModel):
    """What is to be made. A form has the photos as files, JSON as data URLs; what is left out the server chooses."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    prompt: Annotated[_Text, Field(description="What happens, in a sentence.")]
    model: Annotated[str | None, Field(description="The server's model, as /v1/models names it.")] = None
    people: Annotated[
        list[str],
        Field(
            description="A name for each of `input_references`, in their order; a name that stands twice has two "
            "photos. Without names they are person 1, person 2, ..."
        ),
    ] = []
    input_references: Annotated[
        list[str],
        Field(description="Photos: files in a form, `data:image/png;base64,...` in JSON. No addresses are fetched."),
    ] = []
    faces: Annotated[
        list[str],
        Field(
            description="Which face of each photo: largest, left, right, or a number from the left. Empty: largest."
        ),
    ] = []
    negative_prompt: Annotated[_Text | None, Field(description="What the video is led away from.")] = None
    seconds: Annotated[
        float | str | None,
        Field(description="Length, of which the nearest is made that the model can. Not beside `num_frames`."),
    ] = None
    num_frames: Annotated[int | None, Field(ge=1, le=100_000, description="Length in frames.")] = None
    size: Annotated[
        str | None,
        Field(max_length=20, description="Width and height, such as 96x64. Not beside `width` and `height`."),
    ] = None
    width: Annotated[Side | None, Field(description="Pixels.")] = None
    height: Annotated[Side | None, Field(description="Pixels.")] = None
    fps: Annotated[float, Field(ge=1, le=60, description="Frames a second of the file.")] = FPS
    scale: Annotated[
        int | None, Field(ge=1, le=16, description="By how many whole pixels each pixel is enlarged in the file.")
    ] = None
    seed: Annotated[
        int | None,
        Field(ge=-(2**63), le=2**63 - 1, description="The same request makes the same video. Without one: any."),
    ] = None
    face_scale: Annotated[float, Field(ge=0, le=100, description="Strength of the faces' local features.")] = 1.0
    allow_photographs: Annotated[
        bool, Field(description="Whether a model that knows drawn people only takes photographs all the same.")
    ] = False
    place: Annotated[
        Any,
        Field(
            description="Where people are to stand, by name: left, middle, right, or the edges left, top, right and "
            'bottom in parts of the picture; also by key frame. In JSON `{"ana": "left", "ben": {"0": [0, 0, 0.4, 1], '
            '"8": "right"}}`; in a form that, or `ana=left`, `ben@8=0.55,0.2,0.95,0.9`, one or several times.',
            json_schema_extra={
                "anyOf": [
                    {"type": "object", "additionalProperties": True},
                    {"type": "array", "items": {"type": "string"}},
                ]
            },
        ),
    ] = None
    routing: Annotated[
        Any,
        Field(
            description="Who is where, forced instead of places: the id of a finished video of the same people and "
            "size, or what its `/content?variant=routing` says, edited: "
            '`{"people": ["ana"], "tokens": [[[0, -1]]]}`, -1 for nobody.',
            json_schema_extra={"anyOf": [{"type": "object", "additionalProperties": True}, {"type": "string"}]},
        ),
    ] = None
    takes: Annotated[
        int,
        Field(
            ge=1,
            description="How many videos are made, with this seed and those after it, of which the one is kept in "
            "which everybody is most alike.",
        ),
    ] = 1


def _sampling_fields() -> dict[str, Any]:
    """A field for each of `SamplingSettings`, in its range."""
    docs, fields = field_docstrings(SamplingSettings), {}
    for name in SAMPLING_FIELDS:
        allowed = declared_range(SamplingSettings, name)
        kind = type(getattr(SamplingSettings(), name))
        info = Field(ge=allowed.at_least, le=allowed.at_most, description=docs[name])
        fields[name] = (Annotated[kind | None, info], None)
    return fields


class _VideoAndOptions(OptionFields, VideoFields):
    """What is to be made, and how; the fields of the last base come first, where they are listed."""


VideoRequest: type[_VideoAndOptions] = create_model("VideoRequest", __base__=_VideoAndOptions, **_sampling_fields())
"""Both, and the fields of `SamplingSettings`."""


class RemixFields(BaseModel):
    """What is to be another way in a second video of the same people; the rest is as it was."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    prompt: Annotated[_Text | None, Field(description="What happens.")] = None
    seed: Annotated[int | None, Field(ge=-(2**63), le=2**63 - 1, description="Without one: any other.")] = None
    takes: Annotated[int | None, Field(ge=1, description="How many videos are made, of which the best is kept.")] = (
        None
    )
    keep_routing: Annotated[bool, Field(description="Whether everybody is where the finished video has them.")] = False
    routing: Annotated[
        dict[str, Any] | None,
        Field(description="Who is where: what `/content?variant=routing` of the video says, edited."),
    ] = None
    only: Annotated[
        list[str],
        Field(
            max_length=100,
            description="People who alone are made anew, where the finished video has them; the rest of its picture "
            "stays.",
        ),
    ] = []


class ErrorBody(BaseModel):
    """What the server answers where it refuses."""

    error: ErrorRecord


class FaceRecord(BaseModel):
    """A face of a photo."""

    number: Annotated[int, Field(description="From 1, from left to right, as `faces` of a request counts.")]
    box: Annotated[list[float], Field(description="Left, top, right, bottom, as parts of width and height.")]
    crop: Annotated[str, Field(description="The face, as a data URL.")]
    notes: Annotated[list[str], Field(description="What makes it doubtful.")]


class FaceList(BaseModel):
    """What is seen in a photo."""

    faces: list[FaceRecord]
    is_photograph: Annotated[bool, Field(description="Whether it is one, and the model knows drawn people only.")]
    refusal: Annotated[str | None, Field(description="Why the model takes nobody of it.")]
    can_be_drawn: Annotated[bool, Field(description="Whether /v1/drawings can draw its people.")]


class DrawingRecord(BaseModel):
    """The person of a photograph, drawn."""

    photo: Annotated[str, Field(description="The person cut out of the photograph, as a data URL.")]
    drawing: Annotated[str, Field(description="The drawing, as a data URL of a PNG.")]
    description: Annotated[str, Field(description="What is drawn, in words.")]
    features: Annotated[dict[str, str], Field(description="The drawing's features.")]
    choices: Annotated[dict[str, list[str]], Field(description="What each of them can be set to.")]


class JudgementRecord(BaseModel):
    """Who is who in a video that any system made."""

    judgement: Annotated[dict[str, Any], Field(description="As the report of `ingredients judge`.")]
    sheet: Annotated[str, Field(description="People, timeline and marked frames, as a data URL of a PNG.")]
    notices: Annotated[list[str], Field(description="What is worth knowing of photos and judge.")]


class JudgingRecord(BaseModel):
    """How far a judgement is."""

    object: Literal["judgement"] = "judgement"
    status: Annotated[Literal["queued", "in_progress", "completed", "failed"], Field(description="How far it is.")]
    progress: Annotated[int, Field(description="Percent.")] = 0
    step: Annotated[int, Field(description="Frames of the video that were looked at, or passed over.")] = 0
    num_steps: Annotated[int | None, Field(description="Frames of the video.")] = None
    seconds_left: Annotated[float | None, Field(description="Time until the last of them.")] = None
    result: Annotated[JudgementRecord | None, Field(description="The judgement, once it is there.")] = None
    error: Annotated[ErrorRecord | None, Field(description="Why there is none.")] = None


class EstimateFields(OptionFields):
    """A video that somebody thinks of."""

    prompt: Annotated[_Text, Field(description="What happens.")] = ""
    people: Annotated[list[str], Field(max_length=100, description="Their names.")] = []
    width: Annotated[Side | None, Field(description="Pixels.")] = None
    height: Annotated[Side | None, Field(description="Pixels.")] = None
    num_frames: Annotated[int | None, Field(ge=1, le=100_000, description="Length in frames.")] = None
    takes: Annotated[int, Field(ge=1, description="How many videos are made, of which the best is kept.")] = 1
    place: Annotated[Any, Field(description="Where they are to stand, as for a video.")] = None


EstimateRequest: type[EstimateFields] = create_model("EstimateRequest", __base__=EstimateFields, **_sampling_fields())
"""`EstimateFields` and the fields of `SamplingSettings`."""


class EstimateRecord(BaseModel):
    """What it would take."""

    seconds: Annotated[float | None, Field(description="Time, by videos made here before; null before the first.")]
    is_rough: Annotated[
        bool, Field(description="Whether none of those was made with this step cache, or led by likeness alike.")
    ]
    waiting: Annotated[int, Field(description="Videos that are made before it.")]
    bytes: Annotated[int | None, Field(description="Memory, as far as can be told.")]
    notes: Annotated[list[str], Field(description="What of the sentence the model will not follow.")]
    error: Annotated[str | None, Field(description="Why it cannot be made like that.")]


class VideoList(BaseModel):
    """A page of videos."""

    object: Literal["list"] = "list"
    data: list[VideoRecord]
    first_id: str | None
    last_id: str | None
    has_more: bool


class VideoDeleted(BaseModel):
    """A video that is gone."""

    id: str
    object: Literal["video.deleted"] = "video.deleted"
    deleted: Literal[True] = True


class ModelRecord(BaseModel):
    """The model of the server."""

    id: str
    object: Literal["model"] = "model"
    owned_by: Literal["this server"] = "this server"
    size: Annotated[str, Field(description="Width and height that it was made for.")]
    num_frames: Annotated[int, Field(description="Frames that it was made for.")]
    seconds: str
    fps: float
    size_multiple: Annotated[int, Field(description="What width and height must be a multiple of.")]
    frame_step: Annotated[int, Field(description="Frames must be one more than a multiple of this.")]
    reads_photographs: Annotated[bool, Field(description="Whether it knows people of photographs, not drawn ones.")]
    has_judge: Annotated[bool, Field(description="Whether similarities are measured.")]
    step_caches: Annotated[list[str], Field(description="Those that `step_cache` of a request may name.")]
    words: Annotated[
        list[str], Field(description="The words that prompts may hold, without names; empty where any word may.")
    ]
    sampling: Annotated[dict[str, Any], Field(description="What holds where a request says nothing.")]


class ModelList(BaseModel):
    """The models of the server, of which there is one; none while it is loaded."""

    object: Literal["list"] = "list"
    data: list[ModelRecord]


class Health(BaseModel):
    """Whether the server can work."""

    status: Literal["ok", "loading", "failed", "stopping"]
    model: str | None


VARIANT_FILES: dict[str, str] = {
    "video": VIDEO,
    "contact_sheet": CONTACT_SHEET,
    "routing_map": ROUTING_MAP,
    "routing": ROUTING,
}


def describe_job(job: Job, facts: ModelFacts | None, *, previews: tuple[Variant, ...] = ()) -> VideoRecord:
    """The record of a job.

    Args:
        job: as the store knows it.
        facts: what is known of the model.
        previews: those that are there.
    """
    settings, outcome = job.settings, job.outcome
    own = None if facts is None else facts.geometry.own_shape
    if outcome is not None:
        width, height, num_frames = outcome.width, outcome.height, outcome.num_frames
        size: str | None = f"{width}x{height}"
    else:
        shape = None if facts is None else facts.geometry.shape(
            height=settings.height, width=settings.width, num_frames=settings.num_frames
        )  # fmt: skip
        num_frames = settings.num_frames or (0 if own is None else own.num_frames)
        size = None if shape is None else f"{shape.width * settings.scale}x{shape.height * settings.scale}"
    fared = {} if outcome is None else {person.name: person for person in outcome.people}
    made: tuple[Variant, ...] = ()
    if outcome is not None:
        made = tuple(variant for variant in _VARIANTS if VARIANT_FILES[variant] in outcome.files)
    return VideoRecord(
        id=job.id,
        model=outcome.model if outcome is not None and outcome.model else None if facts is None else facts.name,
        status=job.state,
        progress=job.progress,
        step=job.step,
        num_steps=job.num_steps,
        seconds_left=None if job.seconds_left is None or job.has_ended else round(job.seconds_left, 1),
        place=job.place,
        created_at=int(job.created_at),
        started_at=_whole(job.started_at),
        completed_at=_whole(job.ended_at),
        expires_at=_whole(job.expires_at),
        prompt=settings.prompt,
        negative_prompt=settings.negative_prompt,
        seed=settings.seed,
        takes=settings.takes,
        kept_take=None if outcome is None or outcome.takes is None else _kept_take(outcome.takes, outcome.files),
        has_routing=settings.has_routing,
        redrawn=settings.redrawn,
        size=size,
        scale=settings.scale,
        seconds=f"{num_frames / settings.fps:g}" if num_frames else None,
        num_frames=num_frames or None,
        fps=settings.fps,
        settings={**settings.sampling, **settings.options.names()},
        people=tuple(
            PersonRecord(
                name=person.name,
                photos=len(person.photos),
                faces=tuple(photo.face or "" for photo in person.photos),
                place=settings.places.get(person.name),
                found=fared[person.name].found if person.name in fared else None,
                similarity=fared[person.name].similarity if person.name in fared else None,
                distance=fared[person.name].distance if person.name in fared else None,
                verdict=fared[person.name].verdict if person.name in fared else None,
                turns=tuple(
                    TurnRecord(seconds=turn.seconds, becomes=turn.becomes, is_exchange=turn.is_exchange)
                    for turn in (fared[person.name].turns if person.name in fared else ())
                ),
                action=_action(fared.get(person.name)),
                has_best_face=outcome is not None and best_face_file(number) in outcome.files,
            )
            for number, person in enumerate(settings.people)
        ),
        judge=None if outcome is None else outcome.judge,
        seconds_taken=None if outcome is None else outcome.seconds_taken,
        notices=() if outcome is None else outcome.notices,
        remarks=() if outcome is None else outcome.remarks,
        variants=(*made, *previews),
        error=None if job.error is None else ErrorRecord(code=job.error.code, message=job.error.message),
    )


_VARIANTS: tuple[Variant, ...] = ("video", "contact_sheet", "routing_map", "routing")


def describe_model(facts: ModelFacts, sampling: dict[str, Any]) -> ModelRecord:
    """The record of the model.

    Args:
        facts: what is known of it.
        sampling: what holds where a request says nothing.
    """
    geometry = facts.geometry
    own = geometry.own_shape
    return ModelRecord(
        id=facts.name,
        size=f"{own.width}x{own.height}",
        num_frames=own.num_frames,
        seconds=f"{own.num_frames / FPS:g}",
        fps=FPS,
        size_multiple=geometry.size_multiple,
        frame_step=geometry.frame_step,
        reads_photographs=facts.reads_photographs,
        has_judge=facts.has_judge,
        step_caches=list(facts.step_caches),
        words=list(facts.words),
        sampling=sampling,
    )


def _action(person: PersonOutcome | None) -> ActionRecord | None:
    if person is None or person.action is None:
        return None
    action = person.action
    return ActionRecord(asked=action.asked, seen=action.seen, share=action.share, as_asked=action.as_asked)


def _kept_take(takes: TakesOutcome, files: Collection[str]) -> KeptTake:
    return KeptTake(
        number=takes.kept,
        seed=next(take.seed for take in takes.all if take.number == takes.kept),
        reason=takes.reason,
        all=tuple(
            TakeRecord(
                number=take.number,
                seed=take.seed,
                likeness=take.likeness,
                clarity=take.clarity,
                has_video=take.number == takes.kept or take_file(take.number) in files,
            )
            for take in takes.all
        ),
    )


def _whole(moment: float | None) -> int | None:
    return None if moment is None else int(moment)
