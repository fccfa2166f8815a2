"""Several workers share the jobs of a store; one that is killed is replaced, and nothing is lost."""

import functools
import multiprocessing
import os
import pickle
import signal
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ingredients.apps.server.errors import ApiError
from ingredients.apps.server.help_line import HelpLine, answer_questions
from ingredients.apps.server.worker_processes import WorkerProcesses
from ingredients.core.errors import ModelFolderError, PromptError
from ingredients.generation.job_store import JobStore, NewPerson
from ingredients.generation.jobs import JobSettings
from ingredients.generation.progress import CancelledError, StepDone
from ingredients.generation.worker import Maker
from tests.generation.hand_maker import HandMaker

EXAMPLES = Path(__file__).parents[3] / "examples"
PEOPLE = [NewPerson(name="ana", photos=(((EXAMPLES / "ana.png").read_bytes(), ".png"),), faces=(None,))]
SETTINGS = JobSettings(prompt="A person waves.", people=(), seed=4)


def load_nothing() -> Maker:
    raise ModelFolderError("The model is damaged.")


def test_two_workers_do_all_jobs_although_one_is_killed(tmp_path: Path) -> None:
    store = JobStore(tmp_path)
    ids = [store.add(SETTINGS, PEOPLE).id for _ in range(6)]
    load = functools.partial(HandMaker, seconds_a_step=0.3)
    workers = WorkerProcesses(store, load, number=2, on_failure=lambda: None)
    workers.start()
    given_up = time.monotonic() + 120
    while store.count_by_state()["in_progress"] < 2:
        assert time.monotonic() < given_up
        time.sleep(0.02)
    helper = workers.page_help()
    assert helper is not None
    assert helper.notes_on_prompt("They yodel.", []) == ["The text encoder does not know 'yodel'."]
    assert len(helper.look_at_photo(np.zeros((40, 250, 3), np.uint8), label="the photo").faces) == 2
    assert all(
        os.getpriority(os.PRIO_PROCESS, each) > os.getpriority(os.PRIO_PROCESS, 0) for each in workers.process_ids
    )
    killed = workers.process_ids[0]
    os.kill(killed, signal.SIGKILL)
    while store.count_by_state()["completed"] < len(ids):
        assert time.monotonic() < given_up, store.count_by_state()
        time.sleep(0.05)
    assert killed not in workers.process_ids
    assert store.counters()["completed"] == len(ids)
    workers.stop()
    assert workers.join(60)
    assert workers.failure is None


def test_a_model_that_cannot_be_loaded_ends_all_of_them(tmp_path: Path) -> None:
    told = threading.Event()
    workers = WorkerProcesses(JobStore(tmp_path), load_nothing, number=2, on_failure=told.set)
    workers.start()
    assert told.wait(120)
    assert "cannot be loaded" in str(workers.failure)
    workers.stop()
    assert workers.join(60)


class UnreadableError(PromptError):
    """Can be sent, but not read: it is made of two words, and sent as one."""

    def __init__(self, one: str, other: str) -> None:
        super().__init__(one + other)


class Helper(HandMaker):
    """Is at a loss, or away, when it is asked about some sentences."""

    def notes_on_prompt(self, prompt: str, names: Sequence[str], **_: Any) -> list[str]:
        if prompt == "refuse":
            raise PromptError("The prompt is no sentence.")
        if prompt == "unreadable":
            raise UnreadableError("one", "other")
        if prompt == "fail":
            raise ZeroDivisionError
        if prompt == "wait":
            self.go_on.wait(20)
        return [prompt]


def wait_until_open(line: HelpLine) -> None:
    given_up = time.monotonic() + 20
    while not line.is_open:
        assert time.monotonic() < given_up
        time.sleep(0.01)


def opened_line() -> tuple[HelpLine, Connection]:
    """A line that is open, and its other end, at which nobody answers yet."""
    ours, theirs = multiprocessing.Pipe()
    line = HelpLine(ours)
    theirs.send((-1, b""))
    wait_until_open(line)
    return line, theirs


