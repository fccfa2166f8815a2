"""Distances by dlib in videos put together from a photograph of an astronaut."""

import numpy as np
import pytest
import skimage.data
from PIL import Image

from ingredients.core.arrays import UInt8Array
from ingredients.evaluation.judge import Judge
from ingredients.evaluation.judges import load_dlib_judge
from ingredients.faces.dlib_faces import SAME_PERSON_DISTANCE
from ingredients.generation.people_report import MAX_FRAMES, PersonReport, judge_people, reports_of


def report_distances(*arguments) -> list[PersonReport]:
    return reports_of(judge_people(*arguments))


@pytest.fixture(scope="module")
def reader() -> Judge:
    return load_dlib_judge()


@pytest.fixture(scope="module")
def astronaut() -> UInt8Array:
    return np.asarray(skimage.data.astronaut())[:200, 100:340]  # (200, 240, 3)


@pytest.fixture(scope="module")
def stranger() -> UInt8Array:
    """Somebody else: a face of 25 pixels from "Labeled Faces in the Wild", enlarged, with grey around it."""
    face = Image.fromarray((skimage.data.lfw_subset()[0] * 255).astype(np.uint8)).resize((150, 150))
    picture = Image.new("RGB", (190, 230), (128, 128, 128))
    picture.paste(face, (20, 40))
    return np.asarray(picture)


def side_by_side(*pictures: UInt8Array) -> UInt8Array:
    frame = np.full((240, sum(picture.shape[1] for picture in pictures), 3), 128, np.uint8)
    left = 0
    for picture in pictures:
        frame[: picture.shape[0], left : left + picture.shape[1]] = picture
        left += picture.shape[1]
    return frame


def is_same_person(report: PersonReport) -> bool:
    return report.distance is not None and report.distance < SAME_PERSON_DISTANCE


def test_each_person_is_matched_to_the_own_face(reader: Judge, astronaut: UInt8Array, stranger: UInt8Array) -> None:
    frames = np.stack([side_by_side(stranger, astronaut)] * 3)
    photos = {"ana": [astronaut, astronaut], "ben": [stranger]}
    faces = {name: [reader.detector.detect(photo)[0] for photo in given] for name, given in photos.items()}
    ana, ben = report_distances(reader, frames, photos, faces)
    assert (ana.name, ben.name) == ("ana", "ben")
    for person in (ana, ben):
        assert is_same_person(person)
        assert person.distance == pytest.approx(0, abs=0.25)  # cut by landmarks that were found anew in the frame
        assert person.frames_found == 3
    swapped = report_distances(reader, frames, {"ben": photos["ben"], "ana": photos["ana"]}, faces)
    assert swapped == [ben, ana]


def test_who_is_not_there_is_not_found(reader: Judge, astronaut: UInt8Array, stranger: UInt8Array) -> None:
    photos = {"ana": [astronaut], "ben": [stranger]}
    faces = {name: [reader.detector.detect(photo)[0] for photo in given] for name, given in photos.items()}
    ana, ben = report_distances(reader, np.stack([side_by_side(astronaut)] * 2), photos, faces)
    assert is_same_person(ana)
    assert ben == PersonReport(name="ben", found=False, distance=None, frames_found=0)
    assert not is_same_person(ben)
    nobody = report_distances(reader, np.full((2, 64, 96, 3), 90, np.uint8), photos, faces)
    assert [person.distance for person in nobody] == [None, None]


def test_another_person_is_further_away(reader: Judge, astronaut: UInt8Array, stranger: UInt8Array) -> None:
    faces = {"ana": [reader.detector.detect(astronaut)[0]]}
    frames = np.stack([side_by_side(stranger)] * 2)
    (ana,) = report_distances(reader, frames, {"ana": [astronaut]}, faces)
    assert ana.distance is not None
    assert ana.distance > SAME_PERSON_DISTANCE


def test_long_videos_are_looked_at_in_part(reader: Judge, astronaut: UInt8Array) -> None:
    frames = np.stack([side_by_side(astronaut)] * (MAX_FRAMES + 5))
    (ana,) = report_distances(reader, frames, {"ana": [astronaut]}, {"ana": [reader.detector.detect(astronaut)[0]]})
    assert ana.frames_found == MAX_FRAMES
