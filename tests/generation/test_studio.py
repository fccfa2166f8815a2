"""One warm model that makes many videos: the same every time, cancelled or not, whoever asks at once."""

import dataclasses
import itertools
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from ingredients.core.errors import ArgumentError, PromptError, SpeedOptionError, UserInputError
from ingredients.generation import Studio, StudioRequest
from ingredients.generation.job_store import JobStore, NewPerson
from ingredients.generation.jobs import (
    CONTACT_SHEET,
    LATENTS,
    ROUTING,
    ROUTING_MAP,
    VIDEO,
    JobSettings,
    best_face_file,
)
from ingredients.generation.progress import CancelledError, StepDone
from ingredients.generation.result_files import write_result
from ingredients.generation.studio import StudioResult
from ingredients.generation.takes import StopUndecided, Take
from ingredients.generation.worker import Worker
from ingredients.media.pictures import write_picture
from ingredients.media.video import read_video, write_video
from ingredients.pipelines.execution.speed_options import SpeedOptions, VideoOptions
from ingredients.pipelines.people import identity_photos
from ingredients.world import render_portrait, sample_identity
from tests.apps.tiny_model import save_tiny_model
from tests.pipelines.test_names import tokenizer_of
from tests.ways import come_to, named_in_order

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Studio:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    save_tiny_model(folder)
    return Studio.load(folder)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("photos")
    files = {name: folder / f"{name}.png" for name in ("ana", "ben")}
    for index, file in enumerate(files.values()):
        write_picture(file, render_portrait(sample_identity(index, "eval"), index, size=64).image)
    return files


@pytest.fixture
def request_(photos: dict[str, Path]) -> StudioRequest:
    return StudioRequest(
        people=photos, prompt="Two people wave on a beach.", seed=3, sampling={"num_inference_steps": 3}
    )


def test_a_request_makes_the_same_video_whether_photos_are_read_before_or_on_the_way(
    studio: Studio, request_: StudioRequest, photos: dict[str, Path]
) -> None:
    first = studio.make(dataclasses.replace(request_, with_routing_maps=True))
    assert first.frames.shape == (9, 32, 48, 3)
    assert [person.name for person in first.people] == ["ana", "ben"]
    assert (first.judge, first.provenance.seed, first.provenance.people) == ("model", 3, ("ana", "ben"))
    assert first.routing_sheet() is not None
    assert first.contact_sheet().ndim == 3
    again = studio.make(dataclasses.replace(request_, people=studio.read_people(photos)))
    assert np.array_equal(again.frames, first.frames)
    assert again.people == first.people
    assert again.routing_sheet() is None


def test_a_photo_comes_to_the_files_that_the_page_names_in_its_order(studio: Studio, request_: StudioRequest) -> None:
    stations = named_in_order("pipeline.md", "A photo passes ten files")
    assert len(stations) == 10
    with come_to() as files:
        studio.make(dataclasses.replace(request_, sampling={"num_inference_steps": 1}))
    assert [name for name in files if name in stations[3:]] == stations[3:]  # a command has opened the photo before


def test_each_step_is_told_with_the_time_left(studio: Studio, request_: StudioRequest) -> None:
    told: list[StepDone] = []
    studio.make(request_, on_step=told.append)
    assert [(done.step, done.total) for done in told] == [(1, 3), (2, 3), (3, 3)]
    assert [done.seconds_left > 0 for done in told] == [True, True, False]


def test_previews_show_each_step_and_change_nothing(studio: Studio, request_: StudioRequest) -> None:
    request = dataclasses.replace(request_, with_routing_maps=True)
    told: list[StepDone] = []
    result = studio.make(request, on_step=told.append, with_previews=True)
    assert np.array_equal(result.frames, studio.make(request).frames)
    assert result.routing_maps is not None
    for done, maps in zip(told, result.routing_maps, strict=True):
        assert done.preview is not None
        assert done.preview.frames.shape == (3, 8, 12, 3)
        assert done.preview.frames.dtype == np.uint8
        assert done.preview.routing_map is not None
        assert done.preview.routing_map.shape == maps.shape[1:]
        assert set(np.unique(done.preview.routing_map)) <= {0, 1}
    assert not np.array_equal(told[0].preview.frames, told[2].preview.frames)  # type: ignore[union-attr]


