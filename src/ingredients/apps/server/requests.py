"""From the bytes of a request to a job: read within limits, checked against schema, model and images, in that order.

Nothing is written before all of it fits, and no name that a caller gives becomes the name of a file.
"""

import base64
import binascii
import dataclasses
import re
import secrets
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from ingredients.apps.server.errors import ApiError, unfit_sentence
from ingredients.apps.server.schemas import SAMPLING_FIELDS, OptionFields, VideoFields, VideoRequest
from ingredients.apps.server.settings import RequestLimits, ServerDefaults
from ingredients.core.arrays import Int64Array
from ingredients.core.errors import ArgumentError, PhotoError, SpeedOptionError, UserInputError
from ingredients.core.json_yaml import NotPlainError, found, parse_json
from ingredients.core.printable import check_letters, printable
from ingredients.faces.face_choice import FaceChoice, parse_face_choice
from ingredients.generation.job_store import NewPerson
from ingredients.generation.jobs import ASKED_ROUTING, JobSettings
from ingredients.generation.model_facts import ModelFacts
from ingredients.generation.request import StudioRequest
from ingredients.generation.routing_edit import parse_routing, routing_bytes
from ingredients.media.photos import check_photo_file
from ingredients.pipelines.execution.speed_options import (
    LOADED_OPTIONS,
    VideoOptions,
    check_step_cache_passes,
)
from ingredients.pipelines.guidance_passes import plan_passes
from ingredients.pipelines.places import (
    PlacePath,
    check_frames,
    left_to_right,
    parse_places,
    place_people,
    read_place_options,
)

PHOTOS = ("input_references", "input_reference")
_LISTS = ("people", "faces", "place")
_MOST_FIELDS = 400
_MOST_NAME_LETTERS = 80
_DATA_URL = re.compile(r"data:[\w.+-]{1,60}/[\w.+-]{1,60}(?:;[\w=.+-]{1,60}){0,3};base64,", re.IGNORECASE)
_ID = re.compile(r"video_[0-9a-f]{24}")
_SIZE = re.compile(r"([0-9]{1,5})\s*[xX]\s*([0-9]{1,5})")
_SECONDS = re.compile(r"[0-9]{1,5}(?:\.[0-9]{1,6})?")

_ModelT = TypeVar("_ModelT", bound=BaseModel)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SentRequest:
    """What a caller sent, read but not looked at."""

    fields: Mapping[str, Any]
    """Everything but photos."""

    photos: tuple[bytes, ...]
    """Content of the files."""

    is_form: bool
    """Whether all fields are texts, as in a form."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PlannedJob:
    """What a request means for the store."""

    settings: JobSettings
    """What is to be made."""

    people: Sequence[NewPerson]
    """Those who are to appear."""

    files: Mapping[str, bytes] = dataclasses.field(default_factory=dict)
    """Others that the job needs, by name."""


async def read_request(request: Request, limits: RequestLimits, *, other_files: Collection[str] = ()) -> SentRequest:
    """Reads a form or JSON, but not more than it may have.

    Args:
        request: as it comes in.
        limits: the limits of its size.
        other_files: fields of a form that are files beside the photos; their bytes are among the fields.

    Raises:
        ApiError: for another kind of body, one that is too large, or none.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json":
        return await _read_json(request, limits)
    if kind == "multipart/form-data":
        return await _read_form(request, limits, other_files)
    raise ApiError(
        415, "content_type", "Send a form with files (multipart/form-data), or JSON (application/json) with data URLs."
    )


async def read_json_body(request: Request, limits: RequestLimits) -> dict[str, Any]:
    """The object of a JSON body; an empty body is an empty one.

    Raises:
        ApiError: for anything else, or too much.
    """
    content = b"".join([part async for part in _stream(request, limits.most_upload_bytes)])
    if not content.strip():
        return {}
    try:
        values = parse_json(content)
    except NotPlainError as error:
        raise ApiError(400, "json", f"The request is no JSON that can be read ({error}).") from error
    if not isinstance(values, dict):
        raise ApiError(422, "invalid_request", "The request must be a JSON object, with fields such as prompt.")
    return values


