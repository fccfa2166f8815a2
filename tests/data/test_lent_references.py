"""References that other clips of the same person lend."""

import json
from pathlib import Path

import numpy as np
import pytest

from ingredients.core.errors import UserInputError
from ingredients.data.buckets import Bucket
from ingredients.data.clip_folder import METADATA_NAME, read_clip_folder
from ingredients.data.clip_source import open_clip_source
from ingredients.data.folder_examples import ReadingConfig, source_examples
from ingredients.data.lent_references import Lenders, clearest_frames, lot
from ingredients.data.shard_writer import pack_clips
from ingredients.media.video import read_video
from tests.data.drawn_clips import HEIGHT, IDS, NUM_FRAMES, WIDTH

BUCKETS = (Bucket(num_frames=NUM_FRAMES, height=HEIGHT, width=WIDTH),)


def call_first_person(folder: Path, *lines: int, name: str = "ada") -> None:
    """Says of the first person of some clips that they are one."""
    path = folder / METADATA_NAME
    records = [json.loads(line) for line in path.read_text().splitlines()]
    for number, record in enumerate(records):
        for index, person in enumerate(record["people"]):
            person["person_id"] = name if index == 0 and number in lines else f"stranger-{number}-{index}"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))


def test_another_clip_of_the_person_lends_its_clearest_frame(folder: Path) -> None:
    call_first_person(folder, 0, 2)
    config = ReadingConfig(buckets=BUCKETS, lent_references=2)
    examples = [read() for _, read in source_examples(open_clip_source(folder), config, detector=None)]
    records = read_clip_folder(folder)
    assert [[len(photos) for photos in example.references] for example in examples] == [
        [1 if index == 0 and number in (0, 2) else 0 for index in range(len(record.people))]
        for number, record in enumerate(records)
    ]
    for borrower, lender in ((0, 2), (2, 0)):
        [photo] = examples[borrower].references[0]
        frame = clearest_frames(records[lender].people[0].boxes, records[lender].people[0].landmarks)[0]
        assert photo.kind == "photo"
        assert photo.frame is None
        assert np.array_equal(photo.image, read_video(records[lender].video).frames[frame])
        assert np.allclose(photo.landmarks, records[lender].people[0].landmarks[frame])


def test_who_lends_is_drawn_by_names_and_what_is_damaged_lends_nothing(folder: Path) -> None:
    call_first_person(folder, 0, 1, 2)
    records = read_clip_folder(folder)
    lenders = Lenders(records)
    order = sorted((1, 2), key=lambda other: lot(IDS[0], IDS[other]))
    person = records[0].people[0]
    sizes = [photo.landmarks.tolist() for photo in lenders.lend(records[0], person, 2)]
    assert len(sizes) == 2
    assert [photo.landmarks.tolist() for photo in lenders.lend(records[0], person, 1)] == sizes[:1]
    records[order[0]].video.write_text("no video")
    assert [photo.landmarks.tolist() for photo in lenders.lend(records[0], person, 1)] == sizes[1:]


def test_large_faces_that_look_ahead_come_first() -> None:
    ahead = ((20.0, 30.0), (40.0, 30.0), (30.0, 42.0), (23.0, 52.0), (37.0, 52.0))
    turned = ((20.0, 30.0), (40.0, 30.0), (39.0, 42.0), (23.0, 52.0), (37.0, 52.0))
    large, small = (0.0, 0.0, 50.0, 60.0), (0.0, 0.0, 25.0, 30.0)
    assert clearest_frames([small, None, large, large, None], [ahead, ahead, turned, ahead, None])[0] == 3
    assert sorted(clearest_frames([small, None, large, large, None], [ahead, ahead, turned, ahead, None])) == [0, 2, 3]


def test_shards_lend_nothing_and_say_so(folder: Path, tmp_path: Path) -> None:
    options = {"on_bad": "stop", "on_bad_input": lambda name, problem: None}
    pack_clips(open_clip_source(folder), tmp_path / "shards", clips_per_shard=2, **options)
    config = ReadingConfig(buckets=BUCKETS, lent_references=1)
    with pytest.raises(UserInputError, match="unpacked a clip at a time"):
        source_examples(open_clip_source(tmp_path / "shards"), config, detector=None)
