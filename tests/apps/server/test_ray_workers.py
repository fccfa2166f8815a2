"""Workers of a Ray cluster share the jobs of a store; one that is killed is replaced, and nothing is lost."""

import functools
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from ingredients.apps.serve_command import _load_studio
from ingredients.apps.server.settings import WorkerPlan
from ingredients.core.errors import ModelFolderError, UserInputError
from ingredients.generation.job_store import JobStore, NewPerson
from ingredients.generation.jobs import CONTACT_SHEET, ROUTING_MAP, VIDEO, JobSettings
from ingredients.generation.worker import Maker
from ingredients.media.video import read_video
from tests.apps.tiny_model import save_tiny_model

EXAMPLES = Path(__file__).parents[3] / "examples"
PEOPLE = [NewPerson(name="ana", photos=(((EXAMPLES / "ana.png").read_bytes(), ".png"),), faces=(None,))]


@pytest.mark.parametrize(
    ("text", "plan"),
    [
        ("1", WorkerPlan(number=1)),
        ("64", WorkerPlan(number=64)),
        ("ray", WorkerPlan(number=None, ray_address="ray")),
        ("ray#2", WorkerPlan(number=2, ray_address="ray")),
        ("ray://head.example:10001", WorkerPlan(number=None, ray_address="ray://head.example:10001")),
        ("ray://[::1]:10001#3", WorkerPlan(number=3, ray_address="ray://[::1]:10001")),
    ],
)
def test_workers_are_a_number_or_a_cluster(text: str, plan: WorkerPlan) -> None:
    assert WorkerPlan.parse(text) == plan


@pytest.mark.parametrize(
    "text", ["", "0", "65", "-1", "two", "ray://", "ray://head", "ray#", "ray#0", "http://a:1", "2#2"]
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(UserInputError, match=r"give a number from 1 to 64, ray or ray://HOST:PORT"):
        WorkerPlan.parse(text)


def load_nothing() -> Maker:
    raise ModelFolderError("The model is damaged.")


@pytest.mark.slow
def test_two_actors_do_all_jobs_although_one_is_killed(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="Ray is not installed")
    from ingredients.apps.server.ray_workers import RayWorkers

    save_tiny_model(tmp_path / "tiny")
    store = JobStore(tmp_path / "store")
    settings = JobSettings(prompt="A person waves.", people=(), seed=4, sampling={"num_inference_steps": 40})
    ids = [store.add(settings, PEOPLE).id for _ in range(4)]
    load = functools.partial(_load_studio, tmp_path / "tiny")
    workers = RayWorkers(store, load, address="ray", number=2, on_failure=lambda: None)
    workers.start()
    given_up = time.monotonic() + 300
    while not any((job.step or 0) > 2 for job in store.page(states=("in_progress",)).jobs):
        assert time.monotonic() < given_up
        assert workers.failure is None
        time.sleep(0.02)
    killed = workers.process_ids[0]
    os.kill(killed, signal.SIGKILL)
    while store.count_by_state()["completed"] < len(ids):
        assert time.monotonic() < given_up, store.count_by_state()
        assert workers.failure is None
        time.sleep(0.05)
    assert killed not in workers.process_ids
    assert store.counters()["completed"] == len(ids)
    for job_id in ids:
        folder = store.folder_of(job_id)
        assert {VIDEO, CONTACT_SHEET, ROUTING_MAP} <= {path.name for path in folder.iterdir()}
        assert read_video(folder / VIDEO).frames.shape == (9, 32, 48, 3)
    last = store.add(
        JobSettings(prompt="A person waves.", people=(), seed=5, sampling={"num_inference_steps": 900}), PEOPLE
    )
    while (store.get(last.id) or last).step < 2:
        assert time.monotonic() < given_up
        time.sleep(0.05)
    store.cancel(last.id)
    following = store.add(settings, PEOPLE)
    while store.count_by_state()["completed"] < len(ids) + 1:
        assert time.monotonic() < given_up, store.get(following.id)
        time.sleep(0.05)
    workers.stop()
    assert workers.join(60)
    told = threading.Event()
    damaged = RayWorkers(store, load_nothing, address="ray", number=1, on_failure=told.set)
    damaged.start()
    assert told.wait(120)
    assert "cannot be loaded" in str(damaged.failure)
    damaged.stop()
    damaged.join(60)
