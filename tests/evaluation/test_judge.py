import numpy as np
import pytest

from ingredients.core.errors import NoFaceError, PhotographError
from ingredients.evaluation.assessment import SimilarityScale
from ingredients.evaluation.judge import Judge
from tests.evaluation.stand_ins import COLOURS, ColourPatchDetector, MeanColourRecogniser, make_frames
from tests.faces.tiny_faces import classifier_that_says

RED, GREEN, BLUE = COLOURS["red"], COLOURS["green"], COLOURS["blue"]


@pytest.fixture
def judge() -> Judge:
    return Judge(
        detector=ColourPatchDetector(),
        recogniser=MeanColourRecogniser(),
        scale=SimilarityScale(same_person_mean=1.0, stranger_mean=0.0),
    )


def photo(colour: tuple[int, int, int]) -> np.ndarray:
    return make_frames(1, {20: colour})[0]


def test_identical_faces_have_similarity_1(judge: Judge):
    frames = make_frames(5, {3: RED, 40: GREEN})
    references = [judge.embed_person([photo(RED)]), judge.embed_person([photo(GREEN)])]
    assessment = judge.assess(frames, references)
    assert [person.similarity for person in assessment.people] == pytest.approx([1.0, 1.0])
    assert assessment.all_present


def test_swapped_people_are_seen_as_swapped(judge: Judge):
    references = [judge.embed_person([photo(RED)]), judge.embed_person([photo(GREEN)])]
    straight = judge.assess(make_frames(5, {3: RED, 40: GREEN}), references)
    mirrored = judge.assess(make_frames(5, {3: GREEN, 40: RED}), references)
    assert [person.centre for person in straight.people] == [person.centre for person in mirrored.people][::-1]
    assert straight.people[0].centre == pytest.approx((9 / 60, 12 / 24))


def test_a_mixture_of_two_people_is_blended(judge: Judge):
    references = [judge.embed_person([photo(RED)]), judge.embed_person([photo(GREEN)])]
    assert judge.assess(make_frames(5, {20: (200, 200, 0)}), references).blended
    assert not judge.assess(make_frames(5, {20: RED}), references).blended


def test_one_person_twice_is_doubled(judge: Judge):
    references = [judge.embed_person([photo(RED)]), judge.embed_person([photo(GREEN)])]
    assessment = judge.assess(make_frames(5, {3: RED, 40: RED}), references)
    assert assessment.doubled
    assert not assessment.all_present


def test_several_photos_are_averaged(judge: Judge):
    embedding = judge.embed_person([photo(RED), photo(BLUE)])
    np.testing.assert_allclose(embedding, np.array([1, 0, 1]) / np.sqrt(2), rtol=1e-6)


def test_a_photo_without_a_face_names_the_person(judge: Judge):
    with pytest.raises(NoFaceError, match="no face in a photo of ana"):
        judge.embed_person([np.zeros((24, 60, 3), dtype=np.uint8)], name="ana")


def test_a_photograph_is_none_for_a_judge_of_drawings():
    """What the recogniser says of a photograph means nothing, so there is no reference to compare with."""
    judge = Judge(
        detector=ColourPatchDetector(),
        recogniser=MeanColourRecogniser(),
        picture_kind=classifier_that_says((0.01, 0.01, 0.98)),
    )
    for same in (judge, judge.with_scale(SimilarityScale(same_person_mean=1.0, stranger_mean=0.0))):
        with pytest.raises(PhotographError, match="knows drawn people only, but a photo of ana looks like a photo"):
            same.embed_person([photo(RED)], name="ana")


def test_an_empty_clip_has_no_tracks(judge: Judge):
    assert judge.track(make_frames(5, {})) == []
