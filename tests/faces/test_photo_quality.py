"""What is said of good photos (nothing) and of bad ones (what is bad about them), drawn and photographed."""

from collections.abc import Callable

import numpy as np
import pytest
import skimage.data
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter

from ingredients.core.arrays import UInt8Array
from ingredients.core.protocols import Face
from ingredients.faces.alignment import ARCFACE_TEMPLATE
from ingredients.faces.detector import HeatmapFaceDetector
from ingredients.faces.dlib_faces import DlibFaceDetector
from ingredients.faces.drawn_face_stack import load_drawn_face_stack
from ingredients.faces.photo_quality import (
    DRAWN_LIMITS,
    PHOTOGRAPH_LIMITS,
    PhotoLimits,
    estimate_turn,
    find_doubts,
    measure_photo,
)
from ingredients.media.photos import load_photo
from ingredients.model_folders.find_model import default_model_path
from ingredients.model_folders.folder_names import FACE_ENCODER
from ingredients.world import render_portrait, sample_identity

Change = Callable[[Image.Image], Image.Image]


def changed(photo: UInt8Array, change: Change) -> UInt8Array:
    return np.asarray(change(Image.fromarray(photo)))


def reasons(photo: UInt8Array, face: Face, limits: PhotoLimits) -> list[str]:
    quality = measure_photo(photo, face, sharpness_size=limits.sharpness_size)
    return [doubt.reason for doubt in find_doubts(quality, limits)]


def blur(radius: float) -> Change:
    return lambda photo: photo.filter(ImageFilter.GaussianBlur(radius))


def lighten(factor: float) -> Change:
    return lambda photo: ImageEnhance.Brightness(photo).enhance(factor)


def shrink(factor: float) -> Change:
    return lambda photo: photo.resize((round(photo.width / factor), round(photo.height / factor)))


def crop(left: int, top: int, right: int, bottom: int) -> Change:
    return lambda photo: photo.crop((left, top, right, bottom))


def add_noise(photo: Image.Image) -> Image.Image:
    noise = np.random.default_rng(0).normal(scale=20, size=(photo.height, photo.width, 3))
    return Image.fromarray((np.asarray(photo) + noise).clip(0, 255).astype(np.uint8))


# The angle


@pytest.mark.parametrize("degrees", [-60.0, -25.0, 0.0, 40.0])
@pytest.mark.parametrize("tilt", [0.0, -20.0, 100.0])
def test_the_angle_of_a_turned_head_is_found(degrees: float, tilt: float) -> None:
    head = np.array([[-0.5, 0, 0], [0.5, 0, 0], [0, 0.6, 0.43], [-0.4, 1.1, 0], [0.4, 1.1, 0]])  # x, y, towards us
    angle, roll = np.radians(degrees), np.radians(tilt)
    x = head[:, 0] * np.cos(angle) + head[:, 2] * np.sin(angle)
    y = head[:, 1]
    landmarks = 70 * np.stack([x * np.cos(roll) - y * np.sin(roll), x * np.sin(roll) + y * np.cos(roll)], axis=-1)
    assert estimate_turn(landmarks.astype(np.float32) + 200) == pytest.approx(degrees, abs=0.01)


# Photographs


@pytest.fixture(scope="module")
def dlib() -> DlibFaceDetector:
    return DlibFaceDetector()


@pytest.fixture(scope="module")
def astronaut() -> UInt8Array:
    return np.asarray(skimage.data.astronaut())