def test_a_worker_makes_the_same_video_as_the_studio_that_it_owns(
    studio: Studio, request_: StudioRequest, photos: dict[str, Path], tmp_path: Path
) -> None:
    store = JobStore(tmp_path)
    people = [
        NewPerson(name=name, photos=((file.read_bytes(), ".png"),), faces=(None,)) for name, file in photos.items()
    ]
    settings = JobSettings(prompt=request_.prompt, people=(), seed=request_.seed, sampling=request_.sampling)
    good, bad = store.add(settings, people), store.add(dataclasses.replace(settings, height=33), people)
    worker = Worker(store, lambda: studio, name="worker")
    worker.start()
    while not all(job.has_ended for job in store.page().jobs):
        time.sleep(0.05)
    worker.stop()
    assert worker.join(60)
    done, refused = store.get(good.id), store.get(bad.id)
    assert done is not None
    assert done.outcome is not None
    expected = tmp_path / "expected.mp4"
    result = studio.make(request_)
    write_result(result, video=expected)
    assert np.array_equal(read_video(store.folder_of(good.id) / VIDEO).frames, read_video(expected).frames)
    assert [(person.name, person.verdict) for person in done.outcome.people] == [
        (person.name, person.verdict) for person in result.people
    ]
    best_faces = {best_face_file(number) for number, person in enumerate(result.people) if person.found}
    assert set(done.outcome.files) == {VIDEO, CONTACT_SHEET, ROUTING_MAP, ROUTING, LATENTS, *best_faces}
    assert refused is not None
    assert refused.error is not None
    assert (refused.error.code, "multiple of" in refused.error.message) == ("shape", True)
    assert store.facts() == studio.facts


def test_a_cancelled_video_ends_at_the_next_step_and_leaves_the_model_ready(
    studio: Studio, request_: StudioRequest
) -> None:
    expected = studio.make(request_).frames
    cancelled, told = threading.Event(), list[StepDone]()

    def cancel_after_two(done: StepDone) -> None:
        told.append(done)
        if done.step == 2:
            cancelled.set()

    with pytest.raises(CancelledError, match="after step 2 of 3"):
        studio.make(request_, on_step=cancel_after_two, is_cancelled=cancelled.is_set)
    assert len(told) == 2
    assert np.array_equal(studio.make(request_).frames, expected)


