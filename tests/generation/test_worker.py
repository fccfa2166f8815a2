"""A worker does the jobs of a store, whatever becomes of each."""

import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ingredients.core.errors import ModelFolderError, NoFaceError
from ingredients.faces.identity_photos import IdentityPhotos
from ingredients.generation.job_store import JobStore, NewPerson, StoreFullError
from ingredients.generation.jobs import CONTACT_SHEET, LATENTS, PREVIEW, ROUTING, ROUTING_MAP, VIDEO, Job, JobSettings
from ingredients.generation.worker import Maker, Worker
from ingredients.media.provenance import read_provenance
from ingredients.media.video import read_video
from tests.generation.hand_maker import HandMaker

EXAMPLES = Path(__file__).parents[2] / "examples"
PEOPLE = [
    NewPerson(name=name, photos=(((EXAMPLES / f"{name}.png").read_bytes(), ".png"),), faces=(face,))
    for name, face in (("ana", None), ("ben", "2"))
]
SETTINGS = JobSettings(prompt="Two people wave.", people=(), seed=4, fps=4.0, scale=2)


@pytest.fixture
def store(tmp_path: Path) -> JobStore:
    return JobStore(tmp_path)


@pytest.fixture
def maker() -> HandMaker:
    return HandMaker()


@pytest.fixture
def worker(store: JobStore, maker: HandMaker) -> Iterator[Worker]:
    worker = Worker(store, lambda: maker, name="worker")
    yield worker
    worker.stop()
    assert worker.join(20)


def ended(store: JobStore, job: Job) -> Job:
    for _ in range(2000):
        found = store.get(job.id)
        assert found is not None
        if found.has_ended:
            return found
        time.sleep(0.01)
    raise AssertionError("it never ends")


def wait_for_step(store: JobStore, job: Job) -> None:
    for _ in range(2000):
        found = store.get(job.id)
        if found is not None and found.step:
            return
        time.sleep(0.01)
    raise AssertionError("it never begins")


def test_a_job_becomes_a_video_and_its_pictures(store: JobStore, worker: Worker, maker: HandMaker) -> None:
    job = store.add(SETTINGS, PEOPLE)
    worker.start()
    done = ended(store, job)
    assert done.outcome is not None
    assert (done.state, done.outcome.files) == (
        "completed",
        (VIDEO, CONTACT_SHEET, ROUTING_MAP, "best-0.png", "best-1.png", ROUTING, LATENTS),
    )
    assert (done.outcome.num_frames, done.outcome.height, done.outcome.width) == (9, 64, 96)
    assert [(person.name, person.similarity) for person in done.outcome.people] == [("ana", 0.9124), ("ben", 0.9124)]
    assert done.outcome.notices == ("A word is not known.",)
    folder = store.folder_of(job.id)
    video = read_video(folder / VIDEO)
    assert (video.frames.shape, video.fps) == ((9, 64, 96, 3), 4.0)
    assert read_provenance(folder / VIDEO).seed == 4
    assert not (folder / PREVIEW).exists()
    (request,) = maker.made
    assert request.with_routing_maps
    people = list(request.people)
    assert all(isinstance(person, IdentityPhotos) for person in people)
    assert [(person.name, person.faces, person.labels) for person in people] == [  # type: ignore[union-attr]
        ("ana", [None], ["photo 1 of ana"]),
        ("ben", [2], ["photo 1 of ben"]),
    ]
    assert store.facts() == maker.facts


def test_of_several_takes_the_kept_one_becomes_the_video_also_of_a_job_that_is_begun_again(
    store: JobStore, maker: HandMaker
) -> None:
    path = {"0": "right", "8": [0.0, 0.1, 0.4, 1.0], "strength": 2.5}
    settings = dataclasses.replace(SETTINGS, takes=3, places={"ana": path})
    job = store.add(settings, PEOPLE)
    stopping, waiting = Worker(store, lambda: waiting, name="stopping"), HandMaker(waits=True)
    stopping.start()
    wait_for_step(store, job)
    begun = store.get(job.id)
    assert begun is not None
    assert (begun.step, begun.num_steps, begun.progress) == (1, 9, 11)
    stopping.stop()
    assert stopping.join(20)
    worker = Worker(store, lambda: maker, name="worker")
    worker.start()
    done = ended(store, job)
    assert done.outcome is not None
    assert (done.step, done.num_steps, done.outcome.seconds_taken) == (9, 9, 0.75)
    takes = done.outcome.takes
    assert takes is not None
    assert (takes.kept, takes.reason[:16]) == (2, "Take 2 is kept: ")
    assert [(take.number, take.seed, take.likeness) for take in takes.all] == [
        (1, 4, (0.8, 0.8)), (2, 5, (0.9, 0.9)), (3, 6, (0.8, 0.8)),
    ]  # fmt: skip
    folder = store.folder_of(job.id)
    videos = [read_provenance(folder / name).seed for name in ("take-1.mp4", VIDEO, "take-3.mp4")]
    assert videos == [4, 5, 6]
    assert {"take-1.mp4", "take-3.mp4"} < set(done.outcome.files)
    assert [(request.seed, request.places) for request in maker.made] == [(seed, {"ana": path}) for seed in (4, 5, 6)]
    worker.stop()
    assert worker.join(20)