@pytest.mark.parametrize(
    "change",
    [
        lambda photo: photo,
        lambda photo: photo.rotate(15, resample=Image.Resampling.BILINEAR),
        lambda photo: photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        crop(140, 20, 300, 220),
        lighten(0.5),
        lighten(1.2),
        add_noise,
        blur(0.7),
        lambda photo: photo.resize((photo.width * 3, photo.height * 3)),
    ],
    ids=["as it is", "rotated", "mirrored", "cropped", "darker", "lighter", "noisy", "softened", "enlarged"],
)
def test_a_good_photograph_is_not_doubted(dlib: DlibFaceDetector, astronaut: UInt8Array, change: Change) -> None:
    photo = changed(astronaut, change)
    (face,) = dlib.detect(photo)
    assert reasons(photo, face, PHOTOGRAPH_LIMITS) == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (shrink(2), "only 44 pixels wide"),
        (blur(2), "blurred (sharpness 0.08, less than 0.15)"),
        (lambda photo: shrink(6)(photo).resize(photo.size), "blurred (sharpness 0.0"),
        (lighten(0.2), "dark (its brightest parts reach 17% of white)"),
        (lighten(1.5), "overexposed (30% of it is plain white)"),
        (crop(0, 75, 512, 512), "cut off by the photo's edge (13% of it is outside)"),
        (crop(200, 0, 512, 512), "cut off by the photo's edge (14% of it is outside)"),
    ],
    ids=["small", "blurred", "enlarged", "dark", "overexposed", "cut above", "cut at the side"],
)
def test_a_bad_photograph_is_told_by_what_is_bad(
    dlib: DlibFaceDetector, astronaut: UInt8Array, change: Change, reason: str
) -> None:
    photo = changed(astronaut, change)
    (face,) = dlib.detect(photo)
    (told,) = reasons(photo, face, PHOTOGRAPH_LIMITS)
    assert told.startswith(reason)


def cover(photo: UInt8Array, face: Face, part: str, colour: tuple[int, int, int]) -> UInt8Array:
    """Paints a rectangle, or a blob the shape of a fist, over a part of a face."""
    left_eye, right_eye, nose, left_mouth, right_mouth = face.landmarks
    left, top, right, bottom = face.box
    eyes, mouth = (left_eye + right_eye) / 2, (left_mouth + right_mouth) / 2
    unit = float(right_eye[0] - left_eye[0])
    picture = Image.fromarray(photo)
    draw = ImageDraw.Draw(picture)
    if part == "mask":
        draw.rectangle((left, (nose[1] + mouth[1]) / 2, right, bottom + unit / 4), fill=colour)
    elif part == "fist":
        draw.ellipse((mouth[0] - unit, mouth[1] - unit / 3, mouth[0] + unit, mouth[1] + unit), fill=colour)
    elif part == "glasses":
        draw.rectangle((left, eyes[1] - unit / 4, right, eyes[1] + unit / 4), fill=colour)
    else:
        draw.rectangle((left - unit, top - unit, nose[0], bottom + unit / 4), fill=colour)
    return np.asarray(picture)


@pytest.mark.parametrize("colour", [(120, 170, 220), (20, 20, 25), (240, 240, 240), (190, 140, 120)])
@pytest.mark.parametrize(
    ("part", "names"),
    [("mask", "the mouth"), ("fist", "the mouth"), ("glasses", "both eyes"), ("side", "the eye at the left")],
)
def test_a_covered_part_is_named(
    dlib: DlibFaceDetector, astronaut: UInt8Array, part: str, names: str, colour: tuple[int, int, int]
) -> None:
    """By the landmarks of the bare face: other detectors find covered faces, too."""
    (face,) = dlib.detect(astronaut)
    covered = cover(astronaut, face, part, colour)
    told = [reason for reason in reasons(covered, face, PHOTOGRAPH_LIMITS) if reason.startswith("covered")]
    assert len(told) == 1
    assert told[0].startswith(f"covered at {names}")
    # dlib itself finds nothing, or the covering is told of what it finds
    assert all(reasons(covered, found, PHOTOGRAPH_LIMITS) for found in dlib.detect(covered))


def test_a_turned_photograph_is_doubted(dlib: DlibFaceDetector, astronaut: UInt8Array) -> None:
    """The near half of the face pulled wide and the far half pressed together, as a turned head shows them."""
    (face,) = dlib.detect(astronaut)
    middle = float(face.landmarks[2, 0])
    columns = np.arange(astronaut.shape[1])
    pressed = np.where(columns < middle, middle - (middle - columns) / 1.4, middle + (columns - middle) / 0.4)
    turned = astronaut[:, np.clip(np.round(pressed), 0, astronaut.shape[1] - 1).astype(int)]
    faces = dlib.detect(turned)
    told = [reason for found in faces for reason in reasons(turned, found, PHOTOGRAPH_LIMITS)]
    assert any(reason.startswith("turned to the side by about") for reason in told), (len(faces), told)


# Drawings


