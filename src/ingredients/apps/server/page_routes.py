"""What the page asks beside videos: who is in a photo, somebody drawn, what a video takes, people to start with."""

import asyncio
import functools
import statistics
from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Header, Request
from fastapi.responses import Response
from starlette.concurrency import run_in_threadpool

from ingredients.apps.server.data_urls import data_url, png
from ingredients.apps.server.errors import ApiError
from ingredients.apps.server.event_stream import EVENTS, event_response
from ingredients.apps.server.judgements import Judgements
from ingredients.apps.server.requests import (
    SentRequest,
    check_settings,
    fit,
    options_asked,
    order_asked,
    read_json_body,
    read_request,
    sampling_asked,
)
from ingredients.apps.server.schemas import (
    DrawingRecord,
    EstimateFields,
    EstimateRecord,
    EstimateRequest,
    FaceList,
    FaceRecord,
    JudgementRecord,
    VideoFields,
)
from ingredients.apps.server.settings import RequestLimits, ServerDefaults
from ingredients.core.arrays import UInt8Array
from ingredients.core.errors import MissingDependencyError, UserInputError
from ingredients.core.json_yaml import NotPlainError, parse_json
from ingredients.faces.face_choice import parse_face_choice
from ingredients.generation.job_store import JobStore
from ingredients.generation.jobs import JobSettings
from ingredients.generation.likeness_features import FEATURES, check_features
from ingredients.generation.model_facts import ModelFacts
from ingredients.generation.page_help import PageHelp
from ingredients.generation.request import StudioRequest
from ingredients.media.photos import check_photo_file, read_photo
from ingredients.pipelines.guidance_passes import plan_passes
from ingredients.world import render_portrait, sample_identity

EXAMPLE_PEOPLE: dict[str, tuple[int, int]] = {"ana": (17, 6), "ben": (31, 5), "cleo": (28, 1)}
"""Seeds of identity and photo of the people in `examples/`, who are drawn anew."""

_MOST_UPLOADS = 8  # at once: each is held in memory
_MOST_UPLOAD_SECONDS = 120
_MOST_LOOKS = 2  # at photos at once
_MOST_JOBS_BEFORE = 20
_EXAMPLE_SIZE = 256