def fit(model: type[_ModelT], fields: Mapping[str, Any], *, is_form: bool = False) -> _ModelT:
    """The fields as a schema wants them.

    Args:
        model: the schema.
        fields: the fields by name.
        is_form: whether numbers are texts.

    Raises:
        ApiError: with status 422, for the first that does not fit.
    """
    try:
        return model.model_validate(dict(fields), strict=not is_form)
    except ValidationError as error:
        problems = error.errors(include_url=False)
        sentence = unfit_sentence(problems, fields=model.model_fields)
        raise ApiError(422, "invalid_request", sentence) from error


def plan_job(
    sent: SentRequest,
    *,
    facts: ModelFacts,
    limits: RequestLimits,
    defaults: ServerDefaults,
    routing_of: Callable[[str], bytes],
) -> PlannedJob:
    """Checks a request, photos last, and says what is to be made; a field of the request beats the server's default.

    Args:
        sent: the request.
        facts: what is known of the model.
        limits: the limits of requests.
        defaults: values for what the request leaves out.
        routing_of: gives the routing map of a finished video by its id, or refuses.

    Raises:
        ApiError: if it does not fit the schema or the limits.
        UserInputError: if the pipeline could not make it, or a photo is none.
    """
    for name in LOADED_OPTIONS:
        if name in sent.fields:
            raise ApiError(
                422,
                "loaded_option",
                f"{name} is decided when the model is loaded, by whoever runs this server "
                f"(`ingredients serve --{name.replace('_', '-')}`); a request can choose "
                f"{', '.join(field.name for field in dataclasses.fields(VideoOptions))}.",
            )
    asked = fit(VideoRequest, sent.fields, is_form=sent.is_form)
    if asked.model is not None and asked.model != facts.name:
        raise ApiError(
            400, "model", f"There is no model {printable(asked.model, most=80)} here; this server has {facts.name}."
        )
    width, height = _size(asked, defaults)
    settings = JobSettings(
        prompt=asked.prompt,
        people=(),
        seed=secrets.randbelow(2**31) if asked.seed is None else asked.seed,
        negative_prompt=asked.negative_prompt if asked.negative_prompt is not None else defaults.negative_prompt,
        sampling=sampling_asked(asked, defaults),
        face_scale=asked.face_scale,
        num_frames=_num_frames(asked, facts, defaults),
        height=height,
        width=width,
        fps=asked.fps,
        scale=asked.scale if asked.scale is not None else defaults.scale,
        allow_photographs=asked.allow_photographs,
        takes=asked.takes,
        options=options_asked(asked),
    )
    check_settings(settings, facts=facts, limits=limits)
    people = _people(asked, sent.photos, limits)
    names = [person.name for person in people]
    settings = dataclasses.replace(settings, places=_places(asked.place, names, settings, facts))
    if asked.routing is None:
        return PlannedJob(settings=settings, people=people)
    if settings.places:
        raise ApiError(422, "routing", "Places and a routing map both say who is where; give one of the two.")
    values = asked.routing
    if isinstance(values, str):
        values = routing_of(values.strip()) if _ID.fullmatch(values.strip()) else values
        try:
            values = parse_json(values)
        except NotPlainError as error:
            raise ApiError(422, "routing", f"routing is no JSON that can be read, nor a video ({error}).") from error
    return PlannedJob(
        settings=dataclasses.replace(settings, has_routing=True),
        people=people,
        files={ASKED_ROUTING: check_routing(values, names, settings, facts)},
    )


def sampling_asked(asked: OptionFields, defaults: ServerDefaults) -> dict[str, Any]:
    """The fields of `SamplingSettings` that a request gives, over the server's."""
    given = {name: value for name in SAMPLING_FIELDS if (value := getattr(asked, name)) is not None}
    return dict(defaults.sampling) | given


def options_asked(asked: OptionFields) -> VideoOptions:
    """What of time and memory a request wants another way."""
    return VideoOptions(**{field.name: getattr(asked, field.name) for field in dataclasses.fields(VideoOptions)})


def check_routing(values: object, names: Sequence[str], settings: JobSettings, facts: ModelFacts) -> bytes:
    """A routing map as the job keeps it, which fits people and size.

    Raises:
        ApiError: if it does not.
    """
    shape = facts.geometry.shape(height=settings.height, width=settings.width, num_frames=settings.num_frames)
    try:
        return routing_bytes(parse_routing(values, names, facts.geometry.token_grid(shape)), names)
    except UserInputError as error:
        raise ApiError(422, "routing", printable(str(error), most=600)) from error


