"""A thread that owns one model and does one job of the store after the other; nothing here needs PyTorch.

What makes the videos is anything that can: `Studio`, or in tests something written by hand.
"""

import contextlib
import io
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ingredients.core.arrays import Float32Array
from ingredients.core.errors import IngredientsError, OutputError, UserInputError
from ingredients.core.files import write_bytes
from ingredients.core.input_files import read_bytes
from ingredients.core.warnings_told import Notice
from ingredients.faces.face_choice import parse_face_choice
from ingredients.faces.identity_photos import IdentityPhotos
from ingredients.generation.job_store import JobStore, StoreFullError
from ingredients.generation.jobs import (
    ASKED_ROUTING,
    CONTACT_SHEET,
    KEPT_LATENTS,
    LATENTS,
    PREVIEW,
    PREVIEW_ROUTING,
    ROUTING,
    ROUTING_MAP,
    VIDEO,
    Job,
    JobOutcome,
    PersonOutcome,
    TakeOutcome,
    TakesOutcome,
    best_face_file,
    explain_error,
    private_folders,
    server_error,
    take_file,
)
from ingredients.generation.model_facts import ModelFacts
from ingredients.generation.page_help import PageHelp
from ingredients.generation.previews import emerging_strip, routing_strip
from ingredients.generation.progress import CancelledError, OnStep, StepDone, StepPreview
from ingredients.generation.request import StudioRequest
from ingredients.generation.result_files import write_result
from ingredients.generation.routing_edit import load_routing, routing_bytes
from ingredients.media.photos import MAX_PHOTO_PIXELS, read_photo
from ingredients.media.pictures import write_picture

if TYPE_CHECKING:  # which needs PyTorch
    from ingredients.generation.studio import StudioResult
    from ingredients.generation.takes import Takes

_LOG = logging.getLogger(__name__)

_SECONDS_BETWEEN_NOTES = 0.2
_SECONDS_BETWEEN_LOOKS = 0.5  # for jobs that another process added


class Maker(PageHelp, Protocol):
    """What makes videos, and answers what a page asks of the model; `Studio` is one."""

    @property
    def facts(self) -> ModelFacts:
        """The model that it has."""

    def make(
        self,
        request: StudioRequest,
        *,
        on_step: OnStep | None = None,
        notice: Notice | None = None,
        is_cancelled: Callable[[], bool] | None = None,
        with_previews: bool = False,
    ) -> "StudioResult":
        """Makes a video, as `Studio.make` does."""

    def make_takes(
        self,
        request: StudioRequest,
        *,
        on_step: OnStep | None = None,
        notice: Notice | None = None,
        is_cancelled: Callable[[], bool] | None = None,
        with_previews: bool = False,
    ) -> "Takes[StudioResult]":
        """Makes `request.takes` videos and keeps the best, as `Studio.make_takes` does; steps count over all."""


class MakerGoneError(Exception):
    """What makes the videos is elsewhere, and gone: its job is for another worker, and this one ends."""


