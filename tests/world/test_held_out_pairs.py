"""Pairs of action and place that training can leave out."""

import itertools
from collections import Counter

from ingredients.world import sample_scene
from ingredients.world.captions import ACTIONS, PLACE_PHRASES, SceneAttributes
from ingredients.world.held_out_pairs import HELD_OUT_PAIRS, seeds_without_held_out_pairs, shows_held_out_pair


def test_every_action_and_place_is_seen_in_other_pairs() -> None:
    assert len(HELD_OUT_PAIRS) == 14
    actions, places = (Counter(pair[part] for pair in HELD_OUT_PAIRS) for part in (0, 1))
    assert set(actions) == set(ACTIONS)
    assert set(places) == set(PLACE_PHRASES)
    assert set(actions.values()) == {2}
    assert set(places.values()) == {1, 2}


def test_seeds_of_scenes_with_held_out_pairs_are_skipped_and_no_others() -> None:
    kept = list(itertools.islice(seeds_without_held_out_pairs(-5), 300))
    assert kept == sorted(set(kept))
    for seed in range(-5, kept[-1] + 1):
        attributes = sample_scene(seed).attributes
        assert (seed in kept) == ((attributes.action, attributes.place) not in HELD_OUT_PAIRS)
    skipped = 1 - len(kept) / (kept[-1] + 6)
    assert 0.18 < skipped < 0.32  # a quarter of the pairs


def test_the_pair_does_not_depend_on_whose_scene_it_is() -> None:
    for seed in range(20):
        assert sample_scene(seed, split="eval").attributes == sample_scene(seed, split="train").attributes


def test_action_and_place_decide() -> None:
    other = {"count": 2, "expression": "sad", "light": "sun"}
    assert shows_held_out_pair(SceneAttributes(action="wave", place="park", **other))
    assert not shows_held_out_pair(SceneAttributes(action="wave", place="beach", **other))