def check_settings(settings: JobSettings, *, facts: ModelFacts, limits: RequestLimits) -> None:
    """Checks what a video is to be, but for its people.

    Raises:
        ApiError: if it is more than this server makes.
        UserInputError: if no model could make it, or this one cannot.
    """
    StudioRequest(
        people={},
        prompt=settings.prompt,
        negative_prompt=settings.negative_prompt,
        sampling=settings.sampling,
        face_scale=settings.face_scale,
        takes=settings.takes,
    ).check()
    if settings.options.step_cache not in (None, "none", *facts.step_caches):
        raise ApiError(
            422,
            "speed_option",
            f"The model of this server cannot take the step cache {settings.options.step_cache}; choose one of "
            f"{', '.join((*facts.step_caches, 'none'))}.",
        )
    try:
        speed = settings.options.applied_to(facts.speed)
        check_step_cache_passes(speed.step_cache, plan_passes(facts.sampling.override(**settings.sampling)))
    except SpeedOptionError as error:
        raise ApiError(422, "speed_option", str(error)) from error
    if settings.takes > limits.most_takes:
        raise ApiError(422, "limit", f"takes must be at most {limits.most_takes}, not {settings.takes}.")
    shape = facts.geometry.shape(height=settings.height, width=settings.width, num_frames=settings.num_frames)
    pixels = shape.height * shape.width * shape.num_frames
    if pixels > limits.most_video_pixels or pixels * settings.scale**2 > 16 * limits.most_video_pixels:
        raise ApiError(
            400,
            "limit",
            f"A video of {shape.num_frames} frames of {shape.width}x{shape.height}"
            + (f", enlarged {settings.scale} times," if settings.scale > 1 else "")
            + f" is larger than this server makes ({limits.most_video_pixels / 1e6:g} million pixels in all); make it "
            "smaller or shorter.",
        )
    steps = settings.sampling.get("num_inference_steps") or facts.sampling.num_inference_steps
    if steps > limits.most_steps:
        raise ApiError(400, "limit", f"This server takes at most {limits.most_steps} steps for a video, not {steps}.")
    facts.geometry.check(shape)


def _size(asked: VideoFields, defaults: ServerDefaults) -> tuple[int | None, int | None]:
    """Width and height."""
    if asked.size is None:
        return (
            asked.width if asked.width is not None else defaults.width,
            asked.height if asked.height is not None else defaults.height,
        )
    if asked.width is not None or asked.height is not None:
        raise ApiError(
            422, "invalid_request", "The fields size, and width and height, say the same; give one of them."
        )
    match = _SIZE.fullmatch(asked.size.strip())
    if match is None or 0 in (int(match[1]), int(match[2])):
        raise ApiError(
            422, "invalid_request", f"The size {printable(asked.size)} must be a width and a height, such as 96x64."
        )
    return int(match[1]), int(match[2])


def _num_frames(asked: VideoFields, facts: ModelFacts, defaults: ServerDefaults) -> int | None:
    if asked.seconds is None:
        return asked.num_frames if asked.num_frames is not None else defaults.num_frames
    if asked.num_frames is not None:
        raise ApiError(422, "invalid_request", "The fields seconds and num_frames say the same; give one of them.")
    text = str(asked.seconds).strip()
    if not (_SECONDS.fullmatch(text) and 0 < float(text) <= 3600):
        raise ApiError(
            422, "invalid_request", f"seconds must be a number above 0, and at most 3600, not {printable(text)[:40]}."
        )
    step = facts.geometry.frame_step
    return max(0, round((float(text) * asked.fps - 1) / step)) * step + 1


def _places(asked: Any, names: Sequence[str], settings: JobSettings, facts: ModelFacts) -> dict[str, Any]:
    """Where people are to stand, by name, for a job; said by the pipeline's own sentences where they cannot."""
    paths, _ = _placed(asked, names, settings, facts)
    return {name: path.to_json() for name, path in zip(names, paths, strict=True) if path is not None}


