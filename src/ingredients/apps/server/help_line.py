"""Questions of a page to a model in another process: asked over a pipe, answered beside the video that is made."""

import contextlib
import dataclasses
import functools
import logging
import pickle
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from ingredients.apps.server.errors import ApiError
from ingredients.core.arrays import UInt8Array
from ingredients.core.errors import UserInputError
from ingredients.faces.identity_photos import IdentityPhotos
from ingredients.generation.page_help import JudgedFile, PageHelp, PhotoNotes
from ingredients.generation.progress import OnStep, StepDone
from ingredients.generation.request import StudioRequest
from ingredients.model_folders.sampling_settings import SamplingOverrides

_LOG = logging.getLogger(__name__)

_READY = -1
"""Number of the message that the model is there."""

_CANCEL = "cancel"
"""In place of a question: its answer is not wanted any more."""

_SECONDS_BETWEEN_LOOKS = 0.1


class HelpLine:
    """The asking end: a `PageHelp` whose answers come from the other process; any thread may ask."""

    def __init__(self, connection: Connection) -> None:
        """Listens from now on.

        Args:
            connection: to a process that calls `answer_questions` with the other end.
        """
        self.is_open = False
        self._connection = connection
        self._lock = threading.Lock()
        self._asked = 0
        self._waiting: dict[int, Future[Any]] = {}
        self._followers: dict[int, _Follower] = {}
        threading.Thread(target=self._listen, daemon=True).start()

    def look_at_photo(self, photo: UInt8Array, *, label: str) -> PhotoNotes:
        """Finds the faces of a photo (H, W, 3)."""
        notes: PhotoNotes = self._ask("look_at_photo", photo, label=label)
        return notes

    def notes_on_prompt(
        self,
        prompt: str,
        names: Sequence[str],
        *,
        sampling: SamplingOverrides | None = None,
        order: Sequence[int] | None = None,
    ) -> list[str]:
        """What of a sentence the model will not follow."""
        notes: list[str] = self._ask("notes_on_prompt", prompt, names, sampling=sampling, order=order)
        return notes

    def judge_file(
        self,
        video: Path,
        people: Sequence[IdentityPhotos],
        *,
        title: str,
        on_step: OnStep | None = None,
        is_cancelled: Callable[[], bool] | None = None,
    ) -> JudgedFile:
        """Says who of some people is who in a video."""
        follower = _Follower(on_step=on_step or (lambda _: None), is_cancelled=is_cancelled or (lambda: False))
        judged: JudgedFile = self._ask("judge_file", video, people, title=title, follower=follower)
        return judged

    def needed_bytes(self, request: StudioRequest, *, num_people: int) -> int:
        """Memory that a video needs at its busiest."""
        needed: int = self._ask("needed_bytes", request, num_people=num_people)
        return needed

    def _ask(self, question: str, *values: Any, follower: "_Follower | None" = None, **named: Any) -> Any:
        """The answer to one question; where it is long work, the follower is told of its steps, and may cancel it.

        Raises:
            UserInputError: as whoever answers does.
            ApiError: if the process ends before it has answered.
            RuntimeError: for an answer that cannot be read, or a question that cannot be sent.
        """
        answer: Future[Any] = Future()
        with self._lock:
            if not self.is_open:
                raise _gone()
            self._asked += 1
            number = self._asked
            self._send(number, question, values, named, follower is not None)
            self._waiting[number] = answer  # whoever listens looks for both under the same lock
            if follower is not None:
                self._followers[number] = follower
        if follower is not None:
            while not wait([answer], timeout=_SECONDS_BETWEEN_LOOKS).done:
                if follower.is_cancelled():
                    with self._lock:
                        self._send(number, _CANCEL)
                    break
        return answer.result()

    def _send(self, *message: Any) -> None:
        try:
            self._connection.send(message)
        except OSError as error:
            raise _gone() from error

    def _listen(self) -> None:
        try:
            while True:
                number, content = self._connection.recv()
                if number == _READY:
                    self.is_open = True
                    continue
                if isinstance(content, StepDone):
                    with self._lock:
                        follower = self._followers[number]
                    follower.on_step(content)
                    continue
                with self._lock:
                    waiting = self._waiting.pop(number)
                    self._followers.pop(number, None)
                _settle(waiting, content)
        except (EOFError, OSError):
            pass  # the process has ended
        except Exception:  # whatever it is, nobody must wait for an answer that nobody listens for
            _LOG.exception("A worker answers in a way that cannot be read, and is asked nothing more")
        finally:
            with self._lock:
                self.is_open = False
                for answer in self._waiting.values():
                    answer.set_exception(_gone())
                self._waiting.clear()
                self._followers.clear()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Follower:
    """Whoever is told how far an answer is."""

    on_step: OnStep
    """Told of each step."""

    is_cancelled: Callable[[], bool]
    """Whether nobody wants the answer any more."""


def _settle(waiting: Future[Any], content: bytes) -> None:
    """Gives whoever waits an answer, which may be an error, or be impossible to read."""
    try:
        value, error = pickle.loads(content)
    except Exception as problem:
        waiting.set_exception(RuntimeError(f"The answer of a worker cannot be read ({problem!r})"))
        return
    if error is not None:
        waiting.set_exception(error)
    else:
        waiting.set_result(value)


def answer_questions(connection: Connection, maker: PageHelp) -> None:
    """Answers, each in a thread of its own, until the asking end is closed.

    Args:
        connection: the other end of a `HelpLine`'s.
        maker: who knows the model.
    """
    lock = threading.Lock()
    cancelled: dict[int, threading.Event] = {}

    def tell(number: int, content: bytes | StepDone) -> None:
        with lock, contextlib.suppress(OSError):  # whoever asked may have ended
            connection.send((number, content))

    def send(number: int, value: Any = None, error: Exception | None = None) -> None:
        tell(number, pickle.dumps((value, error)))  # by itself, so that whoever cannot read it knows whose it is

    def answer(number: int, question: str, values: tuple[Any, ...], named: dict[str, Any], is_followed: bool) -> None:
        if is_followed:
            on_step, is_cancelled = functools.partial(tell, number), cancelled[number].is_set
            named = {**named, "on_step": on_step, "is_cancelled": is_cancelled}
        try:
            send(number, getattr(maker, question)(*values, **named))
        except UserInputError as error:
            send(number, error=error)
        except Exception as error:  # whoever asked says that it went wrong
            send(number, error=RuntimeError(repr(error)))
        finally:
            cancelled.pop(number, None)

    def listen() -> None:
        send(_READY)
        while True:
            try:
                number, question, *rest = connection.recv()
            except (EOFError, OSError):
                for each in list(cancelled.values()):  # nobody waits any more
                    each.set()
                return
            if question == _CANCEL:
                if (event := cancelled.get(number)) is not None:  # else it was answered in the meantime
                    event.set()
                continue
            cancelled[number] = threading.Event()
            threading.Thread(target=answer, args=(number, question, *rest), daemon=True).start()

    threading.Thread(target=listen, daemon=True).start()


def _gone() -> ApiError:
    return ApiError(503, "loading", "The model is being loaded; try again in a moment.")