@pytest.fixture(scope="module")
def drawn() -> HeatmapFaceDetector:
    return load_drawn_face_stack(default_model_path() / FACE_ENCODER).detector


def portrait(seed: int, size: int) -> UInt8Array:
    return render_portrait(sample_identity(seed, "eval"), seed, size=size).image


@pytest.mark.parametrize("size", [96, 256])
def test_portraits_are_not_doubted(drawn: HeatmapFaceDetector, size: int) -> None:
    for seed in range(60):
        photo = portrait(seed, size)
        (face,) = drawn.detect(photo)
        assert reasons(photo, face, DRAWN_LIMITS) == [], seed


@pytest.mark.parametrize("name", ["ana", "ben", "cleo"])
def test_the_examples_are_not_doubted(drawn: HeatmapFaceDetector, name: str) -> None:
    photo = load_photo(f"examples/{name}.png")
    (face,) = drawn.detect(photo)
    assert reasons(photo, face, DRAWN_LIMITS) == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (shrink(8), "only 1"),
        (blur(8), "blurred (sharpness 0.0"),
        (lighten(0.22), "dark (its brightest parts reach 1"),
        (lighten(5.0), "overexposed ("),
        (lambda photo: photo.crop((0, 0, photo.width * 52 // 100, photo.height)), ""),
        (lambda photo: photo.crop((0, photo.height // 2, photo.width, photo.height)), ""),
    ],
    ids=["small", "blurred", "dark", "overexposed", "half of it", "lower half"],
)
def test_bad_portraits_are_told_by_what_is_bad(drawn: HeatmapFaceDetector, change: Change, reason: str) -> None:
    """Most of those in which a face is found at all; half a face is cut off, or doubtful to the detector."""
    told = found = 0
    for seed in range(16):
        photo = changed(portrait(seed, 256), change)
        faces = drawn.detect(photo)
        found += bool(faces)
        told += any(each.startswith(reason) for face in faces for each in reasons(photo, face, DRAWN_LIMITS))
    assert found >= 10
    assert told >= 0.7 * found


@pytest.mark.parametrize("part", ["side", "mask", "glasses"])
def test_a_covered_portrait_is_often_doubted_or_not_found(drawn: HeatmapFaceDetector, part: str) -> None:
    doubted = 0
    for seed in range(16):
        photo = portrait(seed, 256)
        (face,) = drawn.detect(photo)
        covered = cover(photo, face, part, (120, 170, 220))
        doubted += all(reasons(covered, each, DRAWN_LIMITS) for each in drawn.detect(covered))
    assert doubted >= 5


# The limits themselves


def test_each_limit_is_one_that_can_be_crossed() -> None:
    landmarks = np.array(ARCFACE_TEMPLATE, np.float32) * 112
    photo = np.random.default_rng(1).integers(0, 256, (112, 112, 3), dtype=np.uint8)
    face = Face(box=np.array([10, 10, 100, 110], np.float32), score=0.3, landmarks=landmarks)
    quality = measure_photo(photo, face, sharpness_size=40)
    assert quality.confidence == 0.3
    assert quality.size == pytest.approx(9000**0.5)
    assert quality.cut_off < 0.05
    assert max(quality.contrasts) == 1.0
    shifted = Face(box=face.box, score=0.3, landmarks=landmarks - [56, 0])
    assert measure_photo(photo, shifted, sharpness_size=40).cut_off == pytest.approx(0.5, abs=0.03)
    blank = measure_photo(np.full((112, 112, 3), 255, np.uint8), face, sharpness_size=40)
    assert (blank.sharpness, blank.brightness, blank.overexposed, blank.contrasts) == (0.0, 1.0, 1.0, (1.0, 1.0, 1.0))


def test_a_doubt_is_one_sentence() -> None:
    face = Face(
        box=np.array([4, 4, 34, 24], np.float32), score=0.9, landmarks=np.array(ARCFACE_TEMPLATE, np.float32) * 30
    )
    quality = measure_photo(np.full((40, 50, 3), 90, np.uint8), face, sharpness_size=32)
    doubts = find_doubts(quality, PHOTOGRAPH_LIMITS)
    assert doubts[0].sentence(person="ana", label="ana.jpg") == (
        "The face of ana in ana.jpg is only 24 pixels wide; a larger photo keeps more."
    )
