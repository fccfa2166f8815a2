"""Jobs outlive the process: none is lost, none done twice, and their order is kept."""

import dataclasses
import itertools
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ingredients.core.errors import UserInputError
from ingredients.generation.job_store import (
    DATABASE_NAME,
    MOST_ATTEMPTS,
    JobStore,
    NewPerson,
    QueueFullError,
    StoreFullError,
    StoreLimits,
)
from ingredients.generation.jobs import Job, JobError, JobOutcome, JobSettings
from ingredients.pipelines.execution.speed_options import SpeedOptions
from tests.generation.hand_maker import FACTS

SETTINGS = JobSettings(prompt="Two people wave.", people=(), seed=5, sampling={"num_inference_steps": 3})
PEOPLE = [
    NewPerson(name="ana", photos=((b"first", ".png"), (b"second", ".jpg")), faces=(None, "left")),
    NewPerson(name="../ben", photos=((b"third", ".png"),), faces=("2",)),
]
OUTCOME = JobOutcome(
    num_frames=9, height=32, width=48, seconds_taken=2.5, judge="model", people=(), files=("video.mp4",)
)


@pytest.fixture
def store(tmp_path: Path) -> JobStore:
    return JobStore(tmp_path / "store")


def add(store: JobStore, **changes: object) -> Job:
    return store.add(SETTINGS, PEOPLE, **changes)  # type: ignore[arg-type]


def reopened(store: JobStore, limits: StoreLimits | None = None) -> JobStore:
    store.close()
    return JobStore(store.folder, limits)


def test_a_job_comes_back_as_it_was_given_after_a_restart(store: JobStore) -> None:
    given = add(store, owner="ana")
    job = reopened(store).get(given.id)
    assert job is not None
    assert (job.state, job.owner, job.place) == ("queued", "ana", 1)
    assert dataclasses.replace(job.settings, people=()) == SETTINGS
    assert [(person.name, [photo.face for photo in person.photos]) for person in job.settings.people] == [
        ("ana", [None, "left"]),
        ("../ben", ["2"]),
    ]
    folder = store.folder_of(job.id)
    stored = {
        photo.file: (folder / photo.file).read_bytes() for person in job.settings.people for photo in person.photos
    }
    assert stored == {"0.png": b"first", "1.jpg": b"second", "2.png": b"third"}


def test_jobs_are_claimed_in_their_order_each_once(store: JobStore) -> None:
    ids = [add(store).id for _ in range(30)]
    claimed: list[str] = []
    lock = threading.Lock()

    def work(name: str) -> list[str]:
        mine = []
        while True:
            with lock:  # so that the order in which claims are made is known
                job = store.claim(name)
                if job is None:
                    return mine
                claimed.append(job.id)
            mine.append(job.id)
            assert store.complete(job.id, name, OUTCOME)

    with ThreadPoolExecutor(4) as threads:
        parts = list(threads.map(work, ["a", "b", "c", "d"]))
    assert claimed == ids
    assert sorted(itertools.chain(*parts)) == sorted(ids)
    assert store.count_by_state()["completed"] == 30
    assert store.counters()["completed"] == 30


def test_two_processes_never_claim_the_same_job(store: JobStore) -> None:
    other = JobStore(store.folder)
    ids = {add(store).id for _ in range(40)}
    with ThreadPoolExecutor(2) as threads:
        claims = [threads.submit(each.claim, name) for _ in range(20) for each, name in ((store, "a"), (other, "b"))]
    taken = [claim.result().id for claim in claims]
    assert len(taken) == len(set(taken)) == 40
    assert set(taken) == ids


def test_a_job_whose_worker_is_gone_is_begun_again_in_its_place_and_with_its_seed(store: JobStore) -> None:
    first, second = add(store), add(store)
    claimed = store.claim("dead")
    assert claimed is not None
    store.note_step(first.id, "dead", step=2, num_steps=3, seconds_left=1.0)
    store = reopened(store)
    assert store.recover() == 1
    again = store.get(first.id)
    assert again is not None
    assert (again.state, again.step, again.place, again.settings.seed) == ("queued", 0, 1, 5)
    taken = [store.claim("alive"), store.claim("alive")]
    assert [job and job.id for job in taken] == [first.id, second.id]


def test_only_who_holds_the_claim_says_what_became_of_a_job(store: JobStore) -> None:
    job = add(store)
    store.claim("dead")
    store.recover(["somebody else"])
    assert store.holds(job.id, "dead")
    store.recover(["dead"])
    assert not store.holds(job.id, "dead")
    assert not store.complete(job.id, "dead", OUTCOME)
    store.claim("alive")
    assert not store.fail(job.id, "dead", JobError(code="photo", message="No."))
    assert store.complete(job.id, "alive", OUTCOME)
    done = store.get(job.id)
    assert done is not None
    assert (done.state, done.progress, done.outcome, done.error) == ("completed", 100, OUTCOME, None)


def test_a_job_that_ends_the_process_each_time_is_given_up(store: JobStore) -> None:
    job, other = add(store), add(store)
    for _ in range(MOST_ATTEMPTS):
        claimed = store.claim("dying")
        assert claimed is not None
        assert claimed.id == job.id
        store.recover()
    failed = store.get(job.id)
    assert failed is not None
    assert failed.error is not None
    assert (failed.state, failed.error.code) == ("failed", "gave_up")
    claimed = store.claim("alive")
    assert claimed is not None
    assert claimed.id == other.id


def test_a_worker_that_has_to_stop_gives_its_job_back_as_often_as_it_likes(store: JobStore) -> None:
    job = add(store)
    for _ in range(MOST_ATTEMPTS + 2):
        store.claim("stopping")
        store.give_back(job.id, "stopping")
    store.claim("dying")
    store.recover()
    again = store.get(job.id)
    assert again is not None
    assert again.state == "queued"


