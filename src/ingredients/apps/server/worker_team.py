"""Several workers on one store; one that dies is replaced.

A worker that is killed in the middle of a video loses nothing: the video goes back into its place in the queue, and
the next worker that is free begins it again, with the same seed. Where a worker runs is for a subclass to say.
"""

import dataclasses
import logging
import threading
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Protocol

from ingredients.core.errors import UserInputError
from ingredients.generation.job_store import JobStore
from ingredients.generation.page_help import PageHelp

_LOG = logging.getLogger(__name__)

_SECONDS_BETWEEN_LOOKS = 0.5
HOPELESS = 3
"""Exit code of a worker whose model cannot be loaded: another one could not load it either."""

_MOST_EARLY_DEATHS = 5
_MOST_FAILED_LOOKS = 240
"""Looks in a row at dead workers that may fail, two minutes in all: a disk may be full for a while."""

_EARLY = 120.0
"""Seconds after its start within which a death counts as one: so often in a row means that none will live."""


class Member(Protocol):
    """A worker, wherever it runs; a process of `multiprocessing` is one."""

    @property
    def exitcode(self) -> int | None:
        """How it ended; None while it lives."""

    @property
    def pid(self) -> int | None:
        """Number of its process, once that is known."""

    def is_alive(self) -> bool:
        """Whether it works, or could."""

    def terminate(self) -> None:
        """Asks it to end after the step that it is at."""

    def kill(self) -> None:
        """Ends it."""

    def join(self, timeout: float | None = None) -> None:
        """Waits for it to end, or so long."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class WorkerCensus:
    """How a team is."""

    ready: int
    """Workers that have their model, and make videos or wait for some."""

    starting: int
    """Those that load it, or wait for room in their cluster."""

    replaced: int
    """Workers that died and were replaced since the server began."""


@dataclasses.dataclass(slots=True, kw_only=True)
class _Place:
    """Where one of the workers is, and those that replace it."""

    number: int
    name: str
    member: Member
    started: float
    early_deaths: int = 0


class WorkerTeam(ABC):
    """Workers that are looked after, with the methods of a `Worker`."""

    def __init__(self, store: JobStore, *, number: int, on_failure: Callable[[], None]) -> None:
        """Notes what looking after them takes.

        Args:
            store: whose jobs are done.
            number: the number of the workers.
            on_failure: called if they have to end, for `failure`.
        """
        self.failure: BaseException | None = None
        self.store = store
        self._number = number
        self._on_failure = on_failure
        self._stopping = threading.Event()
        self._places: list[_Place] = []
        self._replaced = 0
        self._watching = threading.Thread(target=self._watch, daemon=True)

    @abstractmethod
    def start_member(self, name: str, number: int) -> Member:
        """Starts a worker.

        Args:
            name: that no other worker ever had.
            number: the number of its place, from 0.
        """

    def page_help(self) -> PageHelp | None:
        """Whoever of them can be asked what a page asks of the model; None if nobody can."""
        return None

    @abstractmethod
    def is_ready(self, number: int, member: Member) -> bool:
        """Whether a worker that lives has its model.

        Args:
            number: the number of its place, from 0.
            member: the worker.
        """

    def census(self) -> WorkerCensus:
        """How many of them work."""
        living = [place for place in self._places if place.member.is_alive()]
        ready = sum(self.is_ready(place.number, place.member) for place in living)
        return WorkerCensus(ready=ready, starting=len(living) - ready, replaced=self._replaced)

    def start(self) -> None:
        """Starts all of them."""
        self._places = [self._place(number) for number in range(self._number)]
        self._watching.start()

    def stop(self) -> None:
        """Asks all of them to end after the step that they are at."""
        self._stopping.set()
        for place in self._places:
            place.member.terminate()

    def join(self, seconds: float | None = None) -> bool:
        """Waits for them to end, or so long and kills them; whether they ended by themselves."""
        given_up = time.monotonic() + (seconds or 0)
        self._watching.join()
        for place in self._places:
            place.member.terminate()  # also one that was started in the meantime
            place.member.join(None if seconds is None else max(0.0, given_up - time.monotonic()))
        living = [place for place in self._places if place.member.is_alive()]
        for place in living:
            place.member.kill()
            place.member.join()
        self.store.recover([place.name for place in self._places])
        return not living

    @property
    def process_ids(self) -> list[int]:
        """Those of the processes in which they are."""
        return [place.member.pid for place in self._places if place.member.pid is not None]

    def _place(self, number: int, *, early_deaths: int = 0) -> _Place:
        name = f"worker-{number}-{uuid.uuid4().hex}"
        member = self.start_member(name, number)
        return _Place(number=number, name=name, member=member, started=time.monotonic(), early_deaths=early_deaths)

    def _watch(self) -> None:
        """Replaces those that die; a look that fails, as on a full disk, is made again."""
        num_failed = 0
        while not self._stopping.wait(_SECONDS_BETWEEN_LOOKS):
            try:
                for index, place in enumerate(self._places):
                    if not place.member.is_alive() and not self._replace(index, place):
                        return
                num_failed = 0
            except Exception as error:  # whatever it is, videos must not wait for nobody without a word
                num_failed += 1
                if num_failed == 1:
                    _LOG.exception("A worker that died could not be replaced yet")
                if num_failed >= _MOST_FAILED_LOOKS:
                    self._fail(error)
                    return

    def _replace(self, index: int, place: _Place) -> bool:
        """Starts another worker where one died; says whether there is any sense in it."""
        again = self.store.recover([place.name])
        code = place.member.exitcode
        early = place.early_deaths + 1 if time.monotonic() - place.started < _EARLY else 0
        if code == HOPELESS or early >= _MOST_EARLY_DEATHS:
            self._fail(
                UserInputError(
                    "The model cannot be loaded; the sentence above says why."
                    if code == HOPELESS
                    else f"Worker {place.number} died {early} times shortly after its start (exit code {code}); "
                    "look at the log above, or take fewer with --workers."
                )
            )
            return False
        _LOG.warning(
            "Worker %d died (exit code %s) and is replaced; %d videos are in the queue again",
            place.number, code, again,
        )  # fmt: skip
        self._places[index] = self._place(place.number, early_deaths=early)
        self._replaced += 1
        return True

    def _fail(self, failure: BaseException) -> None:
        self.failure = failure
        self._stopping.set()
        self._on_failure()
