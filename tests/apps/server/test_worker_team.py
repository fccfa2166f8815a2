"""Workers that die are replaced, whatever stands in the way for a while; a remote one tells only of its own video."""

import dataclasses
import threading
import time
from collections.abc import Mapping
from typing import Any

import pytest

from ingredients.apps.server import ray_workers, worker_team
from ingredients.apps.server.ray_workers import _RayMaker, _RayMember, _RemoteStudio
from ingredients.apps.server.worker_team import Member, WorkerCensus, WorkerTeam


class Dead:
    """A worker that died, or one that lives."""

    pid = None

    def __init__(self, *, lives: bool) -> None:
        self.lives = lives
        self.exitcode = None if lives else -9

    def is_alive(self) -> bool:
        return self.lives

    def terminate(self) -> None:
        self.lives = False

    kill = terminate

    def join(self, timeout: float | None = None) -> None:
        del timeout


class FullStore:
    """A store that cannot be written to for so many times."""

    def __init__(self, times: int) -> None:
        self.times = times

    def recover(self, names: list[str]) -> int:
        del names
        if self.times > 0:
            self.times -= 1
            raise OSError("No space left on device")
        return 1


class Team(WorkerTeam):
    """A worker that dies at once, and then some that live."""

    started = 0

    def is_ready(self, number: int, member: Member) -> bool:
        return number == 0 and member.is_alive()

    def start_member(self, name: str, number: int) -> Dead:
        del name, number
        self.started += 1
        return Dead(lives=self.started > 1)


def make_team(monkeypatch: pytest.MonkeyPatch, *, times: int, most: int) -> tuple[Team, threading.Event]:
    monkeypatch.setattr(worker_team, "_SECONDS_BETWEEN_LOOKS", 0.01)
    monkeypatch.setattr(worker_team, "_MOST_FAILED_LOOKS", most)
    failed = threading.Event()
    return Team(FullStore(times), number=1, on_failure=failed.set), failed  # type: ignore[arg-type]


def test_a_disk_that_is_full_for_a_while_does_not_end_the_watch(monkeypatch):
    team, failed = make_team(monkeypatch, times=3, most=100)
    team.start()
    given_up = time.monotonic() + 10
    while team.started < 2 and time.monotonic() < given_up:
        time.sleep(0.01)
    assert team.started == 2
    assert not failed.is_set()
    assert team.census() == WorkerCensus(ready=1, starting=0, replaced=1)
    team.stop()
    assert team.join(5)


def test_a_disk_that_stays_full_is_told(monkeypatch):
    team, failed = make_team(monkeypatch, times=10**6, most=3)
    team.start()
    assert failed.wait(10)
    assert isinstance(team.failure, OSError)


@dataclasses.dataclass
class Step:
    step: int


class Maker:
    """Makes a video of two steps, or of one."""

    def make(self, request: str, *, on_step: Any, notice: Any, is_cancelled: Any) -> str:
        for step in (1, 2) if request == "first" else (1,):
            if on_step is not None:
                on_step(Step(step))
        if request == "slow":
            while not is_cancelled():
                time.sleep(0.005)
        return f"video of {request}"


class NotRay:
    """What `_RayMaker` asks of Ray, in threads of this process."""

    class exceptions:  # noqa: N801 - as in Ray
        class RayActorError(Exception):
            pass

    @staticmethod
    def wait(futures: list[Any], timeout: float | None = None) -> tuple[list[Any], list[Any]]:
        futures[0].join(timeout)
        return ([] if futures[0].is_alive() else futures), []

    @staticmethod
    def get(future: Any) -> Any:
        future.join()
        return future.value


class Call(threading.Thread):
    def __init__(self, call: Any, arguments: tuple[Any, ...], delay: float) -> None:
        super().__init__(daemon=True)
        self.call, self.arguments, self.delay, self.value = call, arguments, delay, None
        self.start()

    def run(self) -> None:
        time.sleep(self.delay)
        self.value = self.call(*self.arguments)


class Actor:
    """The methods of an object, each called as Ray calls an actor's; making begins late, as with large photos."""

    def __init__(self, studio: Any, delays: Mapping[str, float] | None = None) -> None:
        self.studio = studio
        self.delays = {"make": 0.3} if delays is None else delays

    def __getattr__(self, name: str) -> Any:
        method, delays = getattr(self.studio, name), self.delays

        class Remote:
            @staticmethod
            def remote(*arguments: Any) -> Call:
                return Call(method, arguments, delays.get(name, 0.0))

        return Remote


def test_an_actor_without_room_says_that_it_waits(monkeypatch, caplog):
    monkeypatch.setattr(ray_workers, "_SECONDS_TO_START", 0.02)
    for delay, number in ((0.3, 2), (0.0, 0)):
        member = object.__new__(_RayMember)
        member._ray, member._name, member._needs = NotRay, "worker-1", "a GPU and a CPU"
        member._actor = Actor(_RemoteStudio(), delays={"has_started": delay})
        if not delay:
            monkeypatch.setattr(ray_workers, "_SECONDS_TO_START", 20)
        caplog.clear()
        member._wait_for_room()
        assert [record.message[:14] for record in caplog.records] == ["worker-1 waits", "worker-1 waits"][:number]
    assert "no longer" not in caplog.text


def make_maker() -> _RayMaker:
    studio = _RemoteStudio()
    studio._maker = Maker()
    return _RayMaker(NotRay, Actor(studio), facts=None)  # type: ignore[arg-type]


def test_an_actor_tells_nothing_of_its_last_video():
    maker = make_maker()
    told: dict[str, list[int]] = {"first": [], "second": []}
    for request, steps in told.items():
        assert maker.make(request, on_step=lambda done, steps=steps: steps.append(done.step)) == f"video of {request}"
    assert told == {"first": [2], "second": [1]}  # and not the first one's step while the second had not begun


def test_an_actor_is_free_again_when_a_step_cannot_be_kept():
    maker = make_maker()

    def refuse(done: Any) -> None:
        raise OSError("No space left on device")

    with pytest.raises(OSError, match="No space left"):
        maker.make("slow", on_step=refuse)
    assert maker.make("next") == "video of next"


def test_a_video_is_cancelled_before_it_has_begun():
    maker = make_maker()
    assert maker.make("slow", is_cancelled=lambda: True) == "video of slow"
