"""A network of InceptionV3's shape that answers with the mean of its input."""

import numpy as np
import pytest

from ingredients.core.errors import ModelFolderError, UserInputError
from ingredients.evaluation.case_record import INCEPTION_DIM, unpack_features
from ingredients.evaluation.inception import InceptionFeatures, cut_face_region
from ingredients.evaluation.measure import region_features
from ingredients.evaluation.metrics.distributions import frechet_distance
from tests.evaluation.stand_ins import make_face
from tests.faces.onnx_models import write_mean_colour


@pytest.fixture
def inception(tmp_path) -> InceptionFeatures:
    weight = np.zeros((3, INCEPTION_DIM), dtype=np.float32)
    weight[0, 5] = weight[1, 6] = weight[2, 7] = 1
    return InceptionFeatures(write_mean_colour(tmp_path / "inception.onnx", weight, size=299))


def test_the_network_is_fed_rgb_from_0_to_1_whatever_the_size(inception):
    pictures = [np.full((9, 7, 3), (255, 51, 0), np.uint8), np.full((400, 310, 3), (0, 102, 255), np.uint8)]
    features = inception.embed(pictures)
    assert features.shape == (2, INCEPTION_DIM)
    np.testing.assert_allclose(features[:, 5:8], [[1, 0.2, 0], [0, 0.4, 1]], atol=1e-4)
    assert inception.embed([]).shape == (0, INCEPTION_DIM)


def test_pictures_are_brought_to_size_bilinearly(inception):
    """Half black, half white in two columns: bilinear between them, constant beyond their middles."""
    picture = np.zeros((1, 2, 3), np.uint8)
    picture[:, 1] = 255
    positions = np.clip((np.arange(299) + 0.5) * 2 / 299 - 0.5, 0, 1)
    np.testing.assert_allclose(inception.embed([picture])[0, 5], positions.mean(), atol=1e-4)


def test_face_regions_are_the_boxes_within_the_picture():
    picture = np.arange(8 * 10 * 3, dtype=np.uint8).reshape(8, 10, 3)
    np.testing.assert_array_equal(cut_face_region(picture, make_face(2, 1, 5, 7)), picture[1:7, 2:5])
    np.testing.assert_array_equal(cut_face_region(picture, make_face(-4, -2, 3, 20)), picture[:, :3])
    assert cut_face_region(picture, make_face(30, 30, 40, 40)).shape == (1, 1, 3)


def test_identical_faces_have_fid_0(inception):
    frames = np.random.default_rng(0).integers(0, 255, size=(4, 12, 16, 3), dtype=np.uint8)
    faces = [[make_face(1, 2, 9, 10)]] * 4
    features = unpack_features(region_features(inception, frames, faces)).astype(np.float64)
    assert features.shape == (4, INCEPTION_DIM)
    assert frechet_distance(features, features[::-1]) == pytest.approx(0, abs=1e-9)


def test_another_network_gives_no_fid(tmp_path):
    narrow = InceptionFeatures(write_mean_colour(tmp_path / "narrow.onnx", np.ones((3, 1000)), size=299))
    with pytest.raises(UserInputError, match="gives 1000 features instead of 2048"):
        narrow.embed([np.zeros((9, 9, 3), np.uint8)])
    with pytest.raises(ModelFolderError, match=r"instead of pictures \(B, 3, 299, 299\)"):
        InceptionFeatures(write_mean_colour(tmp_path / "small.onnx", np.ones((3, INCEPTION_DIM)), size=224))
    with pytest.raises(UserInputError, match="does not exist"):
        InceptionFeatures(tmp_path / "none.onnx")
