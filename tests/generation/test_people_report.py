import numpy as np
import pytest

from ingredients.core.errors import NoFaceError
from ingredients.core.protocols import Face
from ingredients.evaluation.assessment import SimilarityScale, average_faces
from ingredients.evaluation.judge import Judge
from ingredients.generation.jobs import PersonTurn
from ingredients.generation.people_report import PersonReport, judge_people, reports_of
from tests.evaluation.stand_ins import (
    COLOURS,
    ColourPatchDetector,
    MeanColourRecogniser,
    make_face,
    make_frames,
)


def report_people(*arguments) -> list[PersonReport]:
    return reports_of(judge_people(*arguments))


@pytest.fixture
def judge() -> Judge:
    return Judge(
        detector=ColourPatchDetector(),
        recogniser=MeanColourRecogniser(),
        scale=SimilarityScale(same_person_mean=0.5, stranger_mean=0.0),
    )


def photo(colour: str) -> np.ndarray:
    return make_frames(1, {20: COLOURS[colour]})[0]


def test_each_person_is_reported_under_the_name_and_similarity_is_not_clipped(judge: Judge):
    frames = make_frames(5, {3: COLOURS["green"], 40: COLOURS["red"]})
    frames[3:, :, :30] = 0  # the green one leaves
    reports = report_people(judge, frames, {"ana": [photo("red")], "ben": [photo("green"), photo("green")]})
    assert reports == [
        PersonReport(name="ana", found=True, similarity=pytest.approx(2.0), frames_found=5),
        PersonReport(name="ben", found=True, similarity=pytest.approx(2.0), frames_found=3),
    ]


def test_a_missing_person_is_reported_as_such(judge: Judge):
    frames = make_frames(5, {3: COLOURS["green"]})
    ana, ben = report_people(judge, frames, {"ana": [photo("red")], "ben": [photo("green")]})
    assert ana == PersonReport(name="ana", found=False, similarity=0.0, frames_found=0)
    assert ben.found


def test_who_becomes_another_is_reported_with_the_moment(judge: Judge):
    frames = make_frames(10, {3: COLOURS["green"], 40: COLOURS["red"]})
    frames[6:] = make_frames(4, {3: COLOURS["red"], 40: COLOURS["green"]})
    ana, ben = report_people(judge, frames, {"ana": [photo("red")], "ben": [photo("green")]})
    assert ana.turns == (PersonTurn(seconds=0.75, becomes="ben", is_exchange=True),)
    assert ana.verdict == "found, but exchanged with ben from 0.8 s on (similarity 2.00 until then, 0.00 after)"
    assert ben.turns == (PersonTurn(seconds=0.75, becomes="ana", is_exchange=True),)
    frames[6:] = make_frames(4, {3: COLOURS["blue"], 40: COLOURS["red"]})
    ana, ben = report_people(judge, frames, {"ana": [photo("red")], "ben": [photo("green")]})
    assert ana.turns == ()
    assert ben.turns == (PersonTurn(seconds=0.75, becomes=None),)
    assert ben.verdict == "found, similarity 1.20; not recognised from 0.8 s on"


def test_a_photo_without_a_face_is_an_error(judge: Judge):
    with pytest.raises(NoFaceError, match="photo of ana"):
        report_people(judge, make_frames(2, {}), {"ana": [np.zeros((24, 60, 3), dtype=np.uint8)]})


def test_the_judge_looks_for_itself_at_the_place_that_it_is_shown(judge: Judge):
    """Another detector says which face of a group is ana's; where exactly it is, the judge says."""
    group = make_frames(1, {3: COLOURS["green"], 40: COLOURS["red"]})[0]
    shifted = make_face(42, 8, 56, 22)  # overlaps the red one, its middle in black
    reports = report_people(judge, make_frames(3, {3: COLOURS["red"]}), {"ana": [group]}, {"ana": [shifted]})
    assert reports[0].similarity == pytest.approx(2.0)
    elsewhere = make_face(20, 4, 30, 20)  # where the judge sees nothing: taken as it is
    assert not report_people(judge, make_frames(3, {}), {"ana": [group]}, {"ana": [elsewhere]})[0].found


def test_people_known_by_one_photo_have_a_scale_of_their_own(judge: Judge):
    judge.one_photo_scale = SimilarityScale(same_person_mean=0.25, stranger_mean=0.0)
    frames = make_frames(3, {3: COLOURS["green"]})
    by_one, by_two = (report_people(judge, frames, {"ben": [photo("green")] * number})[0] for number in (1, 2))
    assert by_one.similarity == pytest.approx(4.0)
    assert by_two.similarity == pytest.approx(2.0)


@pytest.mark.parametrize("brightness", [0, 90, 255])
def test_a_flat_video_is_like_nobody_whatever_a_detector_sees_in_it(judge: Judge, brightness: int):
    class Everywhere:
        def detect(self, image: np.ndarray) -> list[Face]:
            return [make_face(16, 4, 34, 20)]

    seeing = Judge(detector=Everywhere(), recogniser=MeanColourRecogniser(), scale=judge.scale)
    flat = np.full((4, 24, 60, 3), brightness, dtype=np.uint8)
    (report,) = report_people(seeing, flat, {"ana": [photo("red")]}, {"ana": [make_face(20, 4, 30, 20)]})
    assert report == PersonReport(name="ana", found=False, similarity=0.0, frames_found=0)
    shown = make_frames(4, {20: COLOURS["red"]})
    assert report_people(seeing, shown, {"ana": [photo("red")]}, {"ana": [make_face(20, 4, 30, 20)]})[0].found


def test_people_whose_embeddings_point_nowhere_are_like_nobody():
    opposite = np.array([[1.0, 0.0], [-1.0, 0.0]], dtype=np.float32)
    assert not average_faces(opposite).any()
