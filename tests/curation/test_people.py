"""Who is in a clip, held against what drawn films say."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from ingredients.core.config import load_config
from ingredients.core.errors import UserInputError
from ingredients.core.protocols import Face
from ingredients.curation.config import CurationConfig, PeopleConfig
from ingredients.curation.identities import TrackedPerson, name_people
from ingredients.curation.people import FaceReading, People, describe_people, open_faces, without_faces_around_two
from ingredients.faces.detector import intersection_over_union
from ingredients.world.film import Film, FilmSettings, draw_shot, plan_films
from tests.evaluation.stand_ins import ColourPatchDetector, MeanColourRecogniser, make_frames

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)
DRAWN = PeopleConfig(faces="drawn")
PATCHES = FaceReading(detector=ColourPatchDetector(), recogniser=MeanColourRecogniser())


def config(**settings: object) -> PeopleConfig:
    return PeopleConfig(faces="drawn", min_face=0.05, min_face_pixels=4, **settings)  # type: ignore[arg-type]


def decide(measured: dict[str, object], **settings: object) -> str | None:
    overrides = [f"people.{name}={value}" for name, value in settings.items()]
    rejection = People(load_config(CurationConfig, overrides=overrides)).decide(measured)
    return None if rejection is None else rejection.sentence


@pytest.fixture(scope="module")
def film() -> Film:
    return plan_films(FilmSettings(seed=3, minutes=8, height=96, width=144, fps=12))[0]


def of_kind(film: Film, kind: str) -> tuple[np.ndarray, Film, int]:
    number = next(index for index, shot in enumerate(film.shots) if shot.kind == kind)
    return draw_shot(film, number).frames[:49], film, number


def test_people_are_counted_from_left_to_right_with_their_gaps() -> None:
    frames = make_frames(12, {2: RED, 20: GREEN})
    frames[4:7, :, :16] = 0  # the left one is missed for three frames
    found = describe_people(frames, PATCHES, config())
    assert found["num_people"] == 2
    assert found["num_at_once"] == [2] * 12
    assert found["num_runs"] == 2
    left, right = found["tracks"]
    assert left["boxes"][0][0] < right["boxes"][0][0]
    assert [box is None for box in left["boxes"]] == [4 <= frame < 7 for frame in range(12)]
    assert [points is None for points in left["landmarks"]] == [box is None for box in left["boxes"]]
    assert left["presence"] == 1.0
    assert np.argmax(left["embed"]) == 0
    longer = describe_people(frames, PATCHES, config(max_gap=2))
    assert longer["num_at_once"] == [2] * 4 + [1] * 3 + [2] * 5
    assert longer["num_runs"] == 3


def test_passers_by_and_small_faces_are_no_people() -> None:
    frames = make_frames(12, {2: RED, 20: GREEN})
    frames[2:, :, 18:] = 0
    found = describe_people(frames, PATCHES, config())
    assert found["num_people"] == 1
    assert [len(boxes) for boxes in found["others"]] == [1] * 2 + [0] * 10
    frames = make_frames(12, {2: RED, 20: GREEN})
    height = frames.shape[1]
    found = describe_people(frames, PATCHES, dataclasses.replace(config(), min_face_pixels=height))
    assert (found["num_people"], found["num_small"]) == (0, 2)


def test_heads_side_by_side_are_no_eyes_of_a_larger_face() -> None:
    left, right, around, near, chin = (
        Face(box=np.array(box, np.float32), score=0.9, landmarks=np.zeros((5, 2), np.float32))
        for box in ([9, 26, 44, 60], [50, 25, 92, 64], [2, 17, 99, 107], [40, 0, 140, 95], [10, 45, 40, 70])
    )
    assert without_faces_around_two([around, left, right]) == [left, right]
    assert without_faces_around_two([near, left, right]) == [
        near,
        left,
        right,
    ]  # in front of one, and beside the other
    assert without_faces_around_two([around, left, chin]) == [left, chin]
    assert without_faces_around_two([around, left]) == [around, left]


class DoubtfulDetector(ColourPatchDetector):
    """Doubts what is at the right, but for what it is sure of in one frame."""

    def __init__(self, *scores: float) -> None:
        self.scores = iter(scores)

    def detect(self, image: np.ndarray) -> list[Face]:
        score = next(self.scores)
        return [dataclasses.replace(face, score=score) if face.box[0] > 15 else face for face in super().detect(image)]


def test_what_is_doubtful_in_every_frame_is_nobody() -> None:
    frames = make_frames(6, {2: RED, 20: GREEN})

    def people(*scores: float, **settings: object) -> int:
        reading = FaceReading(detector=DoubtfulDetector(*scores), recogniser=MeanColourRecogniser())
        return int(describe_people(frames, reading, config(**settings))["num_people"])

    assert people(*[0.54] * 6) == 1
    assert people(*[0.52] * 5, 0.6) == 2
    assert people(*[0.54] * 6, min_confidence=0.5) == 2


def test_a_face_that_is_half_covered_is_there_and_not_seen() -> None:
    frames = make_frames(6, {2: RED, 20: GREEN})

    def measured(*scores: float, **settings: object) -> dict[str, Any]:
        reading = FaceReading(detector=DoubtfulDetector(*scores), recogniser=MeanColourRecogniser())
        return describe_people(frames, reading, config(max_gap=1, **settings))

    crossing = measured(0.8, 0.45, 0.8, 0.45, 0.45, 0.8)
    assert crossing["num_at_once"] == [2, 2, 2, 1, 1, 2]
    assert [track["presence"] for track in crossing["tracks"]] == [1.0, 0.6667]
    assert None not in crossing["tracks"][1]["boxes"]
    assert measured(*[0.45] * 5, 0.8)["num_people"] == 1
    assert measured(*[0.45] * 5, 0.8, seen_confidence=0.4)["num_people"] == 2


def test_clips_are_kept_by_how_many_are_there_and_for_how_long() -> None:
    measured = {"num_people": 2, "num_small": 0, "num_at_once": [2, 2, 1, 1, 1]}
    assert decide(measured, min_together=0.4) is None
    assert decide(measured) == "people not seen together: 0.4 (limit 0.5)"
    assert decide(measured, min_people=3) == "too few people: 2 (limit 3)"
    assert decide(measured, min_people=1, max_people=1) == "too many people: 2 (limit 1)"
    alone = {"num_people": 1, "num_small": 1, "num_at_once": [1] * 5}
    assert decide(alone) == "too few people and too small faces: 1 (limit 2)"


@pytest.mark.parametrize("kind", ["pair", "return", "crossing"])
def test_a_drawn_persons_track_is_whole_and_pure(film: Film, kind: str) -> None:
    frames, film, number = of_kind(film, kind)
    found = describe_people(frames, open_faces("drawn", None), DRAWN)
    scene = draw_shot(film, number).scene
    assert scene is not None
    assert found["num_people"] == 2
    owners = []
    for track in found["tracks"]:
        seen = [
            int(np.argmax([intersection_over_union(np.array(box, np.float32), each) for each in scene.boxes[frame]]))
            for frame, box in enumerate(track["boxes"])
            if box is not None
        ]
        owners.append(max(set(seen), key=seen.count))
        assert seen.count(owners[-1]) >= len(seen) - 1
    assert sorted(owners) == [0, 1]


def test_one_person_and_nobody_are_too_few(film: Film) -> None:
    for kind, number in (("alone", 1), ("empty", 0)):
        found = describe_people(of_kind(film, kind)[0], open_faces("drawn", None), DRAWN)
        assert found["num_people"] == number
        assert decide(found) is not None


def test_antelopev2_needs_its_folder() -> None:
    with pytest.raises(UserInputError, match=r"people\.face_encoder=FOLDER"):
        open_faces("antelopev2", None)


def person(clip: str, number: int, *embed: float) -> TrackedPerson:
    return TrackedPerson(clip_id=clip, number=number, embed=embed)


def test_one_person_has_one_name_in_all_clips() -> None:
    names = name_people(
        [person("a", 0, 1, 0, 0), person("a", 1, 0, 1, 0), person("b", 0, 0.1, 1, 0), person("b", 1, 0, 0, 1)],
        same_person=0.8,
    )
    assert names["a", 1] == names["b", 0]
    assert len(set(names.values())) == 3
    assert all(name.startswith("person-") for name in names.values())


def test_two_in_one_clip_are_two_and_chains_do_not_join_strangers() -> None:
    twins = name_people([person("a", 0, 1, 0), person("a", 1, 1, 0), person("b", 0, 1, 0)], same_person=0.8)
    assert twins["a", 0] != twins["a", 1]
    angles = np.deg2rad([0, 30, 60, 90])
    chain = [person(str(index), 0, np.cos(angle), np.sin(angle)) for index, angle in enumerate(angles)]
    names = name_people(chain, same_person=0.8)
    assert len(set(names.values())) == 2


def test_names_stay_when_clips_are_added() -> None:
    tracks = [person("a", 0, 1, 0, 0), person("b", 0, 1, 0.1, 0)]
    before = name_people(tracks, same_person=0.8)
    after = name_people([*tracks, person("c", 0, 0, 0, 1), person("d", 0, 1, 0, 0)], same_person=0.8)
    assert after["a", 0] == before["a", 0] == after["d", 0]
    assert name_people([], same_person=0.8) == {}
