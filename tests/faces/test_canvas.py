"""The canvas: published positions, the grid for any number of people, and what a crop becomes."""

import numpy as np
import pytest
from PIL import Image

from ingredients.core.errors import ShapeError
from ingredients.faces.canvas import CanvasSlot, canvas_slots, compose_canvas


def test_two_people_get_the_published_positions() -> None:
    left, right = canvas_slots(2, 480, 720)
    assert left == CanvasSlot(left=0, top=60, size=360)
    assert right == CanvasSlot(left=360, top=60, size=360)
    assert canvas_slots(1, 480, 720) == [left]


@pytest.mark.parametrize("num_people", [3, 4, 5, 6])
def test_three_to_six_people_fill_a_grid_of_three_columns(num_people: int) -> None:
    slots = canvas_slots(num_people, 480, 720)
    assert [(slot.left, slot.top) for slot in slots] == [(240 * (n % 3), 240 * (n // 3)) for n in range(num_people)]
    assert {slot.size for slot in slots} == {240}


def test_the_grid_is_centred_when_the_canvas_has_another_shape() -> None:
    assert canvas_slots(2, 40, 100) == [CanvasSlot(left=10, top=0, size=40), CanvasSlot(left=50, top=0, size=40)]
    assert canvas_slots(3, 64, 120)[0] == CanvasSlot(left=12, top=0, size=32)


@pytest.mark.parametrize("num_people", range(1, 40))
@pytest.mark.parametrize(("height", "width"), [(64, 96), (96, 64), (480, 720)])
def test_slots_stay_inside_and_never_overlap(num_people: int, height: int, width: int) -> None:
    taken = np.zeros((height, width), dtype=int)
    for slot in canvas_slots(num_people, height, width):
        assert slot.left in range(width - slot.size + 1)
        assert slot.top in range(height - slot.size + 1)
        taken[slot.top : slot.top + slot.size, slot.left : slot.left + slot.size] += 1
    assert taken.max() == 1


def test_more_people_get_the_grid_with_the_largest_slots() -> None:
    assert canvas_slots(7, 64, 96)[0].size == 24  # 4 x 2; 3 x 3 would give 21
    assert canvas_slots(12, 64, 96)[0].size == 21


def test_too_many_people_are_refused_with_the_number_that_fits() -> None:
    assert len(canvas_slots(96, 64, 96)) == 96
    with pytest.raises(ShapeError, match=r"97 faces do not fit on a canvas of 96x64 pixels; use at most 96 people"):
        canvas_slots(97, 64, 96)


def test_zero_people_are_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        canvas_slots(0, 64, 96)


def test_crops_are_pasted_in_order_on_white_with_pillows_default_filter() -> None:
    generator = np.random.default_rng(5)
    crops = [generator.integers(0, 256, (side, side, 3), dtype=np.uint8) for side in (50, 70)]
    canvas = compose_canvas(crops, 64, 96)
    assert canvas.shape == (64, 96, 3)
    assert canvas.dtype == np.uint8
    for crop, left in zip(crops, (0, 48), strict=True):
        expected = np.asarray(Image.fromarray(crop).resize((48, 48), Image.Resampling.BICUBIC))
        np.testing.assert_array_equal(canvas[8:56, left : left + 48], expected)
    assert (canvas[:8] == 255).all()
    assert (canvas[56:] == 255).all()


def test_one_person_leaves_the_right_half_white() -> None:
    canvas = compose_canvas(np.zeros((1, 48, 48, 3), dtype=np.uint8), 64, 96)
    assert (canvas[8:56, :48] == 0).all()
    assert (canvas[:, 48:] == 255).all()
