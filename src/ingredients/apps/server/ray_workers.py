"""Workers that are actors of a Ray cluster, each with a model and a GPU of its own, on whichever of its machines.

The store stays with the server: for each actor a thread of the server takes a job, sends it with its photos, hears of
each step, and writes what comes back. So the machines of the cluster share no disk with it, and an actor that dies, or
whose machine does, takes nothing with it.
"""

import dataclasses
import functools
import logging
import os
import uuid
from collections.abc import Callable
from typing import Any

from ingredients.apps.server.worker_team import HOPELESS, Member, WorkerTeam
from ingredients.apps.terminal import say
from ingredients.core.errors import UserInputError
from ingredients.core.ray_cluster import LOCAL, join_cluster
from ingredients.core.warnings_told import Notice
from ingredients.generation.job_store import JobStore
from ingredients.generation.model_facts import ModelFacts
from ingredients.generation.progress import OnStep, StepDone
from ingredients.generation.request import StudioRequest
from ingredients.generation.worker import Maker, MakerGoneError, Worker

_LOG = logging.getLogger(__name__)

_SECONDS_BETWEEN_LOOKS = 0.2
_SECONDS_TO_START = 30.0
"""For an actor's process, its imports included, where the cluster has room for it."""
_MOST_AT_ONCE = 4  # a video, and whoever asks how far it is


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Progress:
    """How far an actor is."""

    ticket: str
    """The ticket of what it makes; empty before the first."""

    step: StepDone | None
    """The last step."""

    notices: tuple[str, ...]
    """All that was worth knowing so far."""


class _RemoteStudio:
    """What an actor is: a studio whose videos are made in one thread, and asked about in others."""

    def __init__(self) -> None:
        self._maker: Any = None
        self._cancelled: set[str] = set()
        self._progress = _Progress(ticket="", step=None, notices=())

    def has_started(self) -> bool:
        """Whether the cluster had room for it, which an actor without room does not answer."""
        return True

    def load(self, load: Callable[[], Maker]) -> tuple[int, dict[str, Any] | None, UserInputError | None]:
        """Loads the model; the number of the process, and what is to know of the model or why there is none."""
        try:
            self._maker = load()
        except UserInputError as error:
            return os.getpid(), None, error
        return os.getpid(), self._maker.facts.to_plain(), None

    def make(
        self, verb: str, ticket: str, request: StudioRequest, told: dict[str, Any]
    ) -> tuple[Any, UserInputError | None]:
        """Makes a video, or takes; or says why not. The ticket tells this video from the last and the next."""
        self._progress = _Progress(ticket=ticket, step=None, notices=())
        try:
            made = getattr(self._maker, verb)(
                request,
                on_step=self._note_step,
                notice=self._note,
                is_cancelled=lambda: ticket in self._cancelled,
                **told,
            )
        except UserInputError as error:
            return None, error
        finally:
            self._cancelled.discard(ticket)
        return made, None

    def progress(self) -> _Progress:
        """How far it is."""
        return self._progress

    def cancel(self, ticket: str) -> None:
        """Ends the video of this ticket at its next step, also before it has begun."""
        self._cancelled.add(ticket)

    def _note_step(self, done: StepDone) -> None:
        self._progress = dataclasses.replace(self._progress, step=done)

    def _note(self, notice: str) -> None:
        self._progress = dataclasses.replace(self._progress, notices=(*self._progress.notices, notice))


class _RayMaker:
    """An actor, as a worker of the server sees it; of a page's questions it answers none."""

    def __init__(self, ray: Any, actor: Any, facts: ModelFacts) -> None:
        self.facts = facts
        self._ray = ray
        self._actor = actor

    def make(self, request: StudioRequest, **told: Any) -> Any:
        """Makes a video, as `Studio.make` does."""
        return self._make("make", request, **told)

    def make_takes(self, request: StudioRequest, **told: Any) -> Any:
        """Makes takes, as `Studio.make_takes` does."""
        return self._make("make_takes", request, **told)

    def _make(
        self,
        verb: str,
        request: StudioRequest,
        *,
        on_step: OnStep | None = None,
        notice: Notice | None = None,
        is_cancelled: Callable[[], bool] | None = None,
        **told: Any,
    ) -> Any:
        ray = self._ray
        last, num_notices = None, 0
        ticket = uuid.uuid4().hex
        coming, is_there = None, False
        try:
            coming = self._actor.make.remote(verb, ticket, request, told)
            while not is_there:
                is_there = bool(ray.wait([coming], timeout=_SECONDS_BETWEEN_LOOKS)[0])
                progress = ray.get(self._actor.progress.remote())
                if progress.ticket == ticket:  # not its last video's, whose pictures may be somebody else's
                    if progress.step is not None and on_step is not None and progress.step.step != last:
                        last = progress.step.step
                        on_step(progress.step)
                    for each in progress.notices[num_notices:]:
                        if notice is not None:
                            notice(each)
                    num_notices = len(progress.notices)
                if is_cancelled is not None and is_cancelled():
                    self._actor.cancel.remote(ticket)
            made, error = ray.get(coming)
        except ray.exceptions.RayActorError as gone:
            raise MakerGoneError("The worker's process, or its machine, is gone.") from gone
        finally:
            if coming is not None and not is_there:  # the server could not keep a step: the actor is to be free again
                self._actor.cancel.remote(ticket)
                ray.wait([coming])
        if error is not None:
            raise error
        return made


