"""Videos of any system, judged one at a time, while whoever asked is told how far it is; nothing is kept."""

import asyncio
import contextlib
import dataclasses
import logging
import tempfile
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from pathlib import Path

from starlette.concurrency import run_in_threadpool

from ingredients.apps.server.data_urls import data_url
from ingredients.apps.server.errors import SERVER_FAILED, ApiError, refusal_of, stopping
from ingredients.apps.server.event_stream import SECONDS_BETWEEN_LOOKS, Look, events
from ingredients.apps.server.requests import SentRequest, read_faces
from ingredients.apps.server.schemas import JudgementRecord, JudgingRecord
from ingredients.core.arrays import UInt8Array
from ingredients.core.errors import UserInputError
from ingredients.core.files import write_bytes
from ingredients.faces.face_choice import FaceChoice
from ingredients.faces.identity_photos import IdentityPhotos
from ingredients.generation.job_store import JobStore, QueueFullError
from ingredients.generation.jobs import ENDED, private_folders
from ingredients.generation.page_help import PageHelp
from ingredients.generation.progress import OnStep, StepDone
from ingredients.generation.video_record import ErrorRecord
from ingredients.media.photos import check_photo_file, read_photo
from ingredients.media.video import measure_video

_LOG = logging.getLogger(__name__)

_MOST_NAME_LETTERS = 80
_MOST_SECONDS_JUDGED = 60
_MOST_FRAMES_JUDGED = 4000
_MOST_TAKEN = 16  # that wait or are judged, in all; each lies on the disk with as much as a request may have
_MOST_TAKEN_EACH = 8  # of one owner