def test_answers_come_to_whoever_asked_and_errors_too() -> None:
    ours, theirs = multiprocessing.Pipe()
    line, maker = HelpLine(ours), Helper(waits=True)
    assert not line.is_open
    answer_questions(theirs, maker)
    wait_until_open(line)
    with ThreadPoolExecutor(4) as threads:
        slow = threads.submit(line.notes_on_prompt, "wait", [])
        prompts = [f"sentence {number}" for number in range(20)]
        assert list(threads.map(lambda prompt: line.notes_on_prompt(prompt, []), prompts)) == [
            [each] for each in prompts
        ]
        with pytest.raises(PromptError, match="no sentence"):
            line.notes_on_prompt("refuse", [])
        with pytest.raises(RuntimeError, match="ZeroDivisionError"):
            line.notes_on_prompt("fail", [])
        with pytest.raises(RuntimeError, match="cannot be read"):
            threads.submit(line.notes_on_prompt, "unreadable", []).result(20)
        with pytest.raises((AttributeError, TypeError, pickle.PicklingError)):
            line.notes_on_prompt(lambda: None, [])  # type: ignore[arg-type] # which cannot be sent
        assert len(line._waiting) == 1  # the slow one alone
        assert not slow.done()
        maker.go_on.set()
        assert slow.result(20) == ["wait"]


def test_long_work_tells_its_steps_and_is_cancelled(tmp_path: Path) -> None:
    ours, theirs = multiprocessing.Pipe()
    line, maker = HelpLine(ours), Helper(waits=True)
    answer_questions(theirs, maker)
    wait_until_open(line)
    video, steps = tmp_path / "a.mp4", list[StepDone]()
    video.touch()
    with pytest.raises(CancelledError, match="at frame 2 of 8"):
        line.judge_file(video, [], title="a", on_step=steps.append, is_cancelled=lambda: len(steps) > 1)
    assert [step.step for step in steps] == [1, 2]
    maker.go_on.set()
    assert line.judge_file(video, [], title="a", on_step=steps.append).notices == ("dlib judges.",)
    assert [step.step for step in steps[2:]] == list(range(1, 9))
    assert (line._waiting, line._followers) == ({}, {})


def test_long_work_ends_when_the_asking_process_does(tmp_path: Path) -> None:
    ours, theirs = multiprocessing.Pipe()
    maker, video = HandMaker(waits=True), tmp_path / "a.mp4"
    video.touch()
    answer_questions(theirs, maker)
    ours.send((1, "judge_file", (video, []), {"title": "a"}, True))
    ready, *steps = (ours.recv() for _ in range(3))
    assert (ready[0], [step.step for _, step in steps]) == (-1, [1, 2])
    ours.close()
    assert maker.cancelled.wait(10)


class EagerConnection:
    """A connection at whose other end a step is told before the question is quite sent."""

    def __init__(self, ours: Connection, theirs: Connection) -> None:
        self._ours, self._theirs = ours, theirs
        self.recv = ours.recv

    def send(self, message: tuple[Any, ...]) -> None:
        self._theirs.send((message[0], StepDone(step=1, total=1, seconds_left=0.0)))
        time.sleep(0.1)
        self._ours.send(message)


def test_a_step_is_told_however_early_it_comes(tmp_path: Path) -> None:
    ours, theirs = multiprocessing.Pipe()
    line, steps = HelpLine(EagerConnection(ours, theirs)), list[StepDone]()  # type: ignore[arg-type]
    theirs.send((-1, b""))
    wait_until_open(line)
    with ThreadPoolExecutor(1) as threads:
        judged = threads.submit(line.judge_file, tmp_path / "a.mp4", [], title="a", on_step=steps.append)
        number, *_ = theirs.recv()
        theirs.send((number, pickle.dumps(("judged", None))))
        assert judged.result(20) == "judged"
    assert [step.step for step in steps] == [1]


def test_a_process_that_ends_answers_nobody() -> None:
    line, theirs = opened_line()
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(line.notes_on_prompt, "They wave.", [])
        theirs.recv()
        theirs.close()
        with pytest.raises(ApiError, match="being loaded"):
            waiting.result(20)
    with pytest.raises(ApiError, match="being loaded"):
        line.notes_on_prompt("They wave.", [])


def test_whoever_waits_is_told_when_what_comes_is_no_answer() -> None:
    line, theirs = opened_line()
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(line.notes_on_prompt, "They wave.", [])
        theirs.recv()
        theirs.send_bytes(b"nothing that was pickled")
        with pytest.raises(ApiError, match="being loaded"):
            waiting.result(20)
    assert not line.is_open
