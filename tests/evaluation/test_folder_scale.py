"""A judge's scale from real people: 2 or 3 people, embeddings 4 wide."""

import numpy as np
import pytest

from ingredients.casebook.cases import Person
from ingredients.core.errors import UserInputError
from ingredients.evaluation.assessment import TrackEmbeddings
from ingredients.evaluation.folder_scale import (
    MIN_COMPARISONS,
    FolderScale,
    load_folder_scale,
    save_folder_scale,
    scale_from_photos,
    scale_from_real_videos,
)
from ingredients.evaluation.known_people import KnownPerson, KnownPhoto

ANA, BEN, CLEO, EVERY = np.eye(4, dtype=np.float32)
OPTIONS = {"judge": "arcface:net.onnx", "measure": "cosine"}


def unit(vector: np.ndarray) -> np.ndarray:
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def person(name: str, *photos: np.ndarray, digests: tuple[str, ...] | None = None) -> KnownPerson:
    names = digests or tuple(f"{name}{index}" for index in range(len(photos)))
    known = tuple(
        KnownPhoto(
            digest=digest,
            embedding=unit(photo),
            landmarks=np.zeros((5, 2), np.float32),
            features=np.zeros((0, 2048), np.float32),
        )
        for digest, photo in zip(names, photos, strict=True)
    )
    return KnownPerson(
        entry=Person(name=name, photos=names),
        photos=known,
        reference=unit(np.mean([photo.embedding for photo in known], axis=0)),
    )


def test_photos_are_compared_with_the_persons_others_and_with_other_people():
    # Ten pairs of photos at right angles to each other's person; a person's two photos have the cosine .8.
    groups = [
        [
            person(f"a{index}", 2 * ANA + EVERY, ANA + 2 * EVERY),
            person(f"b{index}", 2 * BEN + CLEO, BEN + 2 * CLEO),
        ]
        for index in range(5)
    ]
    scale = scale_from_photos(groups, [each for group in groups for each in group], **OPTIONS)
    assert scale is not None
    assert (scale.source, scale.num_same, scale.num_strangers) == ("photos", 20, 20)
    assert scale.same_person_mean == pytest.approx(0.8)
    assert scale.stranger_mean == pytest.approx(0, abs=1e-6)


def test_a_photo_given_twice_is_no_second_photo():
    twins = [person(f"a{index}", ANA, ANA, digests=(f"{index}", f"{index}")) for index in range(20)]
    assert scale_from_photos([twins], twins, **OPTIONS) is None


def test_people_in_several_videos_count_once():
    people = [person(f"p{index}", ANA + 0.2 * index * BEN, ANA) for index in range(4)]
    assert scale_from_photos([people] * 9, people, **OPTIONS) is None  # 8 comparisons of the same person
    assert MIN_COMPARISONS == 10


def test_the_strangers_of_people_alone_are_those_of_other_videos():
    people = [person(f"p{index}", vector, vector + 0.1 * EVERY) for index, vector in enumerate((ANA, BEN, CLEO) * 2)]
    scale = scale_from_photos([[each] for each in people], people, **OPTIONS)
    assert scale is not None
    assert scale.num_strangers == 6 * 2 * 5
    assert scale.stranger_mean < scale.same_person_mean


def track(vector: np.ndarray, *, num_frames: int = 6) -> TrackEmbeddings:
    return TrackEmbeddings(
        frame_indices=tuple(range(num_frames)), embeddings=np.stack([unit(vector)] * num_frames), centre=(0.5, 0.5)
    )


def test_faces_of_real_videos_are_matched_to_their_people():
    people = [person("ana", ANA), person("ben", BEN)]
    tracks = [track(0.6 * BEN + 0.8 * CLEO), track(ANA), track(CLEO, num_frames=2)]  # the last does not last
    scale = scale_from_real_videos([(tracks, people, 6)], people, **OPTIONS)
    assert scale is not None
    assert (scale.source, scale.num_same, scale.num_strangers) == ("real_videos", 12, 12)
    assert scale.same_person_mean == pytest.approx((0.6 + 1) / 2)
    assert scale.stranger_mean == pytest.approx(0, abs=1e-6)
    assert scale_from_real_videos([([], people, 6)], people, **OPTIONS) is None


def test_a_judge_that_does_not_tell_people_apart_has_no_scale():
    groups = [[person(f"a{index}", ANA, BEN), person(f"b{index}", ANA, ANA + BEN)] for index in range(9)]
    assert scale_from_photos(groups, [], **OPTIONS) is None


def test_a_scale_survives_the_disk_and_stays_with_its_judge(tmp_path):
    scale = FolderScale(
        judge="dlib", source="photos", same_person_mean=0.6, stranger_mean=0.2, num_same=12, num_strangers=40
    )
    path = tmp_path / "calibration.json"
    save_folder_scale(scale, path)
    assert load_folder_scale(path, judge="dlib") == scale
    assert scale.scale.normalise(0.6) == pytest.approx(1)
    with pytest.raises(UserInputError, match="is of the judge dlib, not model"):
        load_folder_scale(path, judge="model")
    path.write_text('{"judge": "dlib"}')
    with pytest.raises(UserInputError, match="needs the setting"):
        load_folder_scale(path, judge="dlib")
    upside_down = (
        '"source": "photos", "same_person_mean": 0.1, "stranger_mean": 0.2, "num_same": 1, "num_strangers": 1'
    )
    path.write_text(f'{{"judge": "dlib", {upside_down}}}')
    with pytest.raises(UserInputError, match="no scale of a judge"):
        load_folder_scale(path, judge="dlib")