class Judgements:
    """Judges what was sent.

    Args:
        store: in whose folder a video lies as long as it is judged.
        most_photo_pixels: the limit of a photo.
        is_stopping: whether the server is about to end.
    """

    def __init__(self, store: JobStore, *, most_photo_pixels: int, is_stopping: Callable[[], bool]) -> None:
        self._store = store
        self._private = private_folders(store.folder)
        self._most_photo_pixels = most_photo_pixels
        self._is_stopping = is_stopping
        self._one_at_a_time = asyncio.Semaphore(1)  # it takes a core for a while
        self._taken: set[AskedJudgement] = set()

    async def take(self, owner: str, read: Callable[[], Awaitable[SentRequest]]) -> "AskedJudgement":
        """What is to be judged, which lies on the disk until it is its turn.

        Args:
            owner: who asks.
            read: reads the request; not called where too many wait.

        Raises:
            QueueFullError: if too many wait.
            StoreFullError: if the disk has too little room left.
            ApiError: for what is missing.
            UserInputError: for a photo that is none.
        """
        of_owner = sum(each.owner == owner for each in self._taken)
        for number, most in ((len(self._taken), _MOST_TAKEN), (of_owner, _MOST_TAKEN_EACH)):
            if number >= most:
                raise QueueFullError(
                    f"{number} videos wait to be judged already, and the server lets {most} wait; try again when some "
                    "of them are done."
                )
        self._store.check_disk()
        asked = AskedJudgement(owner=owner, folder=self._store.passing_folder(), on_left=self._taken.discard)
        self._taken.add(asked)
        try:
            await run_in_threadpool(self._keep, await read(), asked)
        except BaseException:
            asked.leave()
            raise
        return asked

    def _keep(self, sent: SentRequest, asked: "AskedJudgement") -> None:
        """Checks what was sent, and writes it into the folder."""
        video = sent.fields.get("video")
        if not isinstance(video, bytes) or not video or not sent.photos:
            raise ApiError(422, "invalid_request", "Send a video, as video, and photos, as input_references.")
        names = [str(name).strip() for name in sent.fields.get("people", [])]
        if len(names) != len(sent.photos) or not all(0 < len(name) <= _MOST_NAME_LETTERS for name in names):
            raise ApiError(422, "people", "Send a name of 1 to 80 letters for each photo, in the same order.")
        asked.names = names
        asked.faces = read_faces([str(face) for face in sent.fields.get("faces", [])], len(sent.photos))
        for number, (name, photo) in enumerate(zip(names, sent.photos, strict=True)):
            label = f"the photo of {name}"
            check_photo_file(photo, label, most_pixels=self._most_photo_pixels)
            read_photo(photo, label)  # one at a time, so that those that wait hold none in memory
            write_bytes(asked.photo(number), photo)
        write_bytes(asked.video, video)

    async def judge(
        self, asked: "AskedJudgement", page_help: PageHelp, *, has_hung_up: Callable[[], Awaitable[bool]]
    ) -> JudgementRecord:
        """The judgement, which is waited for; whoever hangs up cancels it.

        Raises:
            ApiError: if the server ends before it is there.
            UserInputError: if the video or a photo cannot be used.
        """
        with self._begun(asked, page_help) as judging:
            while not judging.work.done():
                await asyncio.wait([judging.work], timeout=SECONDS_BETWEEN_LOOKS)
                if not judging.work.done() and (self._is_stopping() or await has_hung_up()):
                    raise stopping()
            return judging.work.result()

    async def events(self, asked: "AskedJudgement", page_help: PageHelp) -> AsyncIterator[str]:
        """Events named `judgement`: how far it is, at last the judgement; whoever hangs up cancels it."""
        with self._begun(asked, page_help) as judging:

            async def look() -> Look:
                record = self._record(judging)
                end = None if record.status not in ENDED else f'{{"status": "{record.status}"}}'
                return Look(record=record.model_dump_json(), end=end)

            async for event in events("judgement", look, is_stopping=self._is_stopping):
                yield event

    @contextlib.contextmanager
    def _begun(self, asked: "AskedJudgement", page_help: PageHelp) -> Iterator["_Judging"]:
        """Judges, once nobody else's video is judged; it is cancelled when the block is left."""
        has_begun, cancelled = threading.Event(), threading.Event()
        steps: list[StepDone] = []

        async def work() -> JudgementRecord:
            async with self._one_at_a_time:
                has_begun.set()
                return await run_in_threadpool(self._judge, asked, page_help, steps.append, cancelled.is_set)

        def ended(done: asyncio.Task[JudgementRecord]) -> None:
            asked.clean_up()
            _ = done.cancelled() or done.exception()  # asked for, whoever has hung up

        asked.has_begun = True
        task = asyncio.ensure_future(work())
        task.add_done_callback(ended)
        try:
            yield _Judging(work=task, has_begun=has_begun, steps=steps)
        finally:
            cancelled.set()
            if not has_begun.is_set():  # else it ends at its next frame
                task.cancel()

    def _record(self, judging: "_Judging") -> JudgingRecord:
        if not judging.work.done():
            step = judging.steps[-1] if judging.steps else None
            return JudgingRecord(
                status="in_progress" if judging.has_begun.is_set() else "queued",
                progress=0 if step is None else min(99, 100 * step.step // step.total),
                step=0 if step is None else step.step,
                num_steps=None if step is None else step.total,
                seconds_left=None if step is None else round(step.seconds_left, 1),
            )
        error = judging.work.exception()
        if error is None:
            return JudgingRecord(status="completed", progress=100, result=judging.work.result())
        if isinstance(error, UserInputError):
            said = refusal_of(error, about="/v1/judgements", private=self._private).error
        else:
            _LOG.error("A judgement failed", exc_info=error)
            said = SERVER_FAILED
        return JudgingRecord(status="failed", error=ErrorRecord(code=said.code, message=said.message))

    def _judge(
        self, asked: "AskedJudgement", page_help: PageHelp, on_step: OnStep, is_cancelled: Callable[[], bool]
    ) -> JudgementRecord:
        video = asked.video
        try:
            size = measure_video(video, most_frames=_MOST_FRAMES_JUDGED)
            if size.num_frames >= _MOST_FRAMES_JUDGED or size.num_frames / size.fps > _MOST_SECONDS_JUDGED:
                raise ApiError(
                    400,
                    "limit",
                    f"The page judges videos of at most {_MOST_SECONDS_JUDGED} s; `ingredients judge` takes any.",
                )
            judged = page_help.judge_file(
                video, asked.people(), title="The video", on_step=on_step, is_cancelled=is_cancelled
            )
        except UserInputError as error:
            if str(video) not in str(error):  # it is about a photo, or the judge
                raise
            raise ApiError(400, "video", str(error).replace(f" {video}", "")) from error
        return JudgementRecord(
            judgement=dict(judged.values), sheet=data_url(judged.sheet), notices=list(judged.notices)
        )


@dataclasses.dataclass(slots=True, kw_only=True, eq=False)
class AskedJudgement:
    """A video, and who is looked for in it, as files."""

    owner: str
    """Who asked."""

    folder: "tempfile.TemporaryDirectory[str]"
    """Where they lie."""

    on_left: Callable[["AskedJudgement"], None]
    """Told that nobody waits any more."""

    names: Sequence[str] = ()
    """Whose each photo is."""

    faces: Sequence[FaceChoice | None] = ()
    """Which face of each is meant."""

    has_begun: bool = False
    """Whether it waits for its turn, or is judged."""

    @property
    def video(self) -> Path:
        """The file of the video."""
        return Path(self.folder.name) / "video"

    def photo(self, number: int) -> Path:
        """The file of a photo, counted from 0."""
        return Path(self.folder.name) / f"photo-{number}"

    def people(self) -> tuple[IdentityPhotos, ...]:
        """The people, whose photos are decoded now."""
        photos: dict[str, list[tuple[UInt8Array, FaceChoice | None]]] = {}
        for number, (name, face) in enumerate(zip(self.names, self.faces, strict=True)):
            photo = read_photo(self.photo(number).read_bytes(), f"the photo of {name}")
            photos.setdefault(name, []).append((photo, face))
        return tuple(
            IdentityPhotos(
                name=name,
                images=[image for image, _ in of_person],
                labels=[f"a photo of {name}"] * len(of_person),
                faces=[face for _, face in of_person],
            )
            for name, of_person in photos.items()
        )

    def leave(self) -> None:
        """Removes it where its turn was never waited for."""
        if not self.has_begun:
            self.clean_up()

    def clean_up(self) -> None:
        """Removes the files, and makes room for another one."""
        self.on_left(self)  # also where the files cannot be removed, which the next start does then
        self.folder.cleanup()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Judging:
    """A judgement that somebody waits for."""

    work: asyncio.Task[JudgementRecord]
    """What gives it."""

    has_begun: threading.Event
    """Whether it is its turn."""

    steps: list[StepDone]
    """The frames that were looked at."""
