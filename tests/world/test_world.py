"""The drawn world: determinism, exact truth, and what must not be told by what."""

import itertools

import numpy as np
import pytest

from ingredients.world import (
    SceneAttributes,
    render_portrait,
    render_scene,
    sample_identity,
    sample_scene,
    vocabulary,
)
from ingredients.world.captions import (
    ACTIONS,
    COUNTS,
    EXPRESSIONS,
    LIGHT_PHRASES,
    PLACE_PHRASES,
    describe_scene,
    other_sentences,
    words,
)
from ingredients.world.identity import HAIR_COLOURS, SKINS


def test_same_seed_same_picture() -> None:
    first, again = (render_portrait(sample_identity(7), 3, size=72) for _ in range(2))
    assert np.array_equal(first.image, again.image)
    other = render_portrait(sample_identity(7), 4, size=72)
    assert not np.array_equal(first.image, other.image)
    spec = sample_scene(5)
    assert np.array_equal(render_scene(spec).frames, render_scene(sample_scene(5)).frames)


def test_negative_and_large_seeds_are_seeds_of_their_own() -> None:
    assert sample_identity(-7) != sample_identity(7)
    assert sample_identity(2**50) == sample_identity(2**50)


def test_splits_share_no_combination_of_discrete_features() -> None:
    def discrete(split: str) -> set[tuple[object, ...]]:
        people = [sample_identity(seed, split) for seed in range(400)]  # type: ignore[arg-type]
        return {
            tuple(v for n in person.__slots__ if not isinstance(v := getattr(person, n), float)) for person in people
        }

    train, judge, held_out = discrete("train"), discrete("judge"), discrete("eval")
    assert not train & held_out
    assert not train & judge
    assert not judge & held_out
    assert len(train) > 395  # almost every seed is another person


def test_a_lookalike_shares_skin_hair_colour_and_hat() -> None:
    person = sample_identity(3, "eval")
    for seed in range(10):
        twin = sample_identity(1000 + seed, "eval", like=person)
        assert (twin.skin, twin.hair_colour, twin.hat, twin.hat_colour) == (
            person.skin,
            person.hair_colour,
            person.hat,
            person.hat_colour,
        )
        assert twin != person
        assert twin.split == "eval"


@pytest.mark.parametrize("size", [48, 130])
def test_portrait_truth_fits_the_picture(size: int) -> None:
    for seed in range(12):
        portrait = render_portrait(sample_identity(seed), seed, size=size)
        left, top, right, bottom = portrait.box
        assert portrait.image.shape == (size, size, 3)
        rows, columns = np.nonzero(portrait.face_mask)
        assert (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) == (left, top, right, bottom)
        left_eye, right_eye, nose, left_mouth, right_mouth = portrait.landmarks
        assert left_eye[0] < nose[0] < right_eye[0]
        assert left_mouth[0] < right_mouth[0]
        assert left_eye[1] < nose[1] < left_mouth[1]


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_scene_truth_is_consistent(count: int) -> None:
    scene = render_scene(sample_scene(31 + count, num_people=count), height=64, width=102, num_frames=5)
    assert scene.frames.shape == (5, 64, 102, 3)
    assert scene.face_masks.shape == scene.person_masks.shape == (5, count, 64, 102)
    assert scene.person_masks.sum(1).max() == 1  # a pixel has at most one owner
    assert not (scene.face_masks & ~scene.person_masks).any()
    for frame, person in itertools.product(range(5), range(count)):
        centre = scene.landmarks[frame, person].mean(0)
        left, top, right, bottom = scene.boxes[frame, person]
        assert left <= centre[0] <= right
        assert top <= centre[1] <= bottom


def test_faces_span_enough_tokens() -> None:
    """At least four tokens of eight pixels each way for two people, three for four (medians, hats cover foreheads)."""
    for count, tokens in ((2, 4), (4, 3)):
        boxes = np.concatenate(
            [render_scene(sample_scene(s, num_people=count), num_frames=1).boxes[0] for s in range(30)]
        )
        sides = np.stack([boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]], -1)
        assert (np.median(sides, 0) >= 8 * tokens).all()


