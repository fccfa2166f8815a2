"""A routing map as a picture to paint in, and as text."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ingredients.core.arrays import Int64Array
from ingredients.core.errors import OutputError, ShapeError, UserInputError
from ingredients.generation.routing_edit import load_routing, save_routing

GRID = (2, 3, 4)
NAMES = ("ana", "ben", "cy")


@pytest.fixture
def routing() -> Int64Array:
    return np.random.default_rng(0).integers(-1, 3, GRID)


@pytest.mark.parametrize("name", ["map.png", "map.json"])
def test_a_map_comes_back_as_it_went(tmp_path: Path, routing: Int64Array, name: str) -> None:
    save_routing(tmp_path / name, routing, NAMES)
    assert np.array_equal(load_routing(tmp_path / name, NAMES, GRID), routing)


def test_a_picture_has_a_square_for_each_token_and_bars_between_frames(tmp_path: Path, routing: Int64Array) -> None:
    save_routing(tmp_path / "map.png", routing, NAMES)
    picture = np.asarray(Image.open(tmp_path / "map.png"))
    assert picture.shape == (3 * 16, (4 + 1 + 4) * 16, 3)
    assert (picture[:, 64:80] == 128).all()
    assert (picture[:16, :16] == picture[0, 0]).all()


def test_a_picture_may_be_painted_by_hand_and_scaled(tmp_path: Path) -> None:
    save_routing(tmp_path / "map.png", np.zeros(GRID, np.int64), NAMES)
    picture = np.asarray(Image.open(tmp_path / "map.png")).copy()
    picture[17:31, 5 * 16 + 1 : 6 * 16 - 2] = (86, 180, 233)  # most of a token of frame 1, in the colour of ben
    picture[0:5, 0:5] = (1, 2, 3)  # less than half of one
    Image.fromarray(picture).resize((9 * 32, 3 * 32), Image.Resampling.NEAREST).save(tmp_path / "map.png")
    expected = np.zeros(GRID)
    expected[1, 1, 0] = 1
    assert np.array_equal(load_routing(tmp_path / "map.png", NAMES, GRID), expected)


def test_names_of_a_text_may_stand_in_another_order(tmp_path: Path) -> None:
    save_routing(tmp_path / "map.json", np.array([[[0, 1, -1]]]), ("Ben", "ana"))
    assert load_routing(tmp_path / "map.json", NAMES, (1, 1, 3)).tolist() == [[[1, 0, -1]]]


def test_a_picture_of_another_size_and_a_colour_of_nobody(tmp_path: Path, routing: Int64Array) -> None:
    path = tmp_path / "map.png"
    save_routing(path, routing, NAMES)
    with pytest.raises(ShapeError, match=r"is 144x48, and one of 2 frames of 5x3 tokens, .* multiple of 11x3"):
        load_routing(path, NAMES, (2, 3, 5))
    picture = np.asarray(Image.open(path)).copy()
    picture[16:32, 16:32] = (1, 2, 3)
    Image.fromarray(picture).save(path)
    message = "#010203 in frame 1, row 2, column 2, which is nobody's; paint #ffffff for nobody, #e69f00 for ana"
    with pytest.raises(UserInputError, match=re.escape(message)):
        load_routing(path, NAMES, GRID)


def test_a_text_of_other_people_numbers_or_rows(tmp_path: Path, routing: Int64Array) -> None:
    path = tmp_path / "map.json"
    save_routing(path, routing, ("ana", "dora", "cy"))
    with pytest.raises(UserInputError, match="speaks of dora, but the photos are of ana, ben, cy"):
        load_routing(path, NAMES, GRID)
    save_routing(path, np.full(GRID, 3), NAMES)
    with pytest.raises(UserInputError, match="holds 3, and numbers are -1 for nobody or those of 0 for ana, 1"):
        load_routing(path, NAMES, GRID)
    record = json.loads(path.read_text())
    record["tokens"][1][2].pop()
    path.write_text(json.dumps(record))
    with pytest.raises(ShapeError, match="must hold 2 frames of 3 rows of 4 numbers each"):
        load_routing(path, NAMES, GRID)


def test_other_endings(tmp_path: Path, routing: Int64Array) -> None:
    with pytest.raises(OutputError, match=r"must have a name that ends in \.png or \.json"):
        save_routing(tmp_path / "map.jpg", routing, NAMES)
    with pytest.raises(UserInputError, match=r"is no \.png and no \.json"):
        load_routing(tmp_path / "map.jpg", NAMES, GRID)