def test_a_file_is_judged_frame_by_frame_and_cancelled_at_the_next(
    studio: Studio, photos: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = itertools.count()
    monkeypatch.setattr("ingredients.generation.studio.time", SimpleNamespace(monotonic=lambda: next(seconds)))
    frames = np.stack([render_portrait(sample_identity(0, "eval"), 0, size=64).image] * 9)
    write_video(tmp_path / "a.mp4", frames, fps=8)
    steps: list[StepDone] = []
    judged = studio.judge_file(tmp_path / "a.mp4", identity_photos(photos), title="a", on_step=steps.append)
    assert [person["name"] for person in judged.values["people"]] == ["ana", "ben"]
    assert [step.step for step in steps] == [*range(2, 10), 9]
    assert all(step.total == 9 and step.seconds_left == 9 - step.step for step in steps)  # a frame takes a second
    told = len(steps)
    with pytest.raises(CancelledError, match="frame 5 of 9"):
        studio.judge_file(
            tmp_path / "a.mp4",
            identity_photos(photos),
            title="a",
            on_step=steps.append,
            is_cancelled=lambda: len(steps) == told + 3,
        )


def test_threads_are_served_one_by_one(studio: Studio, request_: StudioRequest) -> None:
    requests = [dataclasses.replace(request_, seed=seed) for seed in (3, 4, 5)]
    expected = [studio.make(each).frames for each in requests]
    at_work, most_at_work = 0, 0

    def count(done: StepDone) -> None:
        nonlocal at_work, most_at_work
        at_work += done.step == 1
        most_at_work = max(most_at_work, at_work)
        at_work -= done.step == done.total

    with ThreadPoolExecutor(3) as threads:
        results = list(threads.map(lambda each: studio.make(each, on_step=count).frames, requests))
    assert all(np.array_equal(frames, right) for frames, right in zip(results, expected, strict=True))
    assert most_at_work == 1


def test_doubts_are_told_once_and_kept(studio: Studio, request_: StudioRequest) -> None:
    told: list[str] = []
    result = studio.make(
        dataclasses.replace(request_, prompt="A zebra waves.", height=32, width=64), notice=told.append
    )
    assert told == list(result.notices)
    assert len(set(told)) == len(told)
    assert any("zebra" in each for each in told)
    assert any("64x32" in each for each in told)


@pytest.mark.parametrize(
    ("changed", "kind", "sentence"),
    [
        ({"prompt": " "}, PromptError, "prompt is empty"),
        ({"face_scale": float("nan")}, ArgumentError, "face_scale must be a number"),
        ({"sampling": {"guidance_scale": float("inf")}}, ArgumentError, "guidance_scale is inf"),
    ],
)
def test_what_cannot_be_is_said_in_the_words_of_the_request(
    studio: Studio, request_: StudioRequest, changed: dict[str, Any], kind: type[Exception], sentence: str
) -> None:
    with pytest.raises(kind, match=sentence) as raised:
        studio.make(dataclasses.replace(request_, **changed))
    assert "--" not in str(raised.value)


def test_the_example_of_the_documentation_runs(
    studio: Studio, photos: dict[str, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As it stands, with a tiny model in the place of the shipped one."""
    (example,) = re.findall(r"```python\n(.*?)```", (DOCS / "making_videos.md").read_text(), flags=re.DOTALL)
    monkeypatch.setattr(Studio, "load", classmethod(lambda _: studio))
    monkeypatch.chdir(tmp_path)
    for name, file in photos.items():
        (tmp_path / f"{name}.png").write_bytes(file.read_bytes())
    exec(example, {})
    assert (tmp_path / "beach-1.mp4").is_file()
    assert (tmp_path / "beach-2.mp4").is_file()


def test_takes_have_seeds_in_a_row_and_one_is_kept(studio: Studio, request_: StudioRequest) -> None:
    told: list[Take[StudioResult]] = []
    steps: list[StepDone] = []
    takes = studio.make_takes(dataclasses.replace(request_, takes=2), on_take=told.append, on_step=steps.append)
    assert [take.seed for take in told] == [3, 4]
    assert tuple(told) == takes.all
    assert takes.kept is max(told, key=lambda take: take.least_alike)
    assert [(done.step, done.total) for done in steps] == [(step, 6) for step in range(1, 7)]
    alone = studio.make(dataclasses.replace(request_, seed=4))
    assert told[1].result is not None
    assert np.array_equal(told[1].result.frames, alone.frames)
    assert len(takes.kept.likeness) == 2


def test_one_person_is_made_anew_and_the_rest_of_the_picture_stays(studio: Studio, request_: StudioRequest) -> None:
    first = studio.make(dataclasses.replace(request_, with_routing_maps=True))
    grid = studio.token_grid(request_)
    routing = np.broadcast_to(np.arange(grid[2]) * 2 // grid[2], grid).astype(np.int64).copy()
    anew = dataclasses.replace(request_, seed=8, routing=routing, redrawn=("ben",), kept_latents=first.latents)
    second = studio.make(anew)
    assert first.latents is not None
    assert second.latents is not None
    patch = first.latents.shape[3] // grid[2]
    ben = np.repeat(routing[0, 0] == 1, patch)
    assert np.array_equal(first.latents[..., ~ben], second.latents[..., ~ben])
    assert np.abs(first.latents[..., ben] - second.latents[..., ben]).mean() > 0.1
    other = studio.make(dataclasses.replace(anew, seed=9))
    assert not np.array_equal(other.frames, second.frames)
    for wrong in (
        {"redrawn": ("eve",)},
        {"redrawn": ()},
        {"routing": None},
        {"kept_latents": first.latents[:, :, 1:]},
    ):
        with pytest.raises(UserInputError):
            studio.make(dataclasses.replace(anew, **wrong))  # type: ignore[arg-type]


def test_what_stays_is_put_back_under_noise_that_frames_share_as_the_model_knows_it(
    studio: Studio, request_: StudioRequest
) -> None:
    grid, (frames, rows, columns) = studio.token_grid(request_), (3, 8, 12)
    channels = studio.pipeline.vae.config.latent_channels
    latents = torch.zeros(1, frames, channels, rows, columns)
    request = dataclasses.replace(
        request_,
        routing=np.zeros(grid, np.int64),
        redrawn=("ben",),
        kept_latents=latents[0].numpy(),
    )
    people = studio.read_people(request.people)
    studio.pipeline.scheduler.set_timesteps(3)
    noise = studio._keeper(request, people)(0, latents)
    assert not torch.equal(noise[:, 0], noise[:, 1])
    studio.pipeline.transformer.register_to_config(noise_sharing=1.0)
    try:
        noise = studio._keeper(request, people)(0, latents)
    finally:
        studio.pipeline.transformer.register_to_config(noise_sharing=0.0)
    assert noise.std() > 0.1
    assert torch.equal(noise, noise[:, :1].expand_as(noise))


def test_notes_before_a_video_are_those_that_come_with_it(studio: Studio, request_: StudioRequest) -> None:
    asked = dataclasses.replace(request_, prompt="Ana yodels.")
    assert list(asked.people) == ["ana", "ben"]
    notes = studio.notes_on_prompt(asked.prompt, list(asked.people))
    assert notes
    assert set(notes) <= {str(notice) for notice in studio.make(asked).notices}
    (refused,) = studio.notes_on_prompt("@eve yodels.", list(asked.people))
    assert refused.startswith("The prompt speaks of @eve, and no photo has that name")


@pytest.mark.parametrize(("share", "is_mirrored"), [(None, False), (0.5, True), (0.0, False), (0.0, True)])
def test_notes_follow_layout_and_places_of_the_video(
    studio: Studio,
    request_: StudioRequest,
    monkeypatch: pytest.MonkeyPatch,
    share: float | None,
    is_mirrored: bool,
) -> None:
    monkeypatch.setattr(studio.pipeline, "tokenizer", tokenizer_of("the The person on left right nods waves and"))
    sampling = request_.sampling if share is None else {**request_.sampling, "layout_share": share}
    places = {"ana": "right", "ben": "left"} if is_mirrored else {}
    asked = dataclasses.replace(request_, prompt="Ana nods and Ben waves.", sampling=sampling, places=places)
    notes = studio.notes_on_prompt(
        asked.prompt, ["ana", "ben"], sampling=sampling, order=[1, 0] if is_mirrored else None
    )
    (told,) = [note for note in notes if "whose name is whose" in note]
    assert told in [str(notice) for notice in studio.make(asked).notices]
    assert f'"the person on the {"right" if is_mirrored else "left"}" for ana' in told
    assert told.endswith("nothing puts them there, for there is no layout." if share == 0 else "puts them there.")


def test_a_single_video_has_options_of_its_own(
    studio: Studio, request_: StudioRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step cache changes the video it is asked for with, and no other; the rest changes none but by rounding."""
    assert {"first-block", "pab", "taylor"} <= set(studio.facts.step_caches)
    assert {"beach", "wave"} <= set(studio.facts.words)
    assert not {"ana", "yodel"} & set(studio.facts.words)
    assert "mag" not in studio.facts.step_caches  # the tiny model's folder holds no magnitudes
    with studio.pipeline.running_with(VideoOptions(split_guidance=True)):
        assert studio.facts.speed == SpeedOptions(split_guidance=True)
    asked = dataclasses.replace(request_, sampling={"num_inference_steps": 6})
    exact = studio.make(asked).frames.astype(int)
    cached = studio.make(dataclasses.replace(asked, options=VideoOptions(step_cache="pab")))
    assert np.abs(cached.frames - exact).max() > 0
    in_tiles: list[bool] = []
    vae = studio.pipeline.vae
    decode = vae.decode
    monkeypatch.setattr(
        vae, "decode", lambda *args, **kwargs: (in_tiles.append(vae.use_tiling), decode(*args, **kwargs))[1]
    )
    frugal = VideoOptions(split_guidance=True, decode_in_tiles=True, step_cache="none")
    assert np.abs(studio.make(dataclasses.replace(asked, options=frugal)).frames - exact).max() <= 1
    assert np.array_equal(studio.make(asked).frames, exact)
    assert (in_tiles[0], in_tiles[-1]) == (True, False)
    assert not studio.pipeline.execution.splits_guidance
    assert not studio.pipeline.vae.use_tiling
    with pytest.raises(SpeedOptionError, match="magnitudes"):
        studio.make(dataclasses.replace(asked, options=VideoOptions(step_cache="mag")))
    with pytest.raises(SpeedOptionError, match="no batch"):
        studio.make(dataclasses.replace(asked, options=VideoOptions(step_cache="faster", split_guidance=True)))


def test_undecided_takes_are_stopped_but_for_the_last(studio: Studio, request_: StudioRequest) -> None:
    steps: list[StepDone] = []
    takes = studio.make_takes(
        dataclasses.replace(request_, takes=3), on_step=steps.append, stop=StopUndecided(below=1.01, after=0.5)
    )
    assert [take.stopped_after for take in takes.all] == [2, 2, None]
    assert len(steps) == 7
    assert all(take.decidedness is not None and take.decidedness <= 1 for take in takes.all[:2])
    finished = studio.make_takes(dataclasses.replace(request_, takes=1), stop=StopUndecided(below=0.01, after=0.5))
    assert finished.kept.decidedness is None  # the last hope is not looked at
    looked_at = studio.make(request_, stop=StopUndecided(below=0.01, after=0.5))
    assert looked_at.decidedness == takes.all[0].decidedness
    assert takes.kept.number == 3
    assert "only one that was finished" in takes.reason


def test_a_clarity_of_actions_is_asked_of_the_faces_that_were_found(studio: Studio, request_: StudioRequest) -> None:
    asked: list[tuple[int, list[tuple[int, ...]]]] = []

    def clarity(frames: Any, boxes: Any) -> list[float]:
        asked.append((len(frames), [each.shape for each in boxes]))
        return [0.5] * len(boxes)

    takes = studio.make_takes(dataclasses.replace(request_, takes=1), clarity=clarity)
    ((num_frames, shapes),) = asked
    assert num_frames == 9
    assert shapes == [(9, 4)] * len(shapes)
    assert takes.kept.clarity == len(shapes) * 0.5 / 2


def test_places_and_names_are_checked_before_anything_is_loaded(request_: StudioRequest) -> None:
    with pytest.raises(PromptError, match="@cleo"):
        dataclasses.replace(request_, prompt="@cleo waves").check()
    with pytest.raises(ArgumentError, match="cleo has a place and no photo"):
        dataclasses.replace(request_, places={"cleo": "left"}).check()
    with pytest.raises(UserInputError, match="both say who is where"):
        dataclasses.replace(request_, places={"ana": "left"}, routing=np.zeros((3, 4, 6), np.int64)).check()
