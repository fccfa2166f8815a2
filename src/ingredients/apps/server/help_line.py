"""Questions of a page to a model in another process: asked over a pipe, answered beside the video that is made."""

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
        """
        answer: Future[Any] = Future()
        with self._lock:
            if not self.is_open:
                raise _gone()
            self._asked += 1
            self._waiting[self._asked] = answer
            try:
                self._connection.send((self._asked, question, values, named))
            except OSError as error:
                raise _gone() from error
        return answer.result()

    def _listen(self) -> None:
        try:
            while True:
                number, value, error = self._connection.recv()
                if number == _READY:
                    self.is_open = True
                elif error is not None:
                    self._waiting.pop(number).set_exception(error)
                else:
                    self._waiting.pop(number).set_result(value)
        except (EOFError, OSError):
            with self._lock:
                self.is_open = False
                for answer in self._waiting.values():
                    answer.set_exception(_gone())
                self._waiting.clear()


def answer_questions(connection: Connection, maker: PageHelp) -> None:
    """Answers, each in a thread of its own, until the asking end is closed.

    Args:
        connection: the other end of a `HelpLine`'s.
        maker: who knows the model.
    """
    lock = threading.Lock()

    def send(message: tuple[int, Any, Exception | None]) -> None:
        with lock:
            connection.send(message)

    def answer(number: int, question: str, values: tuple[Any, ...], named: dict[str, Any]) -> None:
        try:
            send((number, getattr(maker, question)(*values, **named), None))
        except UserInputError as error:
            send((number, None, error))
        except Exception as error:  # whoever asked says that it went wrong
            send((number, None, RuntimeError(repr(error))))

    def listen() -> None:
        send((_READY, None, None))
        while True:
            try:
                question = connection.recv()
            except (EOFError, OSError):
                return
            threading.Thread(target=answer, args=question, daemon=True).start()

    threading.Thread(target=listen, daemon=True).start()


def _gone() -> ApiError:
    return ApiError(503, "loading", "The model is being loaded; try again in a moment.")
