"""Work on many sources in several processes; one that is killed, or crashes, costs what it was at and nothing else.

Each process has a pipe of its own, so that none can die holding a lock that others wait for. A process whose parent
has died ends at once: another run may already be at the same files.
"""

import collections
import contextlib
import dataclasses
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

from ingredients.core.errors import IngredientsError

Task = TypeVar("Task")
Outcome = TypeVar("Outcome")

OnDone: TypeAlias = Callable[[str, float], None]
"""Told of what was done: the name of a step, and how much of it."""

Work: TypeAlias = Callable[[Task, OnDone], Outcome]
"""What is done with one task; a plain function of a module, so that other processes find it."""

MOST_ATTEMPTS = 3
"""How often a task may end its process before it is given up: a decoder that crashes does so every time."""


class Pool(Protocol):
    """Does tasks somewhere: in this process, in others, or on other machines."""

    @property
    def num_workers(self) -> int:
        """How many it does at once; 0 does one after the other, in this process."""
        ...

    def do_all(
        self, work: "Work[Any, Any]", tasks: Sequence[Any], *, on_done: OnDone, is_heavy: bool
    ) -> Iterator[tuple[int, Any]]:
        """Does every task once, as `do_all`; work is heavy where networks look at pictures."""
        ...


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LocalPool:
    """A `Pool` of processes on this machine."""

    num_workers: int
    """Processes; 0 does it all in this one."""

    def do_all(
        self, work: "Work[Any, Any]", tasks: Sequence[Any], *, on_done: OnDone, is_heavy: bool
    ) -> Iterator[tuple[int, Any]]:
        """Does every task once."""
        del is_heavy  # a process does what comes
        return do_all(work, tasks, num_workers=self.num_workers, on_done=on_done)


class WorkerCrashedError(IngredientsError):
    """A task that ended the process that worked on it, again and again."""


@dataclasses.dataclass(slots=True, kw_only=True, eq=False)
class _Worker(Generic[Task]):
    """A process and what it is at."""

    process: Any
    """The process."""

    connection: Connection
    """The connection to it."""

    place: int | None = None
    """Number of the task that it is at."""


def do_all(
    work: "Work[Task, Outcome]", tasks: Sequence[Task], *, num_workers: int, on_done: OnDone
) -> Iterator[tuple[int, Outcome | Exception]]:
    """Does every task once, and gives the number of each with what came out, in the order in which they end.

    Args:
        work: what is done.
        tasks: what it is done with.
        num_workers: processes; 0 does it all in this one, one after the other.
        on_done: told of what was done.

    Yields:
        The task's number, and the outcome or the error that it ended with: one of ours, or `WorkerCrashedError`.
    """
    if num_workers == 0:
        for place, task in enumerate(tasks):
            yield place, attempted(work, task, on_done)
        return
    waiting = collections.deque(range(len(tasks)))
    attempts = collections.Counter[int]()
    workers: list[_Worker[Task]] = []
    try:
        while waiting or any(worker.place is not None for worker in workers):
            while waiting and len(workers) < min(num_workers, len(waiting) + _num_busy(workers)):
                workers.append(_start(work))
            for worker in workers:
                if worker.place is None and waiting:
                    worker.place = waiting.popleft()
                    attempts[worker.place] += 1
                    with contextlib.suppress(OSError):  # it died; the next look at it says so
                        worker.connection.send(tasks[worker.place])
            handles = [each for worker in workers for each in (worker.connection, worker.process.sentinel)]
            multiprocessing.connection.wait(handles)
            for worker in list(workers):
                is_dead = not worker.process.is_alive()  # before the last of what it said is heard
                for kind, value in _messages(worker.connection):
                    if kind == "report":
                        on_done(*value)
                    elif worker.place is not None:
                        yield worker.place, value
                        worker.place = None
                if is_dead:
                    workers.remove(worker)
                    worker.connection.close()
                    if worker.place is None:
                        continue
                    if attempts[worker.place] >= MOST_ATTEMPTS:
                        yield (
                            worker.place,
                            WorkerCrashedError(
                                f"the process that worked on it ended {MOST_ATTEMPTS} times (code "
                                f"{worker.process.exitcode})"
                            ),
                        )
                    else:
                        waiting.append(worker.place)
    finally:
        for worker in workers:
            worker.process.kill()  # whatever it is at is done anew the next time
            worker.process.join()
            worker.connection.close()


def _num_busy(workers: Sequence[_Worker[Any]]) -> int:
    return sum(worker.place is not None for worker in workers)


def _start(work: "Work[Any, Any]") -> _Worker[Any]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, work), daemon=True)
    process.start()
    theirs.close()
    return _Worker(process=process, connection=ours)


def _messages(connection: Connection) -> Iterator[tuple[str, Any]]:
    """What a process has said by now; the last message of one that was killed may be cut off."""
    with contextlib.suppress(EOFError, OSError):
        while connection.poll():
            yield connection.recv()


def _serve(connection: Connection, work: "Work[Any, Any]") -> None:
    """What a process does: one task after the other, until nobody asks any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears Ctrl-C, and ends this process
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with contextlib.suppress(EOFError, OSError):
        while True:
            task = connection.recv()
            outcome = attempted(work, task, lambda step, amount: connection.send(("report", (step, amount))))
            connection.send(("outcome", outcome))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)


def attempted(work: "Work[Any, Any]", task: Any, on_done: OnDone) -> Any:
    """What came out of a task, or the error of ours that it ended with."""
    try:
        return work(task, on_done)
    except IngredientsError as error:
        return error
