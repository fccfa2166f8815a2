"""The same work by Ray Data: on all cores of this machine, or of a cluster that runs already.

Each source is one row and one block, which goes through a pool of actors as it becomes their turn; an actor keeps its
networks from source to source. Rows hold names and measurements, never pictures: sources are read from their place,
and the store is a folder that all machines see. A source whose actor ends, or whose machine does, is done again, on
what the store has; one that ends its actor again and again is left out, as in processes of our own.
"""

import contextlib
import dataclasses
import logging
import os
import pickle
import threading
import traceback
import types
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

from ingredients.core.errors import UserInputError
from ingredients.core.optional_dependencies import import_optional
from ingredients.core.ray_cluster import join_cluster
from ingredients.curation.workers import MOST_ATTEMPTS, OnDone, Work, WorkerCrashedError, attempted

_PLACE, _TASK, _OUTCOME = "place", "task", "outcome"
_LOOK_EVERY = 0.5
"""Seconds between looks at what actors reported."""


@dataclasses.dataclass(slots=True, kw_only=True, eq=False)
class RayPool:
    """A `Pool` of `ingredients.curation.workers`, to be entered.

    Raises:
        MissingDependencyError: without Ray.
        UserInputError: on entering, if there is no cluster at the address.
    """

    address: str
    """`local`; `auto` or `HOST:PORT` of a cluster that this machine is part of; `ray://HOST:PORT` from outside."""

    num_workers: int = 0
    """Most actors at once; 0 is as many as the cluster has cores."""

    num_gpus: float = 0.0
    """Part of a graphics card that an actor takes which looks at people."""

    _ray: Any = None
    _is_ours: bool = False

    def __enter__(self) -> Self:
        """Joins the cluster, or begins one."""
        ray = self._ray = import_optional("ray", extra="ray")
        import_optional("pyarrow", extra="ray")
        for name in ("ray", "ray.data"):
            logging.getLogger(name).setLevel(logging.ERROR)
        if not ray.is_initialized():
            try:
                join_cluster(self.address)
            except (OSError, RuntimeError, ValueError) as error:
                reason = (str(error).splitlines() or [type(error).__name__])[0]
                raise UserInputError(
                    f"There is no Ray cluster at {self.address} ({reason}); begin one with `ray start --head`, or "
                    "take --address local."
                ) from error
            self._is_ours = True
        if self.num_workers == 0:
            self.num_workers = max(int(ray.cluster_resources().get("CPU", 1)), 1)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> None:
        """Leaves the cluster; ends the one that was begun."""
        if self._is_ours:
            self._ray.shutdown()

    def do_all(
        self, work: "Work[Any, Any]", tasks: Sequence[Any], *, on_done: OnDone, is_heavy: bool
    ) -> Iterator[tuple[int, Any]]:
        """Does every task once, as `ingredients.curation.workers.do_all`; heavy work takes its part of a card."""
        if not tasks:
            return
        ray = self._ray
        import ray.data as ray_data  # after `ray` itself is known to be there

        context = ray_data.DataContext.get_current()
        context.enable_progress_bars = False
        context.max_errored_blocks = -1  # what is given up is missed below
        num_actors = min(self.num_workers, len(tasks))
        reports = ray.remote(num_cpus=0, max_restarts=-1)(_Reports).remote()
        rows = [{_PLACE: place, _TASK: pickle.dumps(task)} for place, task in enumerate(tasks)]
        data = ray_data.from_items(rows, override_num_blocks=len(rows)).map_batches(
            _Doer,
            fn_constructor_args=(work, reports, str(Path.cwd())),
            batch_size=1,
            # one at a time: whoever waits behind a task that ends the actor would be counted as ending it, too
            compute=ray_data.ActorPoolStrategy(min_size=1, max_size=num_actors, max_tasks_in_flight_per_actor=1),
            num_cpus=1,
            num_gpus=self.num_gpus if is_heavy and self.num_gpus else None,
            max_restarts=-1,
            max_task_retries=MOST_ATTEMPTS - 1,
        )
        missing = set(range(len(tasks)))
        with _told(ray, reports, on_done):
            for batch in data.iter_batches(batch_size=None, prefetch_batches=0):
                for place, outcome in zip(batch[_PLACE], batch[_OUTCOME], strict=True):
                    missing.discard(int(place))
                    value = pickle.loads(outcome)
                    if isinstance(value, _Fault):
                        raise RuntimeError(f"an actor met a fault:\n{value.trace}")
                    yield int(place), value
        for place in sorted(missing):
            yield place, WorkerCrashedError(f"the process that worked on it ended {MOST_ATTEMPTS} times")


class _Doer:
    """What an actor does: one task after the other, with the networks that the first one read.

    Args:
        work: what it does.
        reports: an actor that collects reports.
        folder: where the command runs, to which files of the settings are relative; a machine without it takes those
            that are absolute.
    """

    def __init__(self, work: "Work[Any, Any]", reports: Any, folder: str) -> None:
        self._work = work
        self._reports = reports
        with contextlib.suppress(OSError):
            os.chdir(folder)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Does the task of a batch of one row."""
        [task] = batch[_TASK]

        def on_done(step: str, amount: float) -> None:
            self._reports.add.remote(step, amount)  # nobody waits for it

        try:
            outcome = attempted(self._work, pickle.loads(task), on_done)
        except Exception:  # a fault of ours, which Ray would count as one of its own and leave out
            outcome = _Fault(traceback.format_exc())
        return {_PLACE: batch[_PLACE], _OUTCOME: [pickle.dumps(outcome)]}


@dataclasses.dataclass(frozen=True, slots=True)
class _Fault:
    """What went wrong in an actor, in Python's words."""

    trace: str


class _Reports:
    """Collects what actors report."""

    def __init__(self) -> None:
        self._amounts: list[tuple[str, float]] = []

    def add(self, step: str, amount: float) -> None:
        """Keeps a report."""
        self._amounts.append((step, amount))

    def take(self) -> list[tuple[str, float]]:
        """All reports since the last time."""
        taken, self._amounts = self._amounts, []
        return taken


@contextlib.contextmanager
def _told(ray: Any, reports: Any, on_done: OnDone) -> Iterator[None]:
    """Passes on what actors report, as long as the work goes on and once more at its end."""
    is_over = threading.Event()

    def tell() -> None:
        with contextlib.suppress(ray.exceptions.RayError):  # lost reports cost a bar its length, no work
            for step, amount in ray.get(reports.take.remote(), timeout=10):
                on_done(step, amount)

    def watch() -> None:
        while not is_over.wait(_LOOK_EVERY):
            tell()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        is_over.set()
        watcher.join()
    tell()
