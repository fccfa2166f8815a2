"""Where people are told to stand: as they write it, on the grid of tokens, and in the router."""

import json
import re
from typing import Any

import numpy as np
import pytest
import torch

from ingredients.core.errors import ArgumentError
from ingredients.pipelines.places import (
    PLACE_STRENGTH,
    Place,
    PlacePath,
    check_frames,
    left_to_right,
    parse_places,
    place_bias,
    place_people,
    read_place_options,
)

NAMES = ("ana", "ben", "cy")
FRAMES = [range(1), range(1, 5), range(5, 9)]


def paths(*given: Any) -> list[PlacePath | None]:
    return [None if each is None else PlacePath.parse(each, name="ana") for each in given]


def test_options_are_read_as_they_are_written() -> None:
    options = ["ana=left", "ben = 0.55,0.2,0.95,0.9", "@cy@0=left cy@16=right"]
    places = read_place_options(options, strength=2.0)
    assert places == {
        "ana": PlacePath(places={0: "left"}, strength=2.0),
        "ben": PlacePath(places={0: Place(left=0.55, top=0.2, right=0.95, bottom=0.9)}, strength=2.0),
        "cy": PlacePath(places={0: "left", 16: "right"}, strength=2.0),
    }
    for name, path in places.items():
        assert PlacePath.parse(json.loads(json.dumps(path.to_json())), name=name) == path


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("ana", "must be NAME=PLACE or NAME@FRAME=PLACE"),
        ("ana=up", "names no place; give left, middle or right, or left, top"),
        ("ana=0.1,0.2,0.3", "a place has four edges"),
        ("ana=0.5,0.2,0.3,0.9", "hold nothing"),
        ("ana=0,0,1,1.5", "bottom must be at least 0 and at most 1, not 1.5"),
        ("ana=0,0,nan,1", "an edge must be a number"),
        ("ana@2=left ana@2=right", "places ana twice at frame 2"),
    ],
)
def test_what_is_no_place_is_told_in_one_sentence(option: str, message: str) -> None:
    with pytest.raises(ArgumentError, match=re.escape(message)):
        read_place_options([option])


def test_places_are_of_people_who_are_there_and_frames_of_the_video() -> None:
    assert parse_places({"BEN": "left"}, NAMES) == [None, PlacePath(places={0: "left"}), None]
    with pytest.raises(ArgumentError, match="dora has a place and no photo; give one place to each of ana, ben, cy"):
        parse_places({"dora": "left"}, NAMES)
    with pytest.raises(ArgumentError, match="ben has a place at frame 9, but the last of the video's frames is 8"):
        check_frames(paths(None, {0: "left", 9: "right"}, None), NAMES, 9)


def test_a_place_moves_on_the_straight_way_between_key_frames_and_stays_outside_them() -> None:
    path = PlacePath.parse({2: (0.0, 0.0, 0.2, 0.5), 6: (0.4, 0.5, 1.0, 1.0)}, name="ana")
    edges = [path.at(frame, num_people=2).edges for frame in (0, 2, 5, 8)]
    expected = [(0, 0, 0.2, 0.5), (0, 0, 0.2, 0.5), (0.3, 0.375, 0.8, 0.875), (0.4, 0.5, 1, 1)]
    np.testing.assert_allclose(edges, expected)


def test_names_of_places_are_columns_of_as_many_people_as_there_are() -> None:
    halves = [PlacePath.parse(name, name="ana").at(0, num_people=2).edges for name in ("left", "right")]
    assert halves == [(0, 0, 0.5, 1), (0.5, 0, 1, 1)]
    middle = PlacePath.parse("middle", name="ana").at(0, num_people=3)
    np.testing.assert_allclose(middle.edges, (1 / 3, 0, 2 / 3, 1))


def test_people_stand_in_their_places_and_the_others_share_what_is_left() -> None:
    layout = place_people(paths(None, (0.5, 0.5, 0.75, 1.0), None), (3, 2, 8), FRAMES)
    assert layout[0].tolist() == [[0, 0, 2, 2, -1, -1, -1, -1], [0, 0, 2, 2, 1, 1, -1, -1]]
    assert (layout == layout[0]).all()
    assert left_to_right(layout, 3) == [0, 2, 1]


def test_without_places_people_stand_in_columns() -> None:
    assert place_people(paths(None, None), (1, 1, 5), FRAMES[:1]).tolist() == [[[0, 0, 0, 1, 1]]]


def test_a_walk_across_leaves_the_other_the_side_that_has_room() -> None:
    layout = place_people(paths({0: "left", 8: "right"}, None), (3, 1, 6), FRAMES)
    assert layout[:, 0].tolist() == [[0, 0, 0, 1, 1, 1], [-1, 0, 0, 0, 1, 1], [1, 1, 0, 0, 0, -1]]


def test_the_others_stay_where_nobody_ever_comes() -> None:
    layout = place_people(paths({0: (0, 0, 0.3, 1), 8: (0.2, 0, 0.5, 1)}, None, None), (3, 1, 8), FRAMES)
    assert layout[:, 0, :4].tolist() == [[0, 0, -1, -1], [0, 0, 0, -1], [-1, 0, 0, 0]]
    assert layout[:, 0, 4:].tolist() == [[1, 1, 2, 2]] * 3


def test_a_place_smaller_than_a_token_has_the_nearest_one() -> None:
    layout = place_people(paths((0.3, 0.3, 0.32, 0.32), None), (1, 3, 4), FRAMES[:1])
    assert [axis.tolist() for axis in (layout[0] == 0).nonzero()] == [[0], [1]]


def test_nobody_is_left_without_room() -> None:
    with pytest.raises(ArgumentError, match="The places leave no room for 1 of 2 people"):
        place_people(paths((0, 0, 1, 1), None), (1, 2, 4), FRAMES[:1])


def test_the_bias_is_what_the_formula_says() -> None:
    """Own place: plus the strength; elsewhere minus; the place of somebody else: out of reach."""
    grid, boxes = (2, 3, 5), [(0.0, 0.0, 0.6, 1.0), (0.4, 0.3, 1.0, 1.0)]
    strengths = (4.0, 1.5)
    given = [PlacePath.parse(box, name="ana", strength=each) for box, each in zip(boxes, strengths, strict=True)]
    bias = place_bias([*given, None], grid, FRAMES[:2]).reshape(*grid, 3)
    for _, row, column in np.ndindex(*grid):
        x, y = (column + 0.5) / 5, (row + 0.5) / 3
        inside = [left <= x <= right and top <= y <= bottom for left, top, right, bottom in boxes] + [False]
        for person, strength in enumerate((*strengths, 0.0)):
            expected = strength if inside[person] else (-1e4 if any(inside) else -strength)
            assert (bias[:, row, column, person] == expected).all()


def test_strength_comes_from_json_or_by_default() -> None:
    assert PlacePath.parse({"0": "left", "strength": 1}, name="ana").strength == 1
    assert PlacePath.parse("left", name="ana").strength == PLACE_STRENGTH
    assert torch.from_numpy(place_bias(paths("left"), (1, 2, 4), FRAMES[:1])).shape == (8, 1)
