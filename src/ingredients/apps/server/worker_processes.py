"""Workers in processes of their own, each with a GPU of its own, and with less right to the cores than the server.

A server answers at once only if it need not wait for the interpreter of a process that makes videos, and if the system
gives it a core when it wants one. So even a single model is in a process of its own.
"""

import functools
import multiprocessing
import os
import signal
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path

from ingredients.apps.quiet_libraries import only_our_words
from ingredients.apps.server.help_line import HelpLine, answer_questions
from ingredients.apps.server.log import log_to_standard_error
from ingredients.apps.server.worker_team import HOPELESS, Member, WorkerTeam
from ingredients.apps.terminal import note, say
from ingredients.core.errors import UserInputError
from ingredients.generation.job_store import JobStore, StoreLimits
from ingredients.generation.page_help import PageHelp
from ingredients.generation.worker import Maker, Worker

_SECONDS_BETWEEN_LOOKS = 0.5

_NICENESS = 2
"""How much later than the server a worker gets a core that both want, in the system's own measure."""


class WorkerProcesses(WorkerTeam):
    """Workers that are processes of this machine."""

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
            number: the number of the workers.
            on_failure: called if they have to end, for `failure`.
        """
        super().__init__(store, number=number, on_failure=on_failure)
        self._load = load
        self._lines: dict[int, HelpLine] = {}

    def page_help(self) -> PageHelp | None:
        """The first that has its model."""
        return next((line for line in self._lines.values() if line.is_open), None)

    def is_ready(self, number: int, member: Member) -> bool:
        """Whether it answers what a page asks, which it does once it has its model."""
        del member
        return self._lines[number].is_open

    def start_member(self, name: str, number: int) -> Member:
        """Starts a process."""
        ours, theirs = multiprocessing.Pipe()
        process = multiprocessing.get_context("spawn").Process(
            target=_work,
            args=(self.store.folder, self.store.limits, self._load, name, number, os.getpid(), theirs),
            name=name,
        )
        process.start()
        theirs.close()  # so that the line ends with the process
        self._lines[number] = HelpLine(ours)
        return process


def _work(
    folder: Path,
    limits: StoreLimits,
    load: Callable[[], Maker],
    name: str,
    number: int,
    parent: int,
    connection: Connection,
) -> None:
    """What a process does, until it is told to stop or its parent is gone."""
    os.nice(_NICENESS)
    _take_device(number)
    log_to_standard_error()

    def load_and_help() -> Maker:
        maker = load()
        answer_questions(connection, maker)
        return maker

    with only_our_words(functools.cache(note)):
        _work_on(JobStore(folder, limits), load_and_help, name, parent)


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
            raise SystemExit(HOPELESS)
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
