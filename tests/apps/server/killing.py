"""A server that is killed again and again while it is asked for videos, and what became of them."""

import contextlib
import dataclasses
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

from ingredients.generation.job_store import JobStore
from ingredients.generation.jobs import Job
from tests.fuzz.bad_requests import good_body

ROOT = Path(__file__).parents[3]
SECONDS_A_STEP = 0.05
_MOST_SECONDS_TO_START = 120.0
_LONGEST_LIFE = 1.5
_KILLED_WHILE_STARTING = 0.2
"""Share of the kills that do not wait until the server listens."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class KillReport:
    """What became of the videos that a server had accepted."""

    num_kills: int
    accepted: int
    missing: int
    """Those of the accepted ones that are not there."""

    states: dict[str, int]
    """How many ended how."""

    completed_twice: int
    begun_again: int
    """Videos that were begun more than once."""

    left_over: int
    """Folders that belong to no video."""


def kill_again_and_again(folder: Path, *, num_kills: int, seed: int) -> KillReport:
    """Kills a server at random moments, and lets the last one finish.

    Args:
        folder: for the store.
        num_kills: how often.
        seed: of the moments.
    """
    generator = random.Random(seed)
    accepted: list[str] = []
    for _ in range(num_kills):
        with _process(folder) as process:
            if generator.random() < _KILLED_WHILE_STARTING:
                time.sleep(generator.uniform(0, 2.0))
            else:
                _ask_until(accepted, _address(folder, process), time.monotonic() + generator.uniform(0, _LONGEST_LIFE))
    with _process(folder) as process:
        address = _address(folder, process)
        with httpx.Client(base_url=address) as client:
            while any(client.get("/v1/videos", params={"status": state}).json()["data"] for state in _OPEN):
                time.sleep(0.1)
    store = JobStore(folder / "store")
    jobs = {video_id: store.get(video_id) for video_id in accepted}
    (begun_again,) = store._database.execute("SELECT count(*) FROM jobs WHERE attempts > 1").fetchone()
    known = {job.id for job in _all_jobs(store)}
    return KillReport(
        num_kills=num_kills,
        accepted=len(accepted),
        missing=sum(job is None for job in jobs.values()),
        states=store.count_by_state(),
        completed_twice=int(store.counters()["completed"]) - store.count_by_state()["completed"],
        begun_again=begun_again,
        left_over=sum(path.name not in known for path in (folder / "store/jobs").iterdir()),
    )


_OPEN = ("queued", "in_progress")


def _all_jobs(store: JobStore) -> list[Job]:
    jobs: list[Job] = []
    after = None
    while True:
        page = store.page(after=after, limit=100)
        jobs.extend(page.jobs)
        if not page.has_more:
            return jobs
        after = page.jobs[-1].id


@contextlib.contextmanager
def _process(folder: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A server in a process of its own, which is killed when the block ends, whatever it is doing."""
    (folder / "address").unlink(missing_ok=True)
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "tests.generation.hand_maker",
            folder / "store",
            folder / "address",
            str(SECONDS_A_STEP),
        ],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])},
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _address(folder: Path, process: "subprocess.Popen[bytes]") -> str:
    given_up = time.monotonic() + _MOST_SECONDS_TO_START
    while not (folder / "address").exists():
        assert process.poll() is None, "the server ended by itself"
        assert time.monotonic() < given_up, "the server does not start"
        time.sleep(0.02)
    return (folder / "address").read_text()


def _ask_until(accepted: list[str], address: str, moment: float) -> None:
    with httpx.Client(base_url=address, timeout=max(0.05, moment - time.monotonic())) as client:
        while time.monotonic() < moment:
            with contextlib.suppress(httpx.TransportError):
                answer = client.post("/v1/videos", json=good_body())
                if answer.status_code == 200:
                    accepted.append(answer.json()["id"])
                else:
                    time.sleep(0.02)