def test_a_cancel_takes_effect_at_the_next_step_and_the_next_job_begins(store: JobStore) -> None:
    maker = HandMaker(waits=True)
    worker = Worker(store, lambda: maker, name="worker")
    worker.start()
    first, second = store.add(SETTINGS, PEOPLE), store.add(SETTINGS, PEOPLE)
    wait_for_step(store, first)
    assert (store.folder_of(first.id) / PREVIEW).is_file()
    store.cancel(first.id)
    wait_for_step(store, second)
    maker.go_on.set()
    assert ended(store, second).state == "completed"
    assert ended(store, first).state == "cancelled"
    assert not (store.folder_of(first.id) / VIDEO).exists()
    worker.stop()
    assert worker.join(20)


def test_a_job_that_is_removed_while_it_is_made_leaves_nothing(store: JobStore) -> None:
    maker = HandMaker(waits=True)
    worker = Worker(store, lambda: maker, name="worker")
    worker.start()
    job, next_ = store.add(SETTINGS, PEOPLE), store.add(SETTINGS, PEOPLE)
    wait_for_step(store, job)
    store.remove(job.id)
    maker.go_on.set()
    assert ended(store, next_).state == "completed"
    assert [folder.name for folder in (store.folder / "jobs").iterdir()] == [next_.id]
    worker.stop()
    assert worker.join(20)


def test_a_worker_that_stops_gives_its_job_back_and_another_one_does_it(store: JobStore, maker: HandMaker) -> None:
    stopping = Worker(store, lambda: HandMaker(waits=True), name="stopping")
    stopping.start()
    job = store.add(SETTINGS, PEOPLE)
    wait_for_step(store, job)
    stopping.stop()
    assert stopping.join(20)
    given_back = store.get(job.id)
    assert given_back is not None
    assert (given_back.state, given_back.step) == ("queued", 0)
    other = Worker(store, lambda: maker, name="other")
    other.start()
    assert ended(store, job).state == "completed"
    assert [request.seed for request in maker.made] == [4]
    other.stop()
    assert other.join(20)


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (NoFaceError("No face was found in photo 1 of ana; take another."), "no_face", "No face was found in photo 1"),
        (ModelFolderError("The folder {folder}/x is damaged."), "server_error", "its operator finds it in the log"),
        (NoFaceError("It lies in {folder}/x."), "no_face", "It lies in .../x."),
        (RuntimeError("CUDA error at {folder}"), "server_error", "its operator finds it in the log"),
    ],
)
def test_what_goes_wrong_with_a_job_is_said_in_it_without_folders(
    store: JobStore, worker: Worker, maker: HandMaker, error: Exception, code: str, sentence: str
) -> None:
    maker.error = type(error)(str(error).replace("{folder}", str(store.folder)))
    failing, good = store.add(SETTINGS, PEOPLE), store.add(SETTINGS, PEOPLE)
    worker.start()
    failed = ended(store, failing)
    assert failed.error is not None
    assert (failed.state, failed.error.code) == ("failed", code)
    assert sentence in failed.error.message
    assert str(store.folder) not in failed.error.message
    maker.error = None
    again = store.add(SETTINGS, PEOPLE)
    assert ended(store, again).state == "completed"
    assert ended(store, good).has_ended


def test_a_disk_that_is_full_for_a_while_is_waited_for(
    store: JobStore, maker: HandMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    note_step, refused = store.note_step, list[str]()

    def full_at_first(job_id: str, worker: str, **step: Any) -> None:
        if len(refused) < 2:
            refused.append(job_id)
            raise StoreFullError("The server's disk is full.")
        note_step(job_id, worker, **step)

    monkeypatch.setattr(store, "note_step", full_at_first)
    job, next_ = store.add(SETTINGS, PEOPLE), store.add(SETTINGS, PEOPLE)
    worker = Worker(store, lambda: maker, name="worker", seconds_until_room=0.05)
    worker.start()
    assert [ended(store, each).state for each in (job, next_)] == ["completed", "completed"]
    assert refused == [job.id, job.id]
    worker.stop()
    assert worker.join(20)


def test_a_model_that_cannot_be_loaded_ends_the_worker_with_the_reason(store: JobStore) -> None:
    def load() -> Maker:
        raise ModelFolderError("The model is damaged.")

    told: list[bool] = []
    worker = Worker(store, load, name="worker", on_failure=lambda: told.append(True))
    job = store.add(SETTINGS, PEOPLE)
    worker.start()
    assert worker.join(20)
    assert isinstance(worker.failure, ModelFolderError)
    assert told == [True]
    waiting = store.get(job.id)
    assert waiting is not None
    assert waiting.state == "queued"
