"""The server's addresses, in the shape of `/v1/videos` that clients of other video servers know."""

import asyncio
import dataclasses
import functools
import re
import secrets
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from fastapi import APIRouter, FastAPI, Header, Query, Request
from fastapi.responses import FileResponse, JSONResponse, Response, StreamingResponse
from fastapi.staticfiles import StaticFiles
from pydantic import TypeAdapter
from starlette.concurrency import run_in_threadpool

from ingredients.apps.server.errors import ApiError, add_error_handlers, stopping
from ingredients.apps.server.event_stream import EVENTS, SECONDS_BETWEEN_LOOKS, Look, event_response, events
from ingredients.apps.server.examples import request_body
from ingredients.apps.server.guard import Guard, RateLimiter
from ingredients.apps.server.keys import KeyRing
from ingredients.apps.server.metrics import CONTENT_TYPE, Metrics
from ingredients.apps.server.page_routes import PageRoutes
from ingredients.apps.server.requests import check_routing, check_settings, fit, plan_job, read_json_body, read_request
from ingredients.apps.server.schemas import (
    VARIANT_FILES,
    ErrorBody,
    Health,
    ModelList,
    RemixFields,
    VideoDeleted,
    VideoList,
    describe_job,
    describe_model,
)
from ingredients.apps.server.settings import RequestLimits, ServerDefaults
from ingredients.apps.server.worker_team import WorkerCensus
from ingredients.core.json_yaml import parse_json
from ingredients.core.printable import printable
from ingredients.core.version import VERSION
from ingredients.generation.job_store import JobStore, NewPerson
from ingredients.generation.jobs import (
    ASKED_ROUTING,
    JOB_STATES,
    KEPT_LATENTS,
    LATENTS,
    PREVIEW,
    PREVIEW_ROUTING,
    ROUTING,
    Job,
    JobState,
    TakesOutcome,
    best_face_file,
    take_file,
)
from ingredients.generation.model_facts import ModelFacts
from ingredients.generation.page_help import PageHelp
from ingredients.generation.video_record import Variant, VideoRecord

STATIC = Path(__file__).parent / "static"

_ID = re.compile(r"video_[0-9a-f]{24}")
_ONE_TAKE = TakesOutcome(kept=1, reason="", all=())
_PREVIEWS: dict[Variant, str] = {"preview": PREVIEW, "preview_routing": PREVIEW_ROUTING}
_MOST_UPLOADS = 8  # at once: each is held in memory
_MOST_UPLOAD_SECONDS = 120
_MOST_PHOTO_CHECKS = 2  # at once: each may hold a large photo in memory

_AS_JSON = TypeAdapter(VideoRecord)

_SentT = TypeVar("_SentT")

_RequestKey = Annotated[
    str | None,
    Header(alias="Idempotency-Key", max_length=200, description="The same request sent again is taken once."),
]

_REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorBody, "description": what}
    for status, what in (
        (400, "It cannot be made; the sentence says why."),
        (401, "The key is missing or wrong."),
        (404, "There is no such video."),
        (413, "The request is too large."),
        (422, "The request has another form."),
        (429, "Too many wait, or too many were asked for."),
    )
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ServerState:
    """Whether the server works; whoever runs it knows."""

    is_stopping: Callable[[], bool] = lambda: False
    """Whether it is about to end, so that streams should."""

    has_failed: Callable[[], bool] = lambda: False
    """Whether there will be no model."""

    workers: Callable[[], WorkerCensus | None] = lambda: None
    """How the workers are; None where there is no team."""