class PageRoutes:
    """The addresses that only the page needs.

    Args:
        store: the store of jobs, by which time is estimated.
        owner: says whose key a header holds, or refuses.
        facts: gives what is known of the model, or refuses while it is loaded.
        limits: the limits of requests.
        defaults: values for what requests leave out.
        page_help: whoever knows the model; None where it works elsewhere.
        is_stopping: whether the server is about to end.
    """

    def __init__(
        self,
        store: JobStore,
        *,
        owner: Callable[[str | None], str],
        facts: Callable[[], ModelFacts],
        limits: RequestLimits,
        defaults: ServerDefaults,
        page_help: Callable[[], PageHelp | None],
        is_stopping: Callable[[], bool],
    ) -> None:
        self._store = store
        self._owner = owner
        self._facts = facts
        self._limits = limits
        self._defaults = defaults
        self._page_help = page_help
        self._uploads = asyncio.Semaphore(_MOST_UPLOADS)
        self._looks = asyncio.Semaphore(_MOST_LOOKS)
        self._judgements = Judgements(store, most_photo_pixels=limits.most_photo_pixels, is_stopping=is_stopping)

    def add_to(self, router: APIRouter) -> None:
        """Adds the addresses."""
        form = {"requestBody": {"content": {"multipart/form-data": {"schema": _PHOTO_FORM}}}}
        estimate = {"content": {"application/json": {"schema": EstimateRequest.model_json_schema()}}}
        add = router.add_api_route
        add("/v1/faces", self.faces, methods=["POST"], response_model=FaceList, openapi_extra=form)
        add("/v1/drawings", self.draw, methods=["POST"], response_model=DrawingRecord, openapi_extra=form)
        add(
            "/v1/estimates",
            self.estimate,
            methods=["POST"],
            response_model=EstimateRecord,
            openapi_extra={"requestBody": estimate},
        )
        add(
            "/v1/judgements",
            self.judge,
            methods=["POST"],
            response_model=JudgementRecord,
            responses={200: {"content": {EVENTS: {}}, "description": "It, or how far it is and then it, as events."}},
            openapi_extra={"requestBody": {"content": {"multipart/form-data": {"schema": _JUDGE_FORM}}}},
        )
        add("/v1/examples", self.examples, methods=["GET"])
        add("/v1/examples/{name}", self.example, methods=["GET"], response_class=Response)

    async def faces(
        self,
        request: Request,
        authorization: Annotated[str | None, Header(include_in_schema=False)] = None,
    ) -> FaceList:
        """Finds the faces of a photo, as the model would; nothing is kept."""
        self._owner(authorization)
        self._facts()
        page_help = self._helping()
        sent = await self._read(request)
        async with self._looks:
            photo = await run_in_threadpool(self._photo, sent)
            notes = await run_in_threadpool(page_help.look_at_photo, photo, label="the photo")
        return FaceList(
            faces=[
                FaceRecord(
                    number=face.number,
                    box=[round(edge, 4) for edge in face.box],
                    crop=data_url(face.crop),
                    notes=list(face.notes),
                )
                for face in notes.faces
            ],
            is_photograph=notes.is_photograph,
            refusal=notes.refusal,
            can_be_drawn=notes.can_be_drawn,
        )

    async def draw(
        self,
        request: Request,
        authorization: Annotated[str | None, Header(include_in_schema=False)] = None,
    ) -> DrawingRecord:
        """Draws the person of a photograph in the drawn world, which is a drawing and no likeness; nothing is kept."""
        self._owner(authorization)
        sent = await self._read(request)
        async with self._looks:
            return await run_in_threadpool(self._draw, sent)

    async def judge(
        self,
        request: Request,
        authorization: Annotated[str | None, Header(include_in_schema=False)] = None,
        accept: Annotated[str, Header(description="With text/event-stream it tells how far it is.")] = "",
    ) -> JudgementRecord | Response:
        """Says who of some photos is who in a video that any system made, and when; nothing is kept.

        Whoever hangs up cancels it. Of its events, named `judgement`, the last has the judgement as its `result`, or
        says why there is none; `end` follows.
        """
        owner = self._owner(authorization)
        self._facts()
        page_help = self._helping()
        asked = await self._judgements.take(owner, lambda: self._read(request, other_files=("video",)))
        if EVENTS in accept:
            return event_response(self._judgements.events(asked, page_help), on_end=asked.leave)
        return await self._judgements.judge(asked, page_help, has_hung_up=request.is_disconnected)

    async def estimate(
        self,
        request: Request,
        authorization: Annotated[str | None, Header(include_in_schema=False)] = None,
    ) -> EstimateRecord:
        """Says what a video would take, and what of its sentence the model would not follow."""
        owner = self._owner(authorization)
        facts = self._facts()
        asked = fit(EstimateRequest, await read_json_body(request, self._limits))
        return await run_in_threadpool(self._estimate, asked, facts, owner)

    def examples(self, authorization: Annotated[str | None, Header(include_in_schema=False)] = None) -> list[str]:
        """Names of people to start with."""
        self._owner(authorization)
        return list(EXAMPLE_PEOPLE)

    def example(
        self, name: str, authorization: Annotated[str | None, Header(include_in_schema=False)] = None
    ) -> Response:
        """The photo of one of them."""
        self._owner(authorization)
        if name not in EXAMPLE_PEOPLE:
            raise ApiError(404, "not_found", f"There is nobody of that name; there are {', '.join(EXAMPLE_PEOPLE)}.")
        return Response(_example(name), media_type="image/png", headers={"Cache-Control": "private, max-age=3600"})

    async def _read(self, request: Request, *, other_files: tuple[str, ...] = ()) -> SentRequest:
        """What was sent, before anybody waits for it: who sends slowly holds up nobody's photo."""
        try:
            async with self._uploads, asyncio.timeout(_MOST_UPLOAD_SECONDS):
                return await read_request(request, self._limits, other_files=other_files)
        except TimeoutError as error:
            raise ApiError(
                408, "too_slow", f"The request did not arrive within {_MOST_UPLOAD_SECONDS} s; send less at once."
            ) from error

    def _helping(self) -> PageHelp:
        page_help = self._page_help()
        if page_help is None:
            raise ApiError(501, "not_here", "The model works in another process, which cannot be asked.")
        return page_help

    def _photo(self, sent: SentRequest) -> UInt8Array:
        if len(sent.photos) != 1:
            raise ApiError(422, "invalid_request", "Send one photo, as input_references.")
        check_photo_file(sent.photos[0], "the photo", most_pixels=self._limits.most_photo_pixels)
        return read_photo(sent.photos[0], "the photo")

    def _draw(self, sent: SentRequest) -> DrawingRecord:
        photo = self._photo(sent)
        face = parse_face_choice(str(sent.fields.get("face") or "largest"))
        try:
            features = parse_json(str(sent.fields.get("features") or "{}"))
        except NotPlainError as error:
            raise ApiError(422, "invalid_request", "features must be a JSON object of texts.") from error
        if not isinstance(features, dict) or not all(isinstance(value, str) for value in features.values()):
            raise ApiError(422, "invalid_request", "features must be a JSON object of texts.")
        check_features(features)

        from ingredients.faces.dlib_faces import DlibFaceDetector  # with PyTorch
        from ingredients.generation.drawn_likeness import draw_like
        from ingredients.generation.likeness_parts import installed_face_parser

        try:
            drawn = draw_like(
                photo,
                DlibFaceDetector(),
                label="the photo",
                choice=face,
                features=features,
                parser=installed_face_parser(),
            )
        except MissingDependencyError as error:
            raise ApiError(
                501, "dlib", "This server cannot draw people of photographs: dlib is not installed there."
            ) from error
        return DrawingRecord(
            photo=data_url(drawn.photo),
            drawing=data_url(drawn.portrait(size=_EXAMPLE_SIZE)),
            description=drawn.description,
            features={name: str(getattr(drawn.identity, name)) for name in FEATURES},
            choices={name: list(values) for name, values in FEATURES.items()},
        )

    def _estimate(self, asked: EstimateFields, facts: ModelFacts, owner: str) -> EstimateRecord:
        settings = JobSettings(
            prompt=asked.prompt.strip() or "-",
            people=(),
            seed=0,
            sampling=sampling_asked(asked, self._defaults),
            options=options_asked(asked),
            num_frames=asked.num_frames or self._defaults.num_frames,
            height=asked.height or self._defaults.height,
            width=asked.width or self._defaults.width,
            takes=asked.takes,
        )
        error, order, names = None, None, list(dict.fromkeys(asked.people))
        try:
            check_settings(settings, facts=facts, limits=self._limits)
            order = order_asked(asked.place, names, settings, facts)
        except UserInputError as problem:
            error = str(problem)
        page_help = self._page_help()
        notes: list[str] = []
        needed = None
        if page_help is not None:
            if asked.prompt.strip():
                notes = page_help.notes_on_prompt(asked.prompt, names, sampling=settings.sampling, order=order)
            if error is None:
                request = StudioRequest(
                    people={},
                    prompt=settings.prompt,
                    sampling=settings.sampling,
                    num_frames=settings.num_frames,
                    height=settings.height,
                    width=settings.width,
                    options=settings.options,
                )
                needed = page_help.needed_bytes(request, num_people=len(names))
        waiting = self._store.page(owner=owner, limit=100, states=("queued", "in_progress")).jobs
        seconds, is_rough = (None, False) if error is not None else self._seconds(settings, facts, owner)
        return EstimateRecord(
            seconds=seconds, is_rough=is_rough, waiting=len(waiting), bytes=needed, notes=notes, error=error
        )

    def _seconds(self, settings: JobSettings, facts: ModelFacts, owner: str) -> tuple[float | None, bool]:
        """Time, as it grows with the work in the videos that were made here before, and whether it is rough.

        By how much a step cache is quicker, and leading by likeness slower, is not known before it was tried: videos
        that had the same tell it, and others only roughly.
        """
        rates: dict[tuple[str | None, bool], list[float]] = {}
        for job in self._store.page(owner=owner, limit=_MOST_JOBS_BEFORE, states=("completed",)).jobs:
            assert job.outcome is not None  # it is completed
            rate = job.outcome.seconds_taken / _work(job.settings, facts)
            rates.setdefault(_manner(job.settings, facts), []).append(rate)
        if not rates:
            return None, False
        alike = rates.get(_manner(settings, facts), [])
        others = [rate for each in rates.values() for rate in each]
        return round(statistics.median(alike or others) * _work(settings, facts), 2), not alike


