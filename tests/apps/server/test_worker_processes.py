"""Several workers share the jobs of a store; one that is killed is replaced, and nothing is lost."""

import functools
import os
import signal
import threading
import time
from pathlib import Path

from ingredients.apps.server.worker_processes import WorkerProcesses
from ingredients.core.errors import ModelFolderError
from ingredients.generation.job_store import JobStore, NewPerson
from ingredients.generation.jobs import JobSettings
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