def create_app(
    store: JobStore,
    *,
    limits: RequestLimits | None = None,
    defaults: ServerDefaults | None = None,
    keys: KeyRing | None = None,
    state: ServerState | None = None,
    page_help: Callable[[], PageHelp | None] = lambda: None,
    any_host: bool = False,
    allowed_origins: Sequence[str] = (),
) -> FastAPI:
    """The app.

    Args:
        store: the store of jobs, on which somebody works.
        limits: the limits of requests.
        defaults: values for what requests leave out.
        keys: that callers must have; None: everybody who reaches the server may do everything.
        state: the state of the server.
        page_help: whoever answers the page's questions about the model, once it is loaded.
        any_host: as `Guard` takes it, like the argument after it.
        allowed_origins: pages of other servers that may ask.
    """
    app = FastAPI(
        title="Ingredients",
        version=VERSION,
        description="Photos of several people and a sentence in; a video out in which each of them appears.",
        docs_url=None,  # FastAPI's pages load scripts from elsewhere; ours is in `static`
        redoc_url=None,
    )
    limits, defaults, state = limits or RequestLimits(), defaults or ServerDefaults(), state or ServerState()
    metrics = Metrics(store, workers=state.workers)
    service = _Service(
        store=store,
        limits=limits,
        defaults=defaults,
        keys=keys,
        state=state,
        metrics=metrics,
    )
    add_error_handlers(app, store)
    if keys is not None:
        app.openapi = functools.partial(_openapi_with_keys, app)  # type: ignore[method-assign]
    router = service.router()
    PageRoutes(
        store,
        owner=service.owner,
        facts=service.facts,
        limits=limits,
        defaults=defaults,
        page_help=page_help,
        is_stopping=state.is_stopping,
    ).add_to(router)
    app.include_router(router)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    app.add_middleware(Guard, metrics=metrics, any_host=any_host, allowed_origins=allowed_origins)
    return app


