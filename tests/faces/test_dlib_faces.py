"""dlib on a photograph of a person, scikit-image's astronaut, and on what becomes of it."""

import sys
from collections.abc import Callable
from pathlib import Path

import dlib
import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image, ImageEnhance

from ingredients.core.arrays import UInt8Array
from ingredients.core.errors import MissingDependencyError
from ingredients.faces import dlib_faces
from ingredients.faces.dlib_faces import DlibFaceDetector, DlibFaceReader

SAME_PERSON = 0.6
"""dlib's own threshold of the distance."""


@pytest.fixture(scope="module")
def reader() -> DlibFaceReader:
    return DlibFaceReader()


@pytest.fixture(scope="module")
def astronaut() -> UInt8Array:
    return np.asarray(skimage.data.astronaut())


def embed(reader: DlibFaceReader, photo: UInt8Array) -> torch.Tensor:
    (face,) = reader.detector.detect(photo)
    return reader.recogniser.embed(reader.recogniser.align(photo, face.landmarks)[None])[0]


def changed(photo: UInt8Array, change: Callable[[Image.Image], Image.Image]) -> UInt8Array:
    return np.asarray(change(Image.fromarray(photo)))


def add_noise(photo: Image.Image) -> Image.Image:
    noise = np.random.default_rng(0).normal(scale=20, size=(photo.height, photo.width, 3))
    return Image.fromarray((np.asarray(photo) + noise).clip(0, 255).astype(np.uint8))


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "rotated": lambda photo: photo.rotate(15, resample=Image.Resampling.BILINEAR),
    "mirrored": lambda photo: photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "cropped": lambda photo: photo.crop((140, 20, 300, 220)),
    "dark": lambda photo: ImageEnhance.Brightness(photo).enhance(0.25),
    "noisy": add_noise,
    "tiny": lambda photo: photo.resize((photo.width // 2, photo.height // 2)),
}


def test_the_face_of_a_photograph_is_found(reader: DlibFaceReader, astronaut: UInt8Array) -> None:
    (face,) = reader.detector.detect(astronaut)
    left_eye, right_eye, nose, left_mouth, right_mouth = face.landmarks
    assert left_eye[0] < nose[0] < right_eye[0]
    assert left_mouth[0] < nose[0] < right_mouth[0]
    assert max(left_eye[1], right_eye[1]) < nose[1] < min(left_mouth[1], right_mouth[1])
    left, top, right, bottom = face.box
    assert (face.landmarks > (left, top)).all()
    assert (face.landmarks < (right, bottom)).all()


def test_the_crop_is_the_one_that_dlib_cuts(reader: DlibFaceReader, astronaut: UInt8Array) -> None:
    rectangle = dlib.get_frontal_face_detector()(astronaut, 1)[0]
    predictor = dlib.shape_predictor(str(dlib_faces._model_file("shape_predictor_68_face_landmarks.dat")))
    network = dlib.face_recognition_model_v1(str(dlib_faces._model_file("dlib_face_recognition_resnet_model_v1.dat")))
    theirs = torch.tensor(network.compute_face_descriptor(astronaut, predictor(astronaut, rectangle)))
    distance = float((embed(reader, astronaut) - theirs.float()).norm())
    assert distance < SAME_PERSON / 4  # it fits 51 points where we fit five


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_photograph_shows_the_same_person(reader: DlibFaceReader, astronaut: UInt8Array, name: str) -> None:
    distance = (embed(reader, astronaut) - embed(reader, changed(astronaut, CHANGES[name]))).norm()
    assert float(distance) < SAME_PERSON


def test_two_faces_are_two(reader: DlibFaceReader, astronaut: UInt8Array) -> None:
    stretched = changed(astronaut, lambda photo: photo.resize((380, 620)).crop((100, 0, 260, 300)))
    both = np.zeros((512, 512 + 160, 3), np.uint8)
    both[:, :512] = astronaut
    both[:300, 512:] = stretched
    faces = reader.detector.detect(both)
    assert len(faces) == 2
    crops = np.stack([reader.recogniser.align(both, face.landmarks) for face in faces])
    embeds = reader.recogniser.embed(crops)
    assert embeds.shape == (2, 128)
    assert reader.recogniser.embed(crops[:0]).shape == (0, 128)


def test_nothing_is_found_where_nobody_is(reader: DlibFaceReader) -> None:
    assert reader.detector.detect(np.asarray(skimage.data.chelsea())) == []  # a cat
    assert reader.detector.detect(np.zeros((40, 60, 3), np.uint8)) == []


def test_what_is_not_installed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dlib_faces, "_MODELS", "face_recognition_models_that_nobody_has")
    with pytest.raises(MissingDependencyError, match=r'pip install "ingredients\[dlib\]"'):
        DlibFaceDetector()
    monkeypatch.setitem(sys.modules, "dlib", None)
    with pytest.raises(MissingDependencyError, match=r'pip install "ingredients\[dlib\]"'):
        DlibFaceDetector()


def test_the_models_lie_beside_their_package() -> None:
    assert dlib_faces._model_file("dlib_face_recognition_resnet_model_v1.dat").is_file()
    assert isinstance(dlib_faces._model_file("x"), Path)