class _RayMember:
    """A thread of the server and its actor, with the methods of a process."""

    def __init__(self, ray: Any, store: JobStore, load: Callable[[], Maker], name: str, *, num_gpus: int) -> None:
        self.pid: int | None = None
        self.has_model = False
        self._ray = ray
        self._load = load
        self._name = name
        self._needs = f"{'a GPU and ' if num_gpus else ''}a CPU"
        remote = ray.remote(_RemoteStudio).options(
            num_cpus=1, num_gpus=num_gpus, max_restarts=0, max_concurrency=_MOST_AT_ONCE
        )
        self._actor = remote.remote()
        self._worker = Worker(store, self._loaded, name=name, on_failure=self.kill)
        self._worker.start()

    def _loaded(self) -> Any:
        try:
            self._wait_for_room()
            self.pid, facts, error = self._ray.get(self._actor.load.remote(self._load))
        except self._ray.exceptions.RayActorError as gone:
            raise MakerGoneError("The worker's process, or its machine, is gone.") from gone
        if error is not None:
            raise error
        self.has_model = True
        return _RayMaker(self._ray, self._actor, ModelFacts.from_plain(facts))

    def _wait_for_room(self) -> None:
        """Waits until the actor's process is there, and says so if the cluster has none to give."""
        coming = self._actor.has_started.remote()
        if not self._ray.wait([coming], timeout=_SECONDS_TO_START)[0]:
            _LOG.warning(
                "%s waits: the Ray cluster has not yet given it %s; it begins as soon as they are free, and --workers "
                "ADDRESS#NUMBER asks for fewer workers",
                self._name, self._needs,
            )  # fmt: skip
            self._ray.get(coming)
            _LOG.warning("%s waits no longer", self._name)

    @property
    def exitcode(self) -> int | None:
        """How it ended."""
        if self.is_alive():
            return None
        failure = self._worker.failure
        if isinstance(failure, UserInputError):
            say(f"Error: {failure}")
            return HOPELESS
        return 0 if failure is None else 1

    def is_alive(self) -> bool:
        """Whether it works, or could."""
        return self._worker.is_alive

    def terminate(self) -> None:
        """Asks it to end after the step that it is at."""
        self._worker.stop()

    def kill(self) -> None:
        """Ends the actor, which ends the thread."""
        self._ray.kill(self._actor)

    def join(self, timeout: float | None = None) -> None:
        """Waits for it to end, or so long."""
        if self._worker.join(timeout):
            self.kill()


class RayWorkers(WorkerTeam):
    """Workers that are actors of a cluster."""

    def __init__(
        self,
        store: JobStore,
        load: Callable[[], Maker],
        *,
        address: str,
        number: int | None = None,
        on_failure: Callable[[], None],
    ) -> None:
        """Joins the cluster.

        Args:
            store: whose jobs are done.
            load: gives what makes the videos; called in each actor, to which it must be possible to send it, and whose
                machine has the package and the model at the same places.
            address: such as `ray://head:10001`; `ray` starts one on this machine.
            number: the number of the workers; None: one for each GPU of the cluster, or one where it has none.
            on_failure: called if they have to end, for `failure`.

        Raises:
            UserInputError: if there is no such cluster.
            MissingDependencyError: without Ray.
        """
        try:
            ray = join_cluster(LOCAL if address == "ray" else address)
        except (OSError, RuntimeError, ValueError) as error:
            raise UserInputError(
                f"No Ray cluster answers at {address}; start one with `ray start --head`, or give its address to "
                "--workers."
            ) from error
        gpus = int(ray.cluster_resources().get("GPU", 0))
        super().__init__(store, number=number or max(gpus, 1), on_failure=on_failure)
        self._start = functools.partial(_RayMember, ray, store, load, num_gpus=min(gpus, 1))
        self._ray = ray

    def is_ready(self, number: int, member: Member) -> bool:
        """Whether its actor has the model: one for which the cluster has no room waits, as long as it takes."""
        del number
        assert isinstance(member, _RayMember)
        return member.has_model

    def start_member(self, name: str, number: int) -> Member:
        """Starts an actor, and the thread that gives it jobs."""
        return self._start(name)

    def join(self, seconds: float | None = None) -> bool:
        """Waits as a team does, and leaves the cluster."""
        ended = super().join(seconds)
        self._ray.shutdown()
        return ended