def order_asked(asked: Any, names: Sequence[str], settings: JobSettings, facts: ModelFacts) -> list[int] | None:
    """The people, by index, from left to right as they are to stand; None where nobody is placed.

    Raises:
        ApiError: if they cannot stand there.
    """
    _, layout = _placed(asked, names, settings, facts)
    return None if layout is None else left_to_right(layout, len(names))


def _placed(
    asked: Any, names: Sequence[str], settings: JobSettings, facts: ModelFacts
) -> tuple[Sequence[PlacePath | None], Int64Array | None]:
    """The way of each person, and the grid of video tokens as it gives them places; None where nobody has one."""
    shape = facts.geometry.shape(height=settings.height, width=settings.width, num_frames=settings.num_frames)
    try:
        paths = parse_places(_places_by_name(asked), names)
        check_frames(paths, names, shape.num_frames)
        if not any(paths):
            return paths, None
        frames = facts.geometry.token_frames(shape.num_frames)
        return paths, place_people(paths, facts.geometry.token_grid(shape), frames)
    except ArgumentError as error:
        raise ApiError(422, "place", printable(str(error))) from error


def _places_by_name(asked: Any) -> Mapping[str, Any]:
    """Places as they were sent: an object, the text of one in a form, or texts as the command line spells them."""
    if asked is None:
        return {}
    if isinstance(asked, list) and len(asked) == 1 and isinstance(asked[0], str) and asked[0].lstrip().startswith("{"):
        try:
            asked = parse_json(asked[0])
        except NotPlainError as error:
            raise ApiError(422, "place", f"place is no JSON that can be read ({error}).") from error
    if isinstance(asked, Mapping):
        return asked
    if isinstance(asked, list) and all(isinstance(each, str) for each in asked):
        return read_place_options([each for each in asked if each.strip()], called="place")
    raise ApiError(
        422,
        "place",
        f'place must be an object such as {{"ana": "left"}}, or texts such as ana=left, not {found(asked)}.',
    )


def _people(asked: VideoFields, files: Sequence[bytes], limits: RequestLimits) -> list[NewPerson]:
    photos = [*files, *(_from_data_url(url, number) for number, url in enumerate(asked.input_references, start=1))]
    if not photos:
        raise PhotoError("No photo was sent; send at least one person's photo in input_references.")
    if len(photos) > limits.most_photos:
        raise ApiError(400, "limit", f"This server takes at most {limits.most_photos} photos, not {len(photos)}.")
    names = asked.people or [f"person {number}" for number in range(1, len(photos) + 1)]
    if len(names) != len(photos):
        raise ApiError(
            400,
            "people",
            f"{len(photos)} photos were sent for {len(names)} names; send a name for each photo, in the same order, "
            "and a name again for a second photo of one person.",
        )
    faces = read_faces(asked.faces, len(photos))
    names = [_name(name) for name in names]
    if len(set(names)) > limits.most_people:
        raise ApiError(
            400, "limit", f"This server makes videos of at most {limits.most_people} people, not {len(set(names))}."
        )
    people: dict[str, list[tuple[bytes, str, str | None]]] = {}
    for name, photo, face in zip(names, photos, faces, strict=True):
        of_person = people.setdefault(name, [])
        label = f"photo {len(of_person) + 1} of {name}"
        suffix = check_photo_file(photo, label, most_pixels=limits.most_photo_pixels)
        of_person.append((photo, suffix, None if face is None else str(face)))
    return [
        NewPerson(
            name=name,
            photos=tuple((content, suffix) for content, suffix, _ in of_person),
            faces=tuple(face for _, _, face in of_person),
        )
        for name, of_person in people.items()
    ]


def _name(name: str) -> str:
    """The name of a person, a label that is shown and never a path."""
    check_letters(name, "A name", kind=UserInputError)
    name = name.strip()
    if not name or len(name) > _MOST_NAME_LETTERS or printable(name, most=None) != name:
        raise UserInputError(
            f"A name must have 1 to {_MOST_NAME_LETTERS} letters on one line, not {printable(name, most=80)!r}."
        )
    if "/" in name or "\\" in name:
        raise UserInputError(f"The name {printable(name)} holds a slash; a name is no path, so leave it out.")
    return name