def _manner(settings: JobSettings, facts: ModelFacts) -> tuple[str | None, bool]:
    """What makes a step quicker or slower by as much as nobody can tell: its cache, and whether likeness leads it."""
    step_cache = settings.options.step_cache or facts.speed.step_cache
    sampling = facts.sampling.override(**settings.sampling)
    return None if step_cache == "none" else step_cache, sampling.likeness_guidance_scale > 0


def _work(settings: JobSettings, facts: ModelFacts) -> float:
    """Pixels times steps times guidance passes of a video, of all its takes."""
    shape = facts.geometry.shape(height=settings.height, width=settings.width, num_frames=settings.num_frames)
    sampling = facts.sampling.override(**settings.sampling)
    passes = sampling.num_inference_steps * len(plan_passes(sampling))
    return float(shape.height * shape.width * shape.num_frames * passes * settings.takes)


@functools.cache
def _example(name: str) -> bytes:
    identity, photo = EXAMPLE_PEOPLE[name]
    return png(render_portrait(sample_identity(identity, "eval"), photo, size=_EXAMPLE_SIZE).image)


_JUDGE_FORM = {
    "type": "object",
    "properties": {
        "video": {"type": "string", "format": "binary", "description": "The video."},
        "people": {"type": "array", "items": {"type": "string"}, "description": "A name for each photo."},
        "faces": {**VideoFields.model_json_schema()["properties"]["faces"]},
        "input_references": {"type": "array", "items": {"type": "string", "format": "binary"}},
    },
}
_PHOTO_FORM = {
    "type": "object",
    "properties": {"input_references": {**VideoFields.model_json_schema()["properties"]["input_references"]}},
}
