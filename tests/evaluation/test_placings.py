"""Where people are asked to stand, and who stands there."""

import itertools

import numpy as np
import pytest

from ingredients.core.arrays import Float32Array
from ingredients.evaluation.placings import PLACINGS, deal_places, is_in_place
from ingredients.pipelines.places import Place, PlacePath

NUM_FRAMES = 9


def standing(*across: float, down: float = 0.5) -> Float32Array:
    return np.array([(each, down) for each in across], np.float32)


@pytest.mark.parametrize("num_people", [1, 2, 3, 4])
@pytest.mark.parametrize("placing", PLACINGS)
def test_nobodys_place_covers_anothers(placing, num_people) -> None:
    for seed in range(20):
        paths = deal_places(placing, num_people, seed=seed, num_frames=NUM_FRAMES)
        assert paths == deal_places(placing, num_people, seed=seed, num_frames=NUM_FRAMES)
        for frame in range(NUM_FRAMES):
            places = sorted((path.at(frame, num_people=num_people) for path in paths), key=lambda place: place.left)
            assert all(one.right <= next_one.left + 1e-6 for one, next_one in itertools.pairwise(places))


def test_boxes_differ_and_are_dealt_by_lot_unless_there_is_an_order() -> None:
    dealt = [deal_places("boxes", 2, seed=seed, num_frames=NUM_FRAMES) for seed in range(20)]
    assert len({path.places[0] for paths in dealt for path in paths}) == 40
    assert 0 < sum(ana.places[0].left < ben.places[0].left for ana, ben in dealt) < 20
    for seed in range(20):
        ana, ben = deal_places("boxes", 2, seed=seed, num_frames=NUM_FRAMES, in_order=True)
        assert ana.places[0].right <= ben.places[0].left


def test_columns_move_on_by_their_own_width() -> None:
    ways = set()
    for seed in range(10):
        for path in deal_places("moving", 3, seed=seed, num_frames=NUM_FRAMES):
            first, last = path.places[0], path.places[NUM_FRAMES - 1]
            assert first.right - first.left == pytest.approx(0.25)
            ways.add(round(last.left - first.left, 6))
    assert ways == {0.25, -0.25}


def test_who_is_inside_half_of_the_time_is_in_a_place_that_stays() -> None:
    box = PlacePath(places={0: Place(left=0.5, top=0.2, right=0.9, bottom=0.6)})
    where = [([0.4, 0.6], True), ([0.4, 0.4, 0.6], False), ([0.6, 0.7], True), ([0.95, 0.6, 0.95], False)]
    for across, expected in where:
        assert is_in_place(box, standing(*across), range(len(across)), num_people=2) is expected
    assert not is_in_place(box, standing(0.6, 0.6, down=0.7), [0, 1], num_people=2)


def test_who_stands_still_is_not_in_a_place_that_moves_on() -> None:
    path = PlacePath(places={0: Place(right=1 / 3), 8: Place(left=1 / 3, right=2 / 3)})
    walking = standing(*np.linspace(0.17, 0.5, NUM_FRAMES))
    assert is_in_place(path, walking, range(NUM_FRAMES), num_people=2)
    assert is_in_place(path, walking[2:7], range(2, 7), num_people=2)  # the rest was not seen
    for stays in (0.1, 0.3, 0.4, 0.6):
        assert not is_in_place(path, standing(*[stays] * NUM_FRAMES), range(NUM_FRAMES), num_people=2)
    assert not is_in_place(path, walking[::-1], range(NUM_FRAMES), num_people=2)
