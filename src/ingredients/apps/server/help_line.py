"""Questions of a page to a model in another process: asked over a pipe, answered beside the video that is made."""

import logging
import pickle
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from ingredients.apps.server.errors import ApiError
from ingredients.core.arrays import UInt8Array
from ingredients.core.errors import UserInputError
from ingredients.faces.identity_photos import IdentityPhotos
from ingredients.generation.page_help import JudgedFile, PageHelp, PhotoNotes
from ingredients.generation.request import StudioRequest

_LOG = logging.getLogger(__name__)

_READY = -1
"""Number of the message that the model is there."""


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
        threading.Thread(target=self._listen, daemon=True).start()

    def look_at_photo(self, photo: UInt8Array, *, label: str) -> PhotoNotes:
        """Finds the faces of a photo (H, W, 3)."""
        notes: PhotoNotes = self._ask("look_at_photo", photo, label=label)
        return notes

    def notes_on_prompt(self, prompt: str, names: Sequence[str]) -> list[str]:
        """What of a sentence the model will not follow."""
        notes: list[str] = self._ask("notes_on_prompt", prompt, names)
        return notes

    def judge_file(self, video: Path, people: Sequence[IdentityPhotos], *, title: str) -> JudgedFile:
        """Says who of some people is who in a video."""
        judged: JudgedFile = self._ask("judge_file", video, people, title=title)
        return judged

    def needed_bytes(self, request: StudioRequest, *, num_people: int) -> int:
        """Memory that a video needs at its busiest."""
        needed: int = self._ask("needed_bytes", request, num_people=num_people)
        return needed

    def _ask(self, question: str, *values: Any, **named: Any) -> Any:
        """The answer to one question.

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
            try:
                self._connection.send((self._asked, question, values, named))
            except OSError as error:
                raise _gone() from error
            self._waiting[self._asked] = answer  # whoever listens looks for it under the same lock
        return answer.result()

    def _listen(self) -> None:
        try:
            while True:
                number, content = self._connection.recv()
                if number == _READY:
                    self.is_open = True
                    continue
                with self._lock:
                    waiting = self._waiting.pop(number)
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

    def send(number: int, value: Any = None, error: Exception | None = None) -> None:
        content = pickle.dumps((value, error))  # by itself, so that whoever cannot read it knows whose it is
        with lock:
            connection.send((number, content))

    def answer(number: int, question: str, values: tuple[Any, ...], named: dict[str, Any]) -> None:
        try:
            send(number, getattr(maker, question)(*values, **named))
        except UserInputError as error:
            send(number, error=error)
        except Exception as error:  # whoever asked says that it went wrong
            send(number, error=RuntimeError(repr(error)))

    def listen() -> None:
        send(_READY)
        while True:
            try:
                question = connection.recv()
            except (EOFError, OSError):
                return
            threading.Thread(target=answer, args=question, daemon=True).start()

    threading.Thread(target=listen, daemon=True).start()


def _gone() -> ApiError:
    return ApiError(503, "loading", "The model is being loaded; try again in a moment.")