def test_resolution_does_not_change_the_scene() -> None:
    spec = sample_scene(8, num_people=2)
    small, large = render_scene(spec, height=64, width=96), render_scene(spec, height=128, width=192)
    assert np.allclose(small.landmarks * 2, large.landmarks, atol=1e-2)
    shrunk = large.frames.reshape(9, 64, 2, 96, 2, 3).mean((2, 4))
    assert np.abs(shrunk - small.frames).mean() < 6


def test_order_of_the_people_says_nothing_about_their_place() -> None:
    firsts = [
        render_scene(sample_scene(s, num_people=2), num_frames=1).landmarks[0, :, :, 0].mean(-1) for s in range(300)
    ]
    share = np.mean([first < second for first, second in firsts])
    assert abs(share - 0.5) < 0.09  # three standard deviations


def test_captions_name_the_attributes_and_nothing_of_the_identity() -> None:
    forbidden = {"hair", "skin", "hat", "beard", "glasses", "shirt", "eyes", "bald", *SKINS, *HAIR_COLOURS} - {"grey"}
    assert not forbidden & set(vocabulary())
    known = set(vocabulary())
    for seed in range(200):
        assert set(words(sample_scene(seed).caption)) <= known


def test_caption_is_the_same_whoever_takes_part() -> None:
    """Identity can't be told from a caption: with the same seed, other people get the same sentence."""
    for seed in range(60):
        one = [sample_identity(seed, "train"), sample_identity(seed + 1, "train")]
        two = [sample_identity(seed + 500, "eval"), sample_identity(seed + 501, "eval")]
        assert sample_scene(seed, people=one).caption == sample_scene(seed, people=two).caption


def test_motion_moves_and_standing_does_not_walk() -> None:
    def travel(action: str) -> float:
        scenes = [render_scene(sample_scene(s, num_people=2, action=action)) for s in range(6)]
        return float(np.mean([np.ptp(scene.landmarks.mean(2)[..., 0], axis=0).mean() for scene in scenes]))

    assert travel("walk") > 2.0
    assert travel("stand") < 0.5


def test_unknown_attributes_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match="unknown action 'fly'; known: stand"):
        sample_scene(1, action="fly")
    with pytest.raises(ValueError, match="1 to 4 people, not 5"):
        SceneAttributes(count=5, action="wave", expression="smile", place="park", light="sun")
    with pytest.raises(ValueError, match="num_people is 3, but 1"):
        sample_scene(1, num_people=3, people=[sample_identity(1)])


def test_a_sentence_is_read_back_and_changed_in_one_attribute_alone() -> None:
    tables = {"action": ACTIONS, "expression": EXPRESSIONS, "place": PLACE_PHRASES, "light": LIGHT_PHRASES}
    rng = np.random.default_rng(0)
    for count, action, expression, place, light in itertools.product(COUNTS, *tables.values()):
        attributes = SceneAttributes(count=count, action=action, expression=expression, place=place, light=light)
        sentence = describe_scene(attributes, rng, complete=True)
        others = other_sentences(sentence)
        own = {name: next(iter(values)) for name, values in others.items()}  # the sentence's own comes first
        assert own == {
            "count": str(count), "action": action, "expression": expression, "place": place, "light": light,
        }  # fmt: skip
        assert {name: set(values) for name, values in others.items() if name != "count"} == {
            name: set(table) for name, table in tables.items()
        }
        assert all(sentence in others[name][value] for name, value in own.items())
    changed = other_sentences("Two people wave on a beach at sunset, smiling.")
    assert changed["action"]["talk"] == ("Two people talk on a beach at sunset, smiling.",)
    assert "One person waves on a beach at sunset, smiling." in changed["count"]["1"]
    assert changed["light"]["plain"] == ("Two people wave on a beach, smiling.",)


def test_what_a_sentence_leaves_open_is_not_asked_for_and_other_sentences_are_not_read() -> None:
    assert set(other_sentences("Two people wave on a beach.")) == {"count", "action", "place", "light"}
    assert other_sentences("Two friends talk in a bright cafe.") == {}
    assert other_sentences("A walk.") == {}
    assert other_sentences("") == {}
