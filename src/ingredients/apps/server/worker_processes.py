"""Several workers on one store, each in a process of its own with a GPU of its own; one that dies is replaced.

A worker that is killed in the middle of a video loses nothing: the video goes back into its place in the queue, and
the next worker that is free begins it again, with the same seed.
"""

import dataclasses
import functools
import logging
import multiprocessing
import os
import signal
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path

from ingredients.apps.quiet_libraries import only_our_words
from ingredients.apps.server.log import log_to_standard_error
from ingredients.apps.terminal import note, say
from ingredients.core.errors import UserInputError
from ingredients.generation.job_store import JobStore, StoreLimits
from ingredients.generation.worker import Maker, Worker

_LOG = logging.getLogger(__name__)

_SECONDS_BETWEEN_LOOKS = 0.5
_HOPELESS = 3
"""Exit code of a process whose model cannot be loaded: another one could not load it either."""

_MOST_EARLY_DEATHS = 5
_EARLY = 120.0
"""Seconds after its start within which a death counts as one: so often in a row means that none will live."""


@dataclasses.dataclass(slots=True, kw_only=True)
class _Place:
    """Where one of the workers is, and those that replace it."""

    number: int
    name: str
    process: BaseProcess
    started: float
    early_deaths: int = 0


class WorkerProcesses:
    """Workers in processes of their own, with the methods of a `Worker`."""

    def __init__(
        self,
        store: JobStore,
        load: Callable[[], Maker],
        *,
        number: int,
        on_failure: Callable[[], None],
    ) -> None:
        """Notes what the processes need.

        Args:
            store: whose jobs are done.
            load: gives what makes the videos; called in each process, to which it must be possible to send it.
            number: of the workers.
            on_failure: called if they have to end, for `failure`.
        """
        self.failure: BaseException | None = None
        self._store = store
        self._load = load
        self._number = number
        self._on_failure = on_failure
        self._stopping = threading.Event()
        self._places: list[_Place] = []
        self._watching = threading.Thread(target=self._watch, daemon=True)

    def start(self) -> None:
        """Starts all of them."""
        self._places = [self._place(number) for number in range(self._number)]
        self._watching.start()

    def stop(self) -> None:
        """Asks all of them to end after the step that they are at."""
        self._stopping.set()
        for place in self._places:
            place.process.terminate()

    def join(self, seconds: float | None = None) -> bool:
        """Waits for them to end, or so long and kills them; whether they ended by themselves."""
        given_up = time.monotonic() + (seconds or 0)
        self._watching.join()
        for place in self._places:
            place.process.terminate()  # also one that was started in the meantime
            place.process.join(None if seconds is None else max(0.0, given_up - time.monotonic()))
        living = [place for place in self._places if place.process.is_alive()]
        for place in living:
            place.process.kill()
            place.process.join()
        self._store.recover([place.name for place in self._places])
        return not living

    @property
    def process_ids(self) -> list[int]:
        """Numbers of the processes."""
        return [place.process.pid for place in self._places if place.process.pid is not None]

    def _place(self, number: int, *, early_deaths: int = 0) -> _Place:
        name = f"worker-{number}-{uuid.uuid4().hex}"
        process = multiprocessing.get_context("spawn").Process(
            target=_work,
            args=(self._store.folder, self._store.limits, self._load, name, number, os.getpid()),
            name=name,
        )
        process.start()
        return _Place(number=number, name=name, process=process, started=time.monotonic(), early_deaths=early_deaths)

    def _watch(self) -> None:
        """Replaces those that die."""
        while not self._stopping.wait(_SECONDS_BETWEEN_LOOKS):
            for index, place in enumerate(self._places):
                if place.process.is_alive():
                    continue
                again = self._store.recover([place.name])
                code = place.process.exitcode
                early = place.early_deaths + 1 if time.monotonic() - place.started < _EARLY else 0
                if code == _HOPELESS or early >= _MOST_EARLY_DEATHS:
                    self.failure = UserInputError(
                        "The model cannot be loaded; the sentence above says why."
                        if code == _HOPELESS
                        else f"Worker {place.number} died {early} times shortly after its start (exit code {code}); "
                        "look at the log above, or take fewer with --workers."
                    )
                    self._stopping.set()
                    self._on_failure()
                    return
                _LOG.warning(
                    "Worker %d died (exit code %s) and is replaced; %d videos are in the queue again",
                    place.number, code, again,
                )  # fmt: skip
                self._places[index] = self._place(place.number, early_deaths=early)


def _work(folder: Path, limits: StoreLimits, load: Callable[[], Maker], name: str, number: int, parent: int) -> None:
    """What a process does, until it is told to stop or its parent is gone."""
    _take_device(number)
    log_to_standard_error()
    with only_our_words(functools.cache(note)):
        _work_on(JobStore(folder, limits), load, name, parent)


def _work_on(store: JobStore, load: Callable[[], Maker], name: str, parent: int) -> None:
    worker = Worker(store, load, name=name)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal, which every process of it gets; the parent decides
    signal.signal(signal.SIGTERM, lambda *_: worker.stop())
    worker.start()
    while not worker.join(_SECONDS_BETWEEN_LOOKS):
        if os.getppid() != parent:
            worker.stop()
    store.close()
    if worker.failure is not None:
        if isinstance(worker.failure, UserInputError):
            say(f"Error: {worker.failure}")
            raise SystemExit(_HOPELESS)
        raise SystemExit(1)


def _take_device(number: int) -> None:
    """Leaves a process one GPU, in turn; without any it changes nothing. PyTorch is not imported yet."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    devices: Sequence[str] = [] if visible is None else [each for each in visible.split(",") if each]
    os.environ["CUDA_VISIBLE_DEVICES"] = devices[number % len(devices)] if devices else _device(number, visible)


def _device(number: int, visible: str | None) -> str:
    if visible is not None:  # said to be none
        return visible
    count = len(list(Path("/proc/driver/nvidia/gpus").glob("*"))) or 1
    return str(number % count)