def read_faces(faces: Sequence[str], num_photos: int) -> list[FaceChoice | None]:
    """Which face of each photo is meant; None for the largest.

    Raises:
        ApiError: if they are not as many as the photos, nor none.
        UserInputError: for one that says no face.
    """
    if faces and len(faces) != num_photos:
        raise ApiError(
            400, "faces", f"{num_photos} photos were sent, but {len(faces)} faces; send one for each, or none."
        )
    return [parse_face_choice(face.strip()) if face.strip() else None for face in faces] or [None] * num_photos


def _from_data_url(url: str, number: int) -> bytes:
    if re.match(r"\s*(?:[a-z][a-z0-9+.-]*:)?//", url[:40], re.IGNORECASE):
        raise ApiError(
            400, "url", f"Photo {number} is an address, and this server fetches none; send the photo itself."
        )
    match = _DATA_URL.match(url[:400])
    if match is None:
        raise ApiError(
            400, "data_url", f"Photo {number} must be a text such as data:image/png;base64,... with the file in it."
        )
    try:
        return base64.b64decode(url[match.end() :], validate=True)
    except (binascii.Error, ValueError) as error:
        raise ApiError(400, "data_url", f"Photo {number} is no base64 that can be read; encode the file again.") from (
            error
        )


async def _read_json(request: Request, limits: RequestLimits) -> SentRequest:
    return SentRequest(fields=await read_json_body(request, limits), photos=(), is_form=False)


async def _read_form(request: Request, limits: RequestLimits, other_files: Collection[str]) -> SentRequest:
    parser = _FormParser(
        request.headers,
        _stream(request, limits.most_upload_bytes),  # type: ignore[arg-type] # it is read, nothing else
        max_files=limits.most_photos + 1 + len(other_files),
        max_fields=_MOST_FIELDS,
        max_part_size=8 * 2**20,
    )
    parser.spool_max_size = limits.most_upload_bytes + 1  # in memory, so that nothing is written outside the store
    try:
        form = await parser.parse()
    except MultiPartException as error:
        if "Too many files" in str(error.message):
            raise ApiError(
                400, "limit", f"This server takes at most {limits.most_photos} photos in a request."
            ) from error
        raise ApiError(400, "form", "The form cannot be read; send it as multipart/form-data again.") from error
    except (KeyError, UnicodeError, LookupError, AssertionError) as error:  # a boundary or a charset that is none
        raise ApiError(400, "form", "The form cannot be read; send it as multipart/form-data again.") from error
    fields: dict[str, Any] = {}
    photos: list[bytes] = []
    try:
        if not parser.has_ended:
            raise ApiError(400, "form", "The form is cut off; send it again.")
        for name, value in form.multi_items():
            if isinstance(value, UploadFile) and name in other_files:
                fields[name] = await value.read()
            elif isinstance(value, UploadFile):
                if name not in PHOTOS:
                    raise ApiError(
                        422, "invalid_request", f"A file was sent as {printable(name, most=80)}; send photos as "
                        "input_references."
                    )  # fmt: skip
                photos.append(await value.read())
            elif name in _LISTS:
                fields.setdefault(name, []).append(value)
            elif name in PHOTOS:
                fields.setdefault("input_references", []).append(value)
            elif name in fields:
                raise ApiError(422, "invalid_request", f"The field {printable(name, most=80)} was sent twice.")
            elif value != "":  # an input that was left empty says nothing
                fields[name] = value
    finally:
        await form.close()
    return SentRequest(fields=fields, photos=tuple(photos), is_form=True)


class _FormParser(MultiPartParser):
    """Knows whether a form came to its end: of one that is cut off, the last parts would be missed by nobody."""

    has_ended = False

    def on_end(self) -> None:
        """The last boundary was read."""
        super().on_end()
        self.has_ended = True


async def _stream(request: Request, most_bytes: int) -> AsyncIterator[bytes]:
    """The body, but not more of it than it may have."""
    length = request.headers.get("content-length", "")
    read = int(length) if length.isdecimal() and len(length) < 20 else 0
    too_large = ApiError(
        413,
        "too_large",
        f"The request has more than {most_bytes / 2**20:g} MiB, which is all that this server takes; scale the photos "
        "down.",
        headers={"Connection": "close"},
    )
    if read > most_bytes:
        raise too_large
    read = 0
    async for part in request.stream():
        read += len(part)
        if read > most_bytes:
            raise too_large
        yield part
