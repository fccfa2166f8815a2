from collections import Counter

import numpy as np
import pytest

from ingredients.casebook.cases import FIRST_CALIBRATION_SEED, make_case, make_cases, style_for
from ingredients.core.errors import UserInputError
from ingredients.evaluation.judge import Judge
from ingredients.evaluation.known_people import DistractorGallery
from ingredients.world.captions import ACTIONS, EXPRESSIONS, LIGHT_PHRASES, PLACE_PHRASES
from tests.evaluation.stand_ins import ColourPatchDetector, MeanColourRecogniser


def test_a_short_evaluation_is_the_beginning_of_a_long_one():
    assert make_cases(7)[:3] == make_cases(3)


def test_people_are_held_out_and_never_repeated():
    cases = make_cases(20, num_people=3)
    people = [person for case in cases for person in case.identities]
    assert {person.split for person in people} == {"eval"}
    assert len(set(people)) == 60
    calibration = make_case(0, num_people=3, first_seed=FIRST_CALIBRATION_SEED)
    assert not set(calibration.identities) & set(people)


def test_prompts_are_balanced_and_name_every_attribute():
    cases = make_cases(56)
    for name, values in {
        "action": ACTIONS,
        "expression": EXPRESSIONS,
        "place": PLACE_PHRASES,
    }.items():
        counts = Counter(getattr(case.attributes, name) for case in cases)
        assert set(counts) == set(values)
        assert set(counts.values()) == {56 // len(values)}
    lights = Counter(case.attributes.light for case in cases)
    assert max(lights.values()) - min(lights.values()) <= 1
    assert set(lights) == set(LIGHT_PHRASES)
    for case in cases:
        assert any(phrase in case.prompt.lower() for phrase in PLACE_PHRASES[case.attributes.place])
        assert any(phrase in case.prompt.lower() for phrase in EXPRESSIONS[case.attributes.expression])


def test_attributes_do_not_move_together():
    cases = make_cases(56)
    assert len({(case.attributes.action, case.attributes.place) for case in cases}) > 28


def test_photos_are_drawn_the_same_each_time():
    first, second = make_case(4), make_case(4)
    for one, other in zip(first.portraits(size=64), second.portraits(size=64), strict=True):
        np.testing.assert_array_equal(one.image, other.image)
    assert first.scene().people == first.identities
    assert first.scene().caption == first.prompt


@pytest.mark.parametrize("num_people", [0, 5])
def test_more_people_than_prompts_can_state_are_refused(num_people: int):
    with pytest.raises(UserInputError, match="holds 1 to 4 people"):
        make_case(0, num_people=num_people)


def test_no_case_is_refused():
    with pytest.raises(UserInputError, match="at least one case"):
        make_cases(0)


@pytest.mark.parametrize(
    ("config", "style", "names"),
    [({}, "together", None), ({"id_phrases": False}, "together", None), ({"id_phrases": True}, "each-own", 2)],
)
def test_who_is_called_by_name_has_a_photo_of_that_name(config: dict[str, bool], style: str, names: int | None):
    assert style_for(config) == style
    for case in make_cases(4, style=style_for(config)):
        photos = case.named_photos()
        assert list(photos) == [person.name for person in case.people]
        assert all((photos[person.name] == person.portrait().image).all() for person in case.people)
        called = [name for name in photos if name in case.prompt.split()]
        assert len(called) in (0, names)


def test_distractors_are_half_shared_and_half_alike():
    judge = Judge(detector=ColourPatchDetector(), recogniser=MeanColourRecogniser())
    gallery = DistractorGallery(judge, num_distractors=8)
    case = make_case(0)
    first, second = (
        gallery.for_person(person, seed=seed)
        for person, seed in zip(case.identities, case.identity_seeds, strict=True)
    )
    assert first.shape == second.shape == (8, 3)
    np.testing.assert_array_equal(first[:4], second[:4])
    assert not np.array_equal(first[4:], second[4:])
    np.testing.assert_allclose(np.linalg.norm(first, axis=1), 1, rtol=1e-5)


def test_strangers_are_asked_for_beside_the_people_and_shown_in_the_real_clip():
    for case, without in zip(
        make_cases(8, num_people=2, num_extras=1, style="each-own"), make_cases(8, style="each-own"), strict=True
    ):
        assert [role.is_extra for role in case.roles] == [False, False, True]
        assert case.identity_seeds == without.identity_seeds
        assert "stranger" in case.prompt
        assert case.roles[2].name not in case.prompt
        assert len(case.traits) == 2
        scene = case.scene()
        assert scene.cast == (0, 1)
        assert len(set(scene.people)) == 3
        spots = [role.spot for role in case.roles]
        assert sorted(spots) == ["left", "middle", "right"]
        assert (spots[0], spots[1]) in {("left", "middle"), ("left", "right"), ("middle", "right")}
        assert without.extra_seeds == ()
        assert all(not role.is_extra for role in without.roles)


@pytest.mark.parametrize("options", [{"style": "together"}, {"style": "each-own", "num_people": 4}])
def test_strangers_of_whom_no_prompt_speaks_are_refused(options):
    with pytest.raises(UserInputError, match="extras"):
        make_case(0, num_extras=1, **options)
