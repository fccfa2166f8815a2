"""From drawn films to a data set that training reads, held against what the films say."""

import collections
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from ingredients.core.config import load_config
from ingredients.curation.config import CurationConfig
from ingredients.curation.engine import curate
from ingredients.curation.people import open_faces
from ingredients.curation.sources import find_sources
from ingredients.curation.write import write_data_set
from ingredients.data.buckets import Bucket
from ingredients.data.clip_check import check_clips
from ingredients.data.clip_folder import read_clip_folder
from ingredients.data.clip_source import open_clip_source
from ingredients.data.film_folder import FILMS, read_films, write_films
from ingredients.data.folder_examples import ReadingConfig, read_example
from ingredients.data.schema import ClipRecord
from ingredients.world.film import FilmSettings
from ingredients.world.film_truth import FilmTruth
from tests.curation.test_engine import Watcher

SETTINGS = (
    "probe.min_short_side=64",
    "shots.min_seconds=1",
    "cut.num_frames=17",
    "cut.stride=1",
    "people.faces=drawn",
    "quality.max_still_share=0.95",
    "quality.max_text_share=0.5",
)


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("films") / "set"
    write_films(folder, FilmSettings(seed=5, minutes=0.4, fps=12))
    return folder


def test_clips_have_people_words_for_them_and_references_of_other_clips(films: Path, tmp_path: Path) -> None:
    config = load_config(CurationConfig, overrides=[*SETTINGS, "people.lent_references=2"])
    curated = curate(find_sources([films / FILMS]), config, tmp_path / ".curation", num_workers=0, watcher=Watcher())
    write_data_set(tmp_path, curated)
    records = read_clip_folder(tmp_path)
    report = check_clips(open_clip_source(tmp_path))
    assert report.num_usable == report.num_clips == len(records) > 0
    truths = {truth.name: truth for truth in read_films(films)}
    seen_in: dict[str, set[str]] = {}
    for source, clip in curated.clips:
        if "cut" not in clip.measured:
            continue
        cut = clip.measured["cut"]
        shown = people_at(truths[source.source.path.stem], cut["first_frame"], cut["first_frame"] + cut["num_frames"])
        if clip.rejection is None:
            [record] = [record for record in records if record.clip_id == clip.clip_id]
            assert len(record.people) == len(shown)
            for person, name in zip(record.people, shown, strict=True):
                seen_in.setdefault(name, set()).add(str(person.person_id))
                assert person.phrase is not None
                assert person.phrase in record.caption
        elif clip.rejection.step == "people":
            assert len(shown) < 2
    assert all(len(names) == 1 for names in seen_in.values())
    check_references(records)


def check_references(records: Sequence[ClipRecord]) -> None:
    """References show the person whose they are said to be, and are of other clips."""
    reading = open_faces("drawn", None)
    clips_of = collections.Counter(person.person_id for record in records for person in record.people)
    num_lent = 0
    for record in records:
        buckets = (Bucket(num_frames=17, height=record.height, width=record.width),)
        if record.num_frames < 17:
            continue
        example = read_example(record, ReadingConfig(buckets=buckets), detector=reading.detector)
        for index, (person, photos) in enumerate(zip(record.people, example.references, strict=True)):
            assert len(person.references) <= min(clips_of[person.person_id] - 1, 2)
            assert not any(path.name.startswith(record.clip_id) for path in person.references)
            frame = next(each for each, seen in enumerate(np.isfinite(example.boxes[:, index, 0])) if seen)
            own = reading.recogniser.align(example.frames[frame], example.landmarks[frame, index])
            for photo in photos:
                lent = reading.recogniser.align(photo.image, photo.landmarks)
                embeds = torch.nn.functional.normalize(reading.recogniser.embed(np.stack([own, lent])), dim=-1)
                assert float(embeds[0] @ embeds[1]) > 0.5
                num_lent += 1
    assert num_lent > 3


def people_at(film: FilmTruth, first: int, end: int) -> list[str]:
    """Who is seen in at least half of some frames of a film, from left to right."""
    shot = max(film.shots, key=lambda shot: min(shot.stop, end) - max(shot.start, first))
    found = []
    for person in shot.people:
        rows = range(max(first, shot.start) - shot.start, min(end, shot.stop) - shot.start)
        boxes = [person.boxes[row] for row in rows if person.is_visible[row]]
        if len(boxes) >= len(rows) / 2:
            found.append((sum(box[0] for box in boxes if box) / len(boxes), person.person))
    return [name for _, name in sorted(found)]