def _openapi_with_keys(app: FastAPI) -> dict[str, Any]:
    """What /openapi.json says, for programs that have to send a key."""
    if app.openapi_schema is None:
        schema = FastAPI.openapi(app)
        schema.setdefault("components", {})["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        schema["security"] = [{"key": []}]
        app.openapi_schema = schema
    return app.openapi_schema


class _StoredFile(FileResponse):
    """A file of a job, which may be removed while it is asked for."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await super().__call__(scope, receive, send)
        except (FileNotFoundError, RuntimeError) as error:  # RuntimeError: Starlette's word for it
            if isinstance(error, RuntimeError) and "does not exist" not in str(error):
                raise
            body = {"error": {"code": "not_found", "message": "This video was removed."}}
            await JSONResponse(body, status_code=404)(scope, receive, send)


def _has_previews(job: Job) -> bool:
    """Whether a worker shows how far it is; what one left that was killed before, in another attempt, is not shown."""
    return job.state == "in_progress" and job.step > 0


def _end_of(job: Job) -> str:
    return f'{{"id": "{job.id}", "status": "{job.state}"}}'


class _Service:
    """What the addresses do."""

    def __init__(
        self,
        *,
        store: JobStore,
        limits: RequestLimits,
        defaults: ServerDefaults,
        keys: KeyRing | None,
        state: ServerState,
        metrics: Metrics,
    ) -> None:
        self._store = store
        self._limits = limits
        self._defaults = defaults
        self._keys = keys
        self._state = state
        self._metrics = metrics
        self._rate = RateLimiter(limits.requests_per_minute)
        self._uploads = asyncio.Semaphore(_MOST_UPLOADS)
        self._checks = asyncio.Semaphore(_MOST_PHOTO_CHECKS)

    def router(self) -> APIRouter:
        """All addresses."""
        router = APIRouter(responses=_REFUSALS)
        add = router.add_api_route
        add("/v1/videos", self.create, methods=["POST"], response_model=VideoRecord, openapi_extra=request_body())
        add(
            "/v1/videos/sync",
            self.create_and_wait,
            methods=["POST"],
            response_class=_StoredFile,
            responses={200: {"content": {"video/mp4": {}}, "description": "The video."}},
            openapi_extra=request_body(),
        )
        add("/v1/videos", self.list_videos, methods=["GET"], response_model=VideoList)
        add("/v1/videos/{video_id}", self.retrieve, methods=["GET"], response_model=VideoRecord)
        add("/v1/videos/{video_id}", self.delete, methods=["DELETE"], response_model=VideoDeleted)
        add("/v1/videos/{video_id}/cancel", self.cancel, methods=["POST"], response_model=VideoRecord)
        add(
            "/v1/videos/{video_id}/remix",
            self.remix,
            methods=["POST"],
            response_model=VideoRecord,
            openapi_extra={
                "requestBody": {
                    "content": {
                        "application/json": {"schema": RemixFields.model_json_schema(), "example": {"seed": 7}}
                    }
                }
            },
        )
        add(
            "/v1/videos/{video_id}/content",
            self.content,
            methods=["GET"],
            response_class=_StoredFile,
            responses={
                200: {"content": {"video/mp4": {}, "image/png": {}}, "description": "The file; ranges are served."},
                204: {"description": "There is no preview now, and `or_nothing` was asked for."},
                409: {"model": ErrorBody, "description": "It is not there yet, or never will be."},
            },
        )
        add("/v1/videos/{video_id}/photos/{number}", self.photo, methods=["GET"], response_class=_StoredFile)
        add("/v1/videos/{video_id}/faces/{number}", self.best_face, methods=["GET"], response_class=_StoredFile)
        add(
            "/v1/videos/{video_id}/events",
            self.events,
            methods=["GET"],
            response_class=StreamingResponse,
            responses={200: {"content": {EVENTS: {}}, "description": "A record for each change."}},
        )
        add("/v1/models", self.models, methods=["GET"], response_model=ModelList)
        add("/healthz", self.health, methods=["GET"], response_model=Health, responses={503: {"model": Health}})
        add("/metrics", self.show_metrics, methods=["GET"], response_class=Response)
        add("/docs", self.docs, methods=["GET"], include_in_schema=False)
        add("/", self.page, methods=["GET"], include_in_schema=False)
        return router

    # Who asks

    def owner(self, authorization: str | None) -> str:
        """Whose key it is; nobody's, where the server has no keys."""
        if self._keys is None:
            return ""
        kind, _, key = (authorization or "").partition(" ")
        owner = self._keys.owner(key.strip()) if kind.lower() == "bearer" and key else None
        if owner is None:
            raise ApiError(
                401,
                "key",
                "This server wants a key, in the header Authorization: Bearer KEY; its operator makes one with "
                "`ingredients keys add`.",
                headers={"WWW-Authenticate": "Bearer"},
            )
        return owner

    def facts(self) -> ModelFacts:
        """The model, once it is loaded."""
        facts = self._store.facts()
        if facts is None:
            raise ApiError(
                503,
                "loading",
                "The model is still being loaded; try again in a few seconds.",
                headers={"Retry-After": "3"},
            )
        return facts

    def _job(self, video_id: str, owner: str) -> Job:
        job = self._store.get(video_id, owner=owner) if _ID.fullmatch(video_id) else None
        if job is None:
            raise ApiError(404, "not_found", "There is no such video; it may have expired or been removed.")
        return job

    def _record(self, job: Job) -> VideoRecord:
        previews: tuple[Variant, ...] = ()
        if _has_previews(job):
            folder = self._store.folder_of(job.id)
            previews = tuple(variant for variant, file in _PREVIEWS.items() if (folder / file).is_file())
        return describe_job(job, self._store.facts(), previews=previews)

    async def _arrived(self, coming: Coroutine[Any, Any, _SentT]) -> _SentT:
        """What a request holds: a few are read at a time, and none for longer than two minutes."""
        try:
            async with self._uploads, asyncio.timeout(_MOST_UPLOAD_SECONDS):
                return await coming
        except TimeoutError as error:
            raise ApiError(
                408, "too_slow", f"The request did not arrive within {_MOST_UPLOAD_SECONDS} s; send smaller photos."
            ) from error

    # Videos

    async def _add(self, request: Request, owner: str, request_key: str | None) -> Job:
        facts = self.facts()
        self._rate.take(owner)
        if known := self._store.asked_before(owner, request_key):
            return known
        self._store.check_room(owner)
        sent = await self._arrived(read_request(request, self._limits))
        async with self._checks:
            planned = await run_in_threadpool(
                plan_job,
                sent,
                facts=facts,
                limits=self._limits,
                defaults=self._defaults,
                routing_of=lambda video_id: self._made_file(self._job(video_id, owner), ROUTING),
            )
            return await run_in_threadpool(
                self._store.add,
                planned.settings,
                planned.people,
                files=planned.files,
                owner=owner,
                request_key=request_key,
            )

    async def create(
        self,
        request: Request,
        authorization: Annotated[str | None, Header(include_in_schema=False)] = None,
        idempotency_key: _RequestKey = None,
    ) -> VideoRecord:
        """Asks for a video, and returns at once; look at the record, or listen to its events, until it is done."""
        return self._record(await self._add(request, self.owner(authorization), idempotency_key))

    async def create_and_wait(
        self,
        request: Request,
        authorization: Annotated[str | None, Header(include_in_schema=False)] = None,
    ) -> Response:
        """Asks for a video, and returns it when it is done; whoever hangs up cancels it."""
        job: Job | None = await self._add(request, self.owner(authorization), None)
        assert job is not None
        job_id = job.id
        while not job.has_ended:
            if await request.is_disconnected() or self._state.is_stopping():
                await run_in_threadpool(self._store.remove, job_id)
                raise stopping()
            await asyncio.sleep(SECONDS_BETWEEN_LOOKS)
            job = await run_in_threadpool(self._store.get, job_id)
            if job is None:
                raise ApiError(409, "cancelled", "The video was removed before it was done.")
        if job.state != "completed":
            error = job.error
            message = "The video was cancelled." if error is None else error.message
            is_ours = error is not None and error.code in ("server_error", "gave_up")
            raise ApiError(500 if is_ours else 400, "cancelled" if error is None else error.code, message)
        return self._file(job, "video")

    def list_videos(
        self,
        authorization: Annotated[str | None, Header(include_in_schema=False)] = None,
        after: Annotated[str | None, Query(max_length=40, description="Videos that follow this one.")] = None,
        limit: Annotated[int, Query(ge=1, le=100, description="Videos at most.")] = 20,
        order: Annotated[
            Literal["asc", "desc"], Query(description="By the time at which they were asked for.")
        ] = "desc",
        status: Annotated[list[JobState] | None, Query(description="Those that are listed; by default all.")] = None,
    ) -> VideoList:
        """The videos of the caller, a page at a time."""
        owner = self.owner(authorization)
        if after is not None:
            self._job(after, owner)
        page = self._store.page(
            owner=owner, after=after, limit=limit, newest_first=order == "desc", states=status or JOB_STATES
        )
        records = [self._record(job) for job in page.jobs]
        return VideoList(
            data=records,
            first_id=records[0].id if records else None,
            last_id=records[-1].id if records else None,
            has_more=page.has_more,
        )

    def retrieve(
        self, video_id: str, authorization: Annotated[str | None, Header(include_in_schema=False)] = None
    ) -> VideoRecord:
        """A video, however far it is."""
        return self._record(self._job(video_id, self.owner(authorization)))

    def delete(
        self, video_id: str, authorization: Annotated[str | None, Header(include_in_schema=False)] = None
    ) -> VideoDeleted:
        """Cancels a video if it is not done, and removes it, its photos and its files."""
        owner = self.owner(authorization)
        self._store.remove(self._job(video_id, owner).id, owner=owner)
        return VideoDeleted(id=video_id)

    def cancel(
        self, video_id: str, authorization: Annotated[str | None, Header(include_in_schema=False)] = None
    ) -> VideoRecord:
        """Cancels a video, and keeps its record; nothing changes where it has ended."""
        owner = self.owner(authorization)
        job = self._store.cancel(self._job(video_id, owner).id, owner=owner)
        return self._record(job or self._job(video_id, owner))

    async def remix(
        self,
        request: Request,
        video_id: str,
        authorization: Annotated[str | None, Header(include_in_schema=False)] = None,
        idempotency_key: _RequestKey = None,
    ) -> VideoRecord:
        """Asks for another video of the same people: by another seed, sentence or routing map, or of some alone."""
        owner = self.owner(authorization)
        facts = self.facts()
        self._rate.take(owner)
        if known := self._store.asked_before(owner, idempotency_key):
            return self._record(known)
        self._store.check_room(owner)
        job = self._job(video_id, owner)
        asked = fit(RemixFields, await self._arrived(read_json_body(request, self._limits)))
        settings = dataclasses.replace(
            job.settings,
            prompt=job.settings.prompt if asked.prompt is None else asked.prompt,
            seed=secrets.randbelow(2**31) if asked.seed is None else asked.seed,
            takes=job.settings.takes if asked.takes is None else asked.takes,
        )
        names = [person.name for person in settings.people]
        if strangers := [name for name in asked.only if name not in names]:
            raise ApiError(422, "only", f"There is no {printable(strangers[0])} in it; name {', '.join(names)}.")
        if asked.only and len(set(asked.only)) == len(names):
            raise ApiError(422, "only", "Everybody is to be made anew; leave only out, and ask with another seed.")
        is_forced = asked.keep_routing or asked.routing is not None or bool(asked.only) or settings.has_routing
        settings = dataclasses.replace(
            settings,
            redrawn=tuple(dict.fromkeys(asked.only)),
            has_routing=is_forced,
            places={} if is_forced else settings.places,
        )
        check_settings(settings, facts=facts, limits=self._limits)
        if asked.only and job.outcome is not None and job.outcome.model not in (None, facts.name):
            raise ApiError(
                409,
                "model",
                f"The video was made by {job.outcome.model}, and this server has {facts.name} now, which cannot make "
                "anew a part of it; leave only out.",
            )

        def other_files() -> dict[str, bytes]:
            """What the job needs beside photos."""
            routing: object = asked.routing
            if routing is None:
                is_made = asked.keep_routing or asked.only  # if not, it was forced, and is again
                stored = self._made_file(job, ROUTING) if is_made else self._stored_bytes(job, ASKED_ROUTING)
                routing = parse_json(stored)
            kept = {KEPT_LATENTS: self._made_file(job, LATENTS)} if asked.only else {}
            return {ASKED_ROUTING: check_routing(routing, names, settings, facts), **kept}

        def add_again() -> Job:
            files = other_files() if is_forced else {}
            folder = self._store.folder_of(job.id)
            try:
                people = [
                    NewPerson(
                        name=person.name,
                        photos=tuple(
                            ((folder / photo.file).read_bytes(), Path(photo.file).suffix) for photo in person.photos
                        ),
                        faces=tuple(photo.face for photo in person.photos),
                    )
                    for person in job.settings.people
                ]
            except FileNotFoundError as error:
                raise ApiError(404, "not_found", "The photos of this video were removed.") from error
            return self._store.add(settings, people, files=files, owner=owner, request_key=idempotency_key)

        async with self._checks:
            return self._record(await run_in_threadpool(add_again))

    def content(
        self,
        video_id: str,
        authorization: Annotated[str | None, Header(include_in_schema=False)] = None,
        variant: Annotated[Variant, Query(description="Which of the files.")] = "video",
        take: Annotated[int | None, Query(ge=1, description="The video of another take than the kept one.")] = None,
        or_nothing: Annotated[
            bool,
            Query(
                description="Whether an empty answer, 204, is wanted where there is no preview now, and no refusal."
            ),
        ] = False,
    ) -> Response:
        """The video, its contact sheet or its routing map; previews while it is being made."""
        job = self._job(video_id, self.owner(authorization))
        if take is not None and variant != "video":
            raise ApiError(422, "invalid_request", "Of a take there is the video alone; leave take or variant out.")
        if take is not None and job.outcome is not None and take != (job.outcome.takes or _ONE_TAKE).kept:
            if take_file(take) not in job.outcome.files:
                number = "one take" if job.outcome.takes is None else f"{len(job.outcome.takes.all)} takes"
                raise ApiError(404, "not_found", f"This video has {number}, and no file of a take {take}.")
            return self._file(job, variant, name=take_file(take))
        if variant in _PREVIEWS:
            try:
                if not _has_previews(job):
                    raise FileNotFoundError
                content = (self._store.folder_of(job.id) / _PREVIEWS[variant]).read_bytes()
            except OSError as error:
                if or_nothing:
                    return Response(status_code=204, headers={"Cache-Control": "no-store"})
                raise ApiError(
                    409, "no_preview", "There is a preview only while a video is made, from its first step on."
                ) from error
            return Response(content, media_type="image/png", headers={"Cache-Control": "no-store"})
        if job.outcome is None or VARIANT_FILES[variant] not in job.outcome.files:
            if job.state == "completed":
                raise ApiError(409, "no_file", f"This video has no {variant.replace('_', ' ')}.")
            far = f"{job.state.replace('_', ' ')}, {job.progress} %" if not job.has_ended else job.state
            reason = "it is not done yet" if not job.has_ended else "it never was made"
            raise ApiError(409, "not_done", f"The video is {far}, so there is no file: {reason}.")
        return self._file(job, variant)

    def photo(
        self,
        video_id: str,
        number: int,
        authorization: Annotated[str | None, Header(include_in_schema=False)] = None,
    ) -> Response:
        """A photo that the video was asked for with, counted from 0 over all people in their order."""
        job = self._job(video_id, self.owner(authorization))
        files = [photo.file for person in job.settings.people for photo in person.photos]
        if not 0 <= number < len(files):
            raise ApiError(404, "not_found", f"This video has {len(files)} photos, counted from 0.")
        return _StoredFile(
            self._store.folder_of(job.id) / files[number], headers={"Cache-Control": "private, max-age=3600"}
        )

    def best_face(
        self,
        video_id: str,
        number: int,
        authorization: Annotated[str | None, Header(include_in_schema=False)] = None,
    ) -> Response:
        """The face of a person, counted from 0, in the frame of the video in which it is most alike."""
        job = self._job(video_id, self.owner(authorization))
        name = best_face_file(number)
        if job.outcome is None or name not in job.outcome.files:
            raise ApiError(404, "not_found", "Nobody of that number is seen in this video.")
        return _StoredFile(self._store.folder_of(job.id) / name, headers={"Cache-Control": "private, max-age=3600"})

    def _made_file(self, job: Job, name: str) -> bytes:
        """A file that a finished video has beside itself, or a refusal."""
        if job.outcome is None or name not in job.outcome.files:
            raise ApiError(
                409, "no_routing", "The routing of a video is there once it is made, and this one has none; ask for a "
                "new video instead.",
            )  # fmt: skip
        return self._stored_bytes(job, name)

    def _stored_bytes(self, job: Job, name: str) -> bytes:
        try:
            return (self._store.folder_of(job.id) / name).read_bytes()
        except FileNotFoundError as error:
            raise ApiError(404, "not_found", "This video was removed.") from error

    def _file(self, job: Job, variant: Variant, *, name: str | None = None) -> Response:
        path = self._store.folder_of(job.id) / (name or VARIANT_FILES[variant])
        kind = path.stem if name else "" if variant == "video" else variant
        return _StoredFile(
            path,
            filename=f"{job.id}{kind and f'-{kind}'}{path.suffix}",
            content_disposition_type="inline",
            headers={"Cache-Control": "private, max-age=3600", "X-Video-Id": job.id},
        )

    def events(
        self, video_id: str, authorization: Annotated[str | None, Header(include_in_schema=False)] = None
    ) -> Response:
        """The record of a video each time that it changes, as server-sent events named `video`; `end` is the last."""
        owner = self.owner(authorization)
        self._job(video_id, owner)

        async def look() -> Look:
            job = await run_in_threadpool(self._store.get, video_id, owner=owner)
            if job is None:
                return Look(end=f'{{"id": "{video_id}", "status": "deleted"}}')
            record = _AS_JSON.dump_json(await run_in_threadpool(self._record, job)).decode()
            return Look(record=record, end=_end_of(job) if job.has_ended else None)

        return event_response(events("video", look, is_stopping=self._state.is_stopping))

    # The rest

    def models(self, authorization: Annotated[str | None, Header(include_in_schema=False)] = None) -> ModelList:
        """The model that makes the videos, and what holds where a request says nothing."""
        self.owner(authorization)
        facts = self._store.facts()
        if facts is None:
            return ModelList(data=[])
        sampling = dataclasses.asdict(facts.sampling.override(**self._defaults.sampling))
        return ModelList(data=[describe_model(facts, sampling)])

    def health(self) -> Response:
        """Whether the server can work; anybody may ask."""
        facts = self._store.facts()
        status: Literal["ok", "loading", "failed", "stopping"] = "ok" if facts is not None else "loading"
        if self._state.has_failed():
            status = "failed"
        elif self._state.is_stopping():
            status = "stopping"
        health = Health(status=status, model=None if facts is None else facts.name)
        return JSONResponse(health.model_dump(), status_code=200 if status in ("ok", "loading") else 503)

    def show_metrics(self, authorization: Annotated[str | None, Header(include_in_schema=False)] = None) -> Response:
        """Numbers for Prometheus."""
        self.owner(authorization)
        return Response(self._metrics.text(), media_type=CONTENT_TYPE)

    def docs(self) -> Response:
        """The addresses, for people."""
        return FileResponse(STATIC / "docs.html")

    def page(self) -> Response:
        """The first page."""
        return FileResponse(STATIC / "index.html")