class Worker:
    """Does the jobs of a store, until it is stopped."""

    def __init__(
        self,
        store: JobStore,
        load: Callable[[], Maker],
        *,
        name: str,
        on_failure: Callable[[], None] = lambda: None,
        seconds_until_room: float = 10.0,
    ) -> None:
        """Notes what the thread needs.

        Args:
            store: whose jobs are done.
            load: gives what makes the videos; called in the thread.
            name: the name of the worker, unlike all others that ever worked on the store.
            on_failure: called if the thread has to end, for `failure`.
            seconds_until_room: after which a disk that was full is tried again.
        """
        self.name = name
        self.failure: BaseException | None = None
        self._store = store
        self._load = load
        self._on_failure = on_failure
        self._seconds_until_room = seconds_until_room
        self._private = private_folders(store.folder)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begins to load the model, and then to work."""
        self._thread.start()

    def stop(self) -> None:
        """Asks the thread to end after the step that it is at; its job goes back into the queue."""
        self._stopping.set()
        self._store.wake()

    def join(self, seconds: float | None = None) -> bool:
        """Waits for the thread to end, or so long; whether it has ended."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    @property
    def is_alive(self) -> bool:
        """Whether it works, or could."""
        return self._thread.is_alive()

    def _run(self) -> None:
        try:
            maker = self._load()
            self._store.set_facts(maker.facts)
            while not self._stopping.is_set():
                try:
                    job = self._store.claim(self.name)
                    if job is None:
                        self._store.wait(_SECONDS_BETWEEN_LOOKS)
                    else:
                        self._do(job, maker)
                except StoreFullError as error:
                    _LOG.warning("%s", error)
                    self._stopping.wait(self._seconds_until_room)
                    with contextlib.suppress(StoreFullError):
                        self._store.recover([self.name])
        except BaseException as error:  # whoever started the worker has to know, whatever it was
            self.failure = error
            if not isinstance(error, UserInputError | MakerGoneError):
                _LOG.exception("The worker %s ends", self.name)
            self._on_failure()

    def _do(self, job: Job, maker: Maker) -> None:
        """Does one job; what goes wrong with it is said in the job, and ends no worker."""

        def is_cancelled() -> bool:
            return self._stopping.is_set() or not self._store.holds(job.id, self.name)

        try:
            self._remove_previews(job)  # of an attempt whose process was killed
            request, on_step = self._read_request(job, maker), self._stepper(job)
            takes: Takes[StudioResult] | None = None
            if request.takes > 1:
                takes = maker.make_takes(request, on_step=on_step, is_cancelled=is_cancelled, with_previews=True)
                result = takes.result
            else:
                result = maker.make(request, on_step=on_step, is_cancelled=is_cancelled, with_previews=True)
            self._write(job, result, takes, model=maker.facts.name)
        except CancelledError:  # by who asked for it, who has noted that, or because the worker has to stop
            self._store.give_back(job.id, self.name)
        except (StoreFullError, MakerGoneError):  # the worker waits for room, or ends
            raise
        except UserInputError as error:
            if isinstance(error, OutputError) and not self._store.holds(job.id, self.name):
                return  # it was removed while it was written
            explained = explain_error(error, job_id=job.id, private=self._private, options=job.settings.options)
            _LOG.info("%s failed: %s", job.id, error)
            self._store.fail(job.id, self.name, explained)
        except (Exception, IngredientsError):
            _LOG.exception("%s failed", job.id)
            self._store.fail(job.id, self.name, server_error(job.id))
        finally:
            self._remove_previews(job)

    def _remove_previews(self, job: Job) -> None:
        for name in (PREVIEW, PREVIEW_ROUTING):
            (self._store.folder_of(job.id) / name).unlink(missing_ok=True)

    def _read_request(self, job: Job, maker: Maker) -> StudioRequest:
        settings, folder = job.settings, self._store.folder_of(job.id)
        people = []
        for person in settings.people:
            labels = [f"photo {number} of {person.name}" for number in range(1, len(person.photos) + 1)]
            people.append(
                IdentityPhotos(
                    name=person.name,
                    images=[
                        read_photo(read_bytes(folder / photo.file, most_bytes=4 * MAX_PHOTO_PIXELS), label)
                        for photo, label in zip(person.photos, labels, strict=True)
                    ],
                    labels=labels,
                    faces=[None if photo.face is None else parse_face_choice(photo.face) for photo in person.photos],
                )
            )
        names = [person.name for person in settings.people]
        routing, kept = None, None
        if settings.has_routing:
            frames = {"height": settings.height, "width": settings.width, "num_frames": settings.num_frames}
            geometry = maker.facts.geometry
            grid = geometry.token_grid(geometry.shape(**frames))
            routing = load_routing(folder / ASKED_ROUTING, names, grid)
        if settings.redrawn:
            kept = np.load(folder / KEPT_LATENTS, allow_pickle=False)
        return StudioRequest(
            people=people,
            prompt=settings.prompt,
            negative_prompt=settings.negative_prompt,
            seed=settings.seed,
            sampling=settings.sampling,
            face_scale=settings.face_scale,
            num_frames=settings.num_frames,
            height=settings.height,
            width=settings.width,
            allow_photographs=settings.allow_photographs,
            places=settings.places,
            routing=routing,
            kept_latents=kept,
            redrawn=settings.redrawn,
            takes=settings.takes,
            options=settings.options,
            with_routing_maps=True,
        )

    def _stepper(self, job: Job) -> OnStep:
        """Writes down how far a job is, a few times a second at most."""
        noted = -_SECONDS_BETWEEN_NOTES

        def note(done: StepDone) -> None:
            nonlocal noted
            now = time.monotonic()
            if now - noted < _SECONDS_BETWEEN_NOTES and done.step < done.total:
                return
            noted = now
            if done.preview is not None:
                _write_preview(done.preview, self._store.folder_of(job.id))
            self._store.note_step(
                job.id, self.name, step=done.step, num_steps=done.total, seconds_left=done.seconds_left
            )

        return note

    def _write(self, job: Job, result: "StudioResult", takes: "Takes[StudioResult] | None", *, model: str) -> None:
        folder, settings = self._store.folder_of(job.id), job.settings
        write_result(
            result,
            video=folder / VIDEO,
            contact_sheet=folder / CONTACT_SHEET,
            routing_map=folder / ROUTING_MAP,
            fps=settings.fps,
            scale=settings.scale,
        )
        best = result.best_faces()
        files = [name for name in (VIDEO, CONTACT_SHEET, ROUTING_MAP) if (folder / name).is_file()]
        for number, person in enumerate(settings.people):
            if person.name in best:
                files.append(best_face_file(number))
                write_picture(folder / files[-1], best[person.name])
        if result.routing is not None:
            files.append(ROUTING)
            write_bytes(folder / ROUTING, routing_bytes(result.routing, [person.name for person in settings.people]))
        if result.latents is not None:
            files.append(LATENTS)
            write_bytes(folder / LATENTS, _array_bytes(result.latents))
        for take in [] if takes is None else [take for take in takes.all if take is not takes.kept]:
            if take.result is not None:
                files.append(take_file(take.number))
                write_result(take.result, video=folder / files[-1], fps=settings.fps, scale=settings.scale)
        made = [result] if takes is None else [take.result for take in takes.all if take.result is not None]
        num_frames, height, width, _ = result.frames.shape
        outcome = JobOutcome(
            num_frames=num_frames,
            height=height * settings.scale,
            width=width * settings.scale,
            seconds_taken=round(sum(each.seconds for each in made), 3),
            judge=result.judge,
            people=tuple(
                PersonOutcome(
                    name=person.name,
                    found=person.found,
                    similarity=_rounded(person.similarity),
                    distance=_rounded(person.distance),
                    verdict=person.verdict,
                    turns=person.turns,
                    action=person.action,
                )
                for person in result.people
            ),
            files=tuple(files),
            notices=tuple(result.notices),
            remarks=tuple(result.remarks),
            model=model,
            takes=None if takes is None else _takes_outcome(takes),
        )
        self._store.complete(job.id, self.name, outcome)


def _takes_outcome(takes: "Takes[StudioResult]") -> TakesOutcome:
    return TakesOutcome(
        kept=takes.kept.number,
        reason=takes.reason,
        all=tuple(
            TakeOutcome(
                number=take.number,
                seed=take.seed,
                likeness=tuple(round(float(cosine), 4) for cosine in take.likeness),
                clarity=_rounded(take.clarity),
            )
            for take in takes.all
        ),
    )


def _array_bytes(array: Float32Array) -> bytes:
    """An array as a file of numpy's."""
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


def _rounded(number: float | None) -> float | None:
    return None if number is None else round(float(number), 4)


def _write_preview(preview: StepPreview, folder: Path) -> None:
    """Writes both pictures of a video that is being made; a folder that is gone belongs to a job that was removed."""
    try:
        write_picture(folder / PREVIEW, emerging_strip(preview))
        if preview.routing_map is not None:
            write_picture(folder / PREVIEW_ROUTING, routing_strip(preview))
    except OutputError as error:
        _LOG.info("A preview is not written: %s", error)
