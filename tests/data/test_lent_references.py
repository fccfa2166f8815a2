"""References that other clips of the same person lend."""

import dataclasses
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
from ingredients.data.schema import Box
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
    call_first_person(folder, 0, 1)
    config = ReadingConfig(buckets=BUCKETS, lent_references=2)
    examples = [read() for _, read in source_examples(open_clip_source(folder), config, detector=None)]
    records = read_clip_folder(folder)
    # The second clip shows the person alone; in the first one, somebody's face is always beside.
    assert [[len(photos) for photos in example.references] for example in examples] == [[1, 0], [0], [0, 0, 0]]
    [photo] = examples[0].references[0]
    [person] = records[1].people
    frame = clearest_frames(person.boxes, person.landmarks)[0]
    assert photo.kind == "photo"
    assert photo.frame is None
    assert np.array_equal(photo.image, read_video(records[1].video).frames[frame])
    assert np.allclose(photo.landmarks, person.landmarks[frame])


def test_who_lends_is_drawn_by_names_and_what_is_damaged_lends_nothing(folder: Path) -> None:
    call_first_person(folder, 0, 1, 2)
    records = [dataclasses.replace(record, people=record.people[:1]) for record in read_clip_folder(folder)]
    lenders = Lenders(records)
    order = sorted((1, 2), key=lambda other: lot(IDS[0], IDS[other]))
    person = records[0].people[0]
    sizes = [photo.landmarks.tolist() for photo in lenders.lend(records[0], person, 2)]
    assert len(sizes) == 2
    assert [photo.landmarks.tolist() for photo in lenders.lend(records[0], person, 1)] == sizes[:1]
    records[order[0]].video.write_text("no video")
    assert [photo.landmarks.tolist() for photo in lenders.lend(records[0], person, 1)] == sizes[1:]


def test_only_faces_that_are_whole_and_alone_are_lent(folder: Path) -> None:
    call_first_person(folder, 0, 2)
    borrower, _, lender = read_clip_folder(folder)[:3]
    person = lender.people[0]
    clearest = clearest_frames(person.boxes, person.landmarks)
    left, top, right, bottom = person.boxes[clearest[0]] or pytest.fail("a frame without the face is not clear")
    beside = (2 * left - right, top, left, bottom)

    def lent(boxes: tuple[Box | None, ...]) -> list[list[list[float]]]:
        stranger = dataclasses.replace(person, person_id=None, boxes=boxes)
        lenders = Lenders([borrower, dataclasses.replace(lender, people=(person, stranger))])
        return [photo.landmarks.tolist() for photo in lenders.lend(borrower, borrower.people[0], 1)]

    nowhere: list[Box | None] = [None] * lender.num_frames
    [alone] = lent(tuple(nowhere))
    assert np.allclose(alone, person.landmarks[clearest[0]])
    there = [*nowhere]
    there[clearest[0]] = beside
    [less_clear] = lent(tuple(there))
    assert less_clear in [np.asarray(person.landmarks[frame], np.float32).tolist() for frame in clearest[1:]]
    assert less_clear != alone
    assert lent((beside,) * lender.num_frames) == []
    # The picture ends in the middle of the face.
    narrow = dataclasses.replace(lender, people=(person,), width=round((left + right) / 2))
    assert Lenders([borrower, narrow]).lend(borrower, borrower.people[0], 1) == ()


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
