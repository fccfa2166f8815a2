"""Judges from ONNX files, whose answer is the mean of the network's input: preprocessing worked out by hand."""

from pathlib import Path

import numpy as np
import pytest
import torch

from ingredients.core.errors import ModelFolderError
from ingredients.faces.alignment import ARCFACE_TEMPLATE
from ingredients.faces.onnx_judges import FACENET_TEMPLATE, OnnxArcFaceJudge, OnnxFaceNetJudge
from tests.faces.onnx_models import write_mean_colour

WEIGHT = np.array([[1, 0, 0, 2], [0, 1, 0, 0], [0, 0, 1, 0]], dtype=np.float32)  # (3, 4): red is seen twice
COLOURS = np.array([[255, 0, 128], [127, 64, 0]], dtype=np.uint8)


def crops(size: int) -> np.ndarray:
    return np.broadcast_to(COLOURS[:, None, None], (2, size, size, 3)).copy()


@pytest.mark.parametrize(
    ("judge_type", "size", "scale"), [(OnnxArcFaceJudge, 112, 127.5), (OnnxFaceNetJudge, 160, 128.0)]
)
def test_the_network_is_fed_rgb_around_zero(tmp_path, judge_type, size, scale):
    judge = judge_type(write_mean_colour(tmp_path / "net.onnx", WEIGHT, size=size))
    assert (judge.crop_size, judge.embedding_dim) == (size, 4)
    expected = (COLOURS.astype(np.float32) - 127.5) / scale @ WEIGHT
    np.testing.assert_allclose(judge.embed(crops(size)).numpy(), expected, rtol=1e-4, atol=1e-5)


def test_a_network_for_one_picture_is_asked_one_by_one(tmp_path):
    one = OnnxArcFaceJudge(write_mean_colour(tmp_path / "one.onnx", WEIGHT, batch=1))
    any_number = OnnxArcFaceJudge(write_mean_colour(tmp_path / "any.onnx", WEIGHT))
    torch.testing.assert_close(one.embed(crops(112)), any_number.embed(crops(112)))


@pytest.mark.parametrize(
    ("judge_type", "template"), [(OnnxArcFaceJudge, ARCFACE_TEMPLATE), (OnnxFaceNetJudge, FACENET_TEMPLATE)]
)
def test_the_face_is_put_where_the_network_expects_it(tmp_path, judge_type, template):
    """A photo that is the crop already, moved: each landmark is a white dot that must come to its place."""
    size = judge_type.crop_size
    judge = judge_type(write_mean_colour(tmp_path / "net.onnx", WEIGHT, size=size))
    landmarks = np.float32(template) * size + np.float32([40, 25])
    photo = np.zeros((size + 60, size + 70, 3), dtype=np.uint8)
    for column, row in landmarks.astype(int):
        photo[row - 1 : row + 2, column - 1 : column + 2] = 255
    crop = judge.align(photo, landmarks)
    assert crop.shape == (size, size, 3)
    for column, row in (np.float32(template) * size).astype(int):
        assert crop[row, column].min() > 150
    outside = judge.align(np.full((20, 20, 3), 255, dtype=np.uint8), landmarks)
    assert outside[-1, -1].tolist() == [0, 0, 0]


def test_another_network_is_refused(tmp_path):
    facenet = write_mean_colour(tmp_path / "facenet.onnx", WEIGHT, size=160)
    with pytest.raises(ModelFolderError, match=r"instead of pictures \(B, 3, 112, 112\)"):
        OnnxArcFaceJudge(facenet)
    Path(tmp_path / "text.onnx").write_text("no network")
    with pytest.raises(ModelFolderError, match="cannot be read"):
        OnnxFaceNetJudge(tmp_path / "text.onnx")