def test_cancelling_ends_a_job_at_once_and_its_worker_cannot_complete_it(store: JobStore) -> None:
    running, queued = add(store, owner="ana"), add(store, owner="ana")
    store.claim("worker")
    assert store.cancel(running.id, owner="ben") is None
    for job in (running, queued):
        cancelled = store.cancel(job.id, owner="ana")
        assert cancelled is not None
        assert cancelled.state == "cancelled"
        assert cancelled.expires_at is not None
    assert not store.holds(running.id, "worker")
    assert not store.complete(running.id, "worker", OUTCOME)
    assert store.claim("worker") is None
    assert store.counters()["cancelled"] == 2


def test_removing_takes_row_and_files(store: JobStore) -> None:
    job = add(store, owner="ana")
    assert not store.remove(job.id, owner="ben")
    assert store.folder_of(job.id).is_dir()
    assert store.remove(job.id, owner="ana")
    assert store.get(job.id) is None
    assert not store.folder_of(job.id).exists()


def test_an_owner_sees_only_what_is_the_owners(store: JobStore) -> None:
    mine, theirs = add(store, owner="ana"), add(store, owner="ben")
    assert store.get(theirs.id, owner="ana") is None
    assert [job.id for job in store.page(owner="ana").jobs] == [mine.id]
    assert len(store.page().jobs) == 2


def test_pages_follow_each_other(store: JobStore) -> None:
    ids = [add(store).id for _ in range(5)]
    first = store.page(limit=2)
    assert ([job.id for job in first.jobs], first.has_more) == ([ids[4], ids[3]], True)
    second = store.page(limit=3, after=ids[3])
    assert ([job.id for job in second.jobs], second.has_more) == ([ids[2], ids[1], ids[0]], False)
    assert [job.id for job in store.page(limit=2, after=ids[0], newest_first=False).jobs] == ids[1:3]
    store.claim("worker")
    assert [job.id for job in store.page(states=("in_progress",)).jobs] == [ids[0]]


def test_the_same_request_sent_twice_is_taken_once_for_each_owner(store: JobStore) -> None:
    first = add(store, owner="ana", request_key="k")
    assert add(store, owner="ana", request_key="k").id == first.id
    assert add(store, owner="ben", request_key="k").id != first.id
    assert len(list((store.folder / "jobs").iterdir())) == 2


def test_limits_are_kept(tmp_path: Path) -> None:
    store = JobStore(tmp_path, StoreLimits(most_queued=3, most_queued_each=2))
    add(store, owner="ana")
    add(store, owner="ana")
    with pytest.raises(QueueFullError, match="2 videos wait already"):
        add(store, owner="ana")
    add(store, owner="ben")
    with pytest.raises(QueueFullError, match="3 videos wait already"):
        add(store, owner="cleo")
    full = reopened(store, StoreLimits(least_free_bytes=2**62))
    with pytest.raises(StoreFullError, match="disk is nearly full"):
        add(full, owner="cleo")
    assert len(list((store.folder / "jobs").iterdir())) == 3


def test_what_has_expired_goes_and_what_belongs_to_nobody(tmp_path: Path) -> None:
    store = JobStore(tmp_path, StoreLimits(keep_seconds=-1.0))
    done, waiting = add(store), add(store)
    store.claim("worker")
    store.complete(done.id, "worker", OUTCOME)
    orphan = store.folder_of("video_of_a_process_that_was_killed")
    orphan.mkdir()
    leftover = store.folder_of(waiting.id) / f".ingredients-{'0' * 32}"
    leftover.mkdir()
    with store.passing_folder() as name:
        passing = Path(name)
        assert list(passing.iterdir()) == []
    assert not passing.exists()
    (passing / "of a process that was killed").mkdir(parents=True)
    assert store.tidy() == 1
    assert orphan.exists()  # it may be just being made
    assert passing.exists()
    assert not store.folder_of(done.id).exists()
    store.tidy(at_start=True)
    assert not orphan.exists()
    assert not leftover.exists()
    assert not passing.exists()
    assert [job.id for job in store.page().jobs] == [waiting.id]


def test_the_time_of_queued_jobs_is_guessed_by_those_before(store: JobStore) -> None:
    first, running, next_, last = (add(store) for _ in range(4))
    store.claim("worker")
    time.sleep(0.05)
    store.complete(first.id, "worker", OUTCOME)
    store.claim("worker")
    store.note_step(running.id, "worker", step=1, num_steps=3, seconds_left=7.0)
    guesses = [(job.place, job.seconds_left) for job in map(store.get, (next_.id, last.id)) if job is not None]
    assert [place for place, _ in guesses] == [1, 2]
    (_, first_guess), (_, second_guess) = guesses
    assert first_guess is not None
    assert second_guess is not None
    assert 7.05 <= first_guess < second_guess


def test_facts_of_the_model_come_back(store: JobStore) -> None:
    assert store.facts() is None
    facts = dataclasses.replace(FACTS, speed=SpeedOptions(step_cache="mag", fuse_qkv=True))
    store.set_facts(facts)
    store = reopened(store)
    assert store.facts() == facts
    store.set_facts(None)
    assert store.facts() is None


@pytest.mark.parametrize("damage", ["no database", "later version"])
def test_a_database_that_is_none_of_ours_is_refused_in_a_sentence(store: JobStore, damage: str) -> None:
    store.close()
    path = store.folder / DATABASE_NAME
    if damage == "no database":
        path.write_bytes(b"Dear Ana, " * 1000)
    else:
        with sqlite3.connect(path) as database:
            database.execute("PRAGMA user_version=99")
    with pytest.raises(UserInputError, match=r"cannot be read|later version"):
        JobStore(store.folder)
