import math

import numpy as np
import pytest
from PIL import Image, ImageDraw

from ingredients.faces.alignment import (
    ARCFACE_TEMPLATE,
    FFHQ_FILL,
    FFHQ_TEMPLATE,
    align_face,
    crop_arcface,
    crop_ffhq,
    sharpness,
    similarity_transform,
)


def _apply(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    return points @ matrix[:, :2].T + matrix[:, 2]


@pytest.mark.parametrize(
    ("scale", "angle", "shift"), [(1.0, 0.0, (3.0, -4.0)), (2.5, 0.7, (0.0, 9.0)), (0.2, -2.0, (1, 1))]
)
def test_similarity_recovers_a_known_transform(scale: float, angle: float, shift: tuple[float, float]) -> None:
    source = np.array(FFHQ_TEMPLATE, np.float32) * 100
    linear = scale * np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    target = (source @ linear.T + shift).astype(np.float32)
    matrix = similarity_transform(source, target)
    np.testing.assert_allclose(matrix[:, :2], linear, atol=1e-4)
    np.testing.assert_allclose(matrix[:, 2], shift, atol=1e-2)


def test_similarity_is_the_least_squares_answer() -> None:
    rng = np.random.default_rng(0)
    source = rng.normal(size=(5, 2)).astype(np.float32)
    target = rng.normal(size=(5, 2)).astype(np.float32)
    # the same problem as a linear system: u = a x - b y + c, v = b x + a y + d
    rows = [[[x, -y, 1, 0], [y, x, 0, 1]] for x, y in source]
    (a, b, c, d), *_ = np.linalg.lstsq(np.array(rows).reshape(10, 4), target.reshape(10), rcond=None)
    np.testing.assert_allclose(similarity_transform(source, target), [[a, -b, c], [b, a, d]], atol=1e-5)


def test_similarity_never_mirrors() -> None:
    source = np.array(ARCFACE_TEMPLATE, np.float32)
    matrix = similarity_transform(source, source * np.array([-1.0, 1.0], np.float32))
    assert np.linalg.det(matrix[:, :2]) > 0


def test_similarity_refuses_coinciding_points() -> None:
    with pytest.raises(ValueError, match="coincide"):
        similarity_transform(np.ones((5, 2), np.float32), np.array(FFHQ_TEMPLATE, np.float32))
    with pytest.raises(ValueError, match="points, 2"):
        similarity_transform(np.ones((5, 2), np.float32), np.ones((4, 2), np.float32))


def _dots(landmarks: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    image = Image.new("RGB", size, (255, 255, 255))
    draw = ImageDraw.Draw(image)
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 0, 255), (0, 255, 255)]
    for (x, y), colour in zip(landmarks, colours, strict=True):
        draw.ellipse([x - 9, y - 9, x + 9, y + 9], fill=colour)
    return np.asarray(image)


@pytest.mark.parametrize("zoom", [1.0, 6.0])
def test_landmarks_come_to_lie_on_the_template(zoom: float) -> None:
    landmarks = (np.array(FFHQ_TEMPLATE, np.float32) * 150 * zoom) + np.array([20.0, 10.0], np.float32)
    crop = align_face(_dots(landmarks, (int(200 * zoom), int(190 * zoom))), landmarks, template=FFHQ_TEMPLATE, size=90)
    assert crop.shape == (90, 90, 3)
    expected = np.array([(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 0, 255), (0, 255, 255)])
    if zoom == 1.0:
        for (x, y), colour in zip(np.array(FFHQ_TEMPLATE) * 90, expected, strict=True):
            np.testing.assert_array_equal(crop[int(y), int(x)], colour)
    else:  # the dots shrink below three pixels, but stay where they were
        for (x, y), colour in zip(np.array(FFHQ_TEMPLATE) * 90, expected, strict=True):
            assert np.abs(crop[int(y), int(x)].astype(int) - colour).max() < 110


def test_what_lies_outside_is_filled() -> None:
    image = np.zeros((40, 50, 3), np.uint8)
    landmarks = np.array(FFHQ_TEMPLATE, np.float32) * 30 - 5
    crop = crop_ffhq(image, landmarks, size=64)
    np.testing.assert_array_equal(crop[0, 0], FFHQ_FILL)


def test_the_arcface_crop_is_tighter() -> None:
    landmarks = np.array(FFHQ_TEMPLATE, np.float32) * 64 + 30
    image = _dots(landmarks, (124, 130))
    wide, tight = crop_ffhq(image, landmarks, size=64), crop_arcface(image, landmarks, size=64)
    coloured = [(crop < 128).any(-1).mean() for crop in (wide, tight)]
    assert coloured[1] > 1.3 * coloured[0]


def test_a_sharp_crop_is_sharper_than_its_blurred_self() -> None:
    crop = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    blurred = np.asarray(Image.fromarray(crop).resize((8, 8)).resize((32, 32)))
    assert sharpness(crop) > 10 * sharpness(blurred)
    assert sharpness(np.full((9, 9, 3), 77, np.uint8)) == pytest.approx(0.0, abs=1e-6)
