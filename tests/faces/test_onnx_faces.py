"""Insightface's networks, played by small ONNX files of the same signature."""

import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch.nn import functional as F

from ingredients.core.errors import MissingDependencyError, ModelFolderError, UserInputError
from ingredients.faces.alignment import crop_arcface, crop_ffhq
from ingredients.faces.onnx_faces import OnnxFaceRecogniser, ScrfdFaceDetector, resize_bilinear, suppress_overlaps
from tests.faces.onnx_models import (
    BOX,
    LANDMARKS,
    SHARPNESS,
    STAGE_WIDTHS,
    write_arcface,
    write_residual_network,
    write_scrfd,
)


@pytest.fixture(scope="module")
def scrfd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scrfd(tmp_path_factory.mktemp("onnx") / "scrfd_10g_bnkps.onnx")


RED, BLUE = 0, 2


def picture_with(squares: list[tuple[int, int, int, int]], height: int, width: int) -> np.ndarray:
    """Black, with squares (row, column, side, channel) of a pure colour."""
    picture = np.zeros((height, width, 3), np.uint8)
    for row, column, side, channel in squares:
        picture[row : row + side, column : column + side, channel] = 255
    return picture


def test_faces_are_decoded_by_hand_worked_numbers(scrfd: Path) -> None:
    detector = ScrfdFaceDetector(scrfd, input_size=128)
    faces = detector.detect(picture_with([(8, 40, 8, RED), (64, 96, 32, BLUE)], 128, 128))
    assert len(faces) == 2
    for face, corner, stride in zip(faces, ((96, 64), (40, 8)), (32, 8), strict=True):  # of the cells, x then y
        left, top, right, bottom = np.array(BOX) * stride
        x, y = corner
        np.testing.assert_allclose(face.box, [x - left, y - top, x + right, y + bottom])
        np.testing.assert_allclose(face.landmarks, np.array(corner) + np.array(LANDMARKS).reshape(5, 2) * stride)
        assert face.score == pytest.approx(1 / (1 + np.exp(-SHARPNESS)), abs=1e-4)


def test_a_photo_of_any_size_is_brought_to_the_input(scrfd: Path) -> None:
    detector = ScrfdFaceDetector(scrfd, input_size=128)
    large = picture_with([(128, 192, 64, BLUE)], 192, 256)  # at half its size a cell of stride 32, at (96, 64)
    (face,) = detector.detect(large)
    left, top, right, bottom = np.array(BOX) * 64
    np.testing.assert_allclose(face.box, [192 - left, 128 - top, 192 + right, 128 + bottom], rtol=1e-6)
    assert detector.detect(np.zeros((50, 70, 3), np.uint8)) == []
    with pytest.raises(ValueError, match="multiple of 32"):
        ScrfdFaceDetector(scrfd, input_size=100)


def test_overlapping_candidates_are_one_face() -> None:
    boxes = np.float32([[0, 0, 9, 9], [1, 0, 10, 9], [0, 5, 9, 14], [40, 40, 49, 49]])
    scores = np.float32([0.7, 0.9, 0.6, 0.8])
    # Overlaps with the second: 90 / 110 of the first, 45 / 155 of the third.
    assert suppress_overlaps(boxes, scores, 0.4).tolist() == [1, 3, 2]
    assert suppress_overlaps(boxes, scores, 0.9).tolist() == [1, 3, 0, 2]
    assert suppress_overlaps(boxes, scores, 0.2).tolist() == [1, 3]
    assert suppress_overlaps(boxes[:0], scores[:0], 0.4).tolist() == []


def test_resizing_takes_two_neighbours_each_way_without_a_filter() -> None:
    row = np.uint8([[0, 100, 200, 40]])
    images = np.repeat(np.repeat(row[:, None], 2, axis=1)[..., None], 3, axis=-1)  # (1, 2, 4, 3)
    assert resize_bilinear(images, 2, 2)[0, 0, :, 0].tolist() == [50, 120]
    assert resize_bilinear(images, 2, 8)[0, 1, :, 1].tolist() == [0, 25, 75, 125, 175, 160, 80, 40]


def test_crops_are_embedded_raw(tmp_path: Path) -> None:
    weight = np.random.default_rng(0).normal(size=(3, 7))
    path = write_arcface(tmp_path / "glintr100.onnx", weight)
    recogniser = OnnxFaceRecogniser(path, embedding_dim=7)
    colours = np.uint8([[255, 0, 127], [3, 200, 40]])
    crops = np.broadcast_to(colours[:, None, None], (2, 512, 512, 3))
    expected = (colours / 127.5 - 1) @ weight
    torch.testing.assert_close(recogniser.embed(crops), torch.from_numpy(expected).float(), rtol=1e-4, atol=1e-4)


def test_the_published_code_recognises_the_wide_crop(tmp_path: Path) -> None:
    path = write_arcface(tmp_path / "glintr100.onnx", np.eye(3))
    image = np.random.default_rng(1).integers(0, 256, (300, 200, 3), dtype=np.uint8)
    landmarks = np.float32([[70, 100], [120, 102], [95, 130], [75, 160], [118, 158]])
    published, aligned = OnnxFaceRecogniser(path), OnnxFaceRecogniser(path, recognition_input="aligned")
    assert (published.crop_size, aligned.crop_size) == (512, 112)
    np.testing.assert_array_equal(published.align(image, landmarks), crop_ffhq(image, landmarks, size=512))
    np.testing.assert_array_equal(aligned.align(image, landmarks), crop_arcface(image, landmarks, size=112))


def test_files_that_do_not_fit_are_named(tmp_path: Path, scrfd: Path) -> None:
    with pytest.raises(ModelFolderError, match=r"lacks .*gone\.onnx"):
        ScrfdFaceDetector(tmp_path / "gone.onnx")
    (tmp_path / "cut.onnx").write_bytes(scrfd.read_bytes()[:200])
    with pytest.raises(ModelFolderError, match=r"cut\.onnx cannot be read"):
        ScrfdFaceDetector(tmp_path / "cut.onnx")
    with pytest.raises(ModelFolderError, match="1 inputs and 9 outputs instead of 1 and 1"):
        OnnxFaceRecogniser(scrfd)


def test_onnxruntime_writes_no_lines_of_its_own(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write_arcface(tmp_path / "a.onnx", np.ones((3, 4)))
    model = onnx.load(tmp_path / "a.onnx")
    model.graph.initializer.append(numpy_helper.from_array(np.ones(3, np.float32), "of no use"))  # it warns of these
    onnx.save(model, tmp_path / "a.onnx")
    recogniser = OnnxFaceRecogniser(tmp_path / "a.onnx")
    with pytest.raises(Exception, match="INVALID_ARGUMENT"):
        recogniser.network(np.zeros((1, 3, 112, 7), np.float32))
    assert capfd.readouterr() == ("", "")


def test_half_precision_is_named(tmp_path: Path) -> None:
    half = [helper.make_tensor_value_info(name, TensorProto.FLOAT16, [None, 3]) for name in ("input", "embedding")]
    graph = helper.make_graph([helper.make_node("Identity", ["input"], ["embedding"])], "half", half[:1], half[1:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), tmp_path / "x.onnx")
    with pytest.raises(ModelFolderError, match=r"x\.onnx takes tensor\(float16\) instead of tensor\(float\)"):
        OnnxFaceRecogniser(tmp_path / "x.onnx")


def test_without_onnxruntime_the_command_that_installs_it_is_told(
    scrfd: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingDependencyError, match=r'pip install "ingredients\[faces\]"'):
        ScrfdFaceDetector(scrfd)


def test_the_maps_of_the_residual_stages_are_read_out_of_the_file(tmp_path: Path) -> None:
    """Against the network written out: four stages, shallow to deep, the deepest twice, on the encoder's tokens."""
    path = tmp_path / "glintr100.onnx"
    weights = {
        name: torch.from_numpy(weight) for name, weight in write_residual_network(path, embedding_dim=9).items()
    }
    before = path.read_bytes()
    recogniser = OnnxFaceRecogniser(path, recognition_input="aligned", embedding_dim=9)
    crops = np.random.default_rng(1).integers(0, 256, (2, 112, 112, 3), dtype=np.uint8)
    hidden_states = torch.from_numpy(crops).permute(0, 3, 1, 2).float() / 127.5 - 1
    scales = recogniser.scale_features(crops, num_patches=1 + 7 * 7)
    assert [tuple(scale.shape) for scale in scales] == [(2, 50, max(STAGE_WIDTHS))] * 5
    for stage, width in enumerate(STAGE_WIDTHS):
        first = F.conv2d(hidden_states, weights[f"{stage}.down"], stride=2, padding=1) + F.conv2d(
            hidden_states, weights[f"{stage}.shortcut"], stride=2
        )
        hidden_states = first + F.conv2d(first, weights[f"{stage}.second"], padding=1)  # (B, width, 56 / 2^stage, ..)
        scale = scales[stage]
        torch.testing.assert_close(scale[:, 0, :width], hidden_states.mean((2, 3)), rtol=1e-4, atol=1e-4)
        assert scale[..., width:].abs().sum() == 0  # narrow maps are filled up
        if stage == 3:  # of 7 x 7 cells, as the tokens
            patches = hidden_states.flatten(2).transpose(1, 2)
            torch.testing.assert_close(scale[:, 1:], patches, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(scales[4], scales[3])
    torch.testing.assert_close(
        recogniser.embed(crops), hidden_states.mean((2, 3)) @ weights["embedding"], rtol=1e-4, atol=1e-4
    )
    assert path.read_bytes() == before


def test_a_recogniser_without_four_stages_says_so(tmp_path: Path) -> None:
    plain = tmp_path / "plain.onnx"
    write_arcface(plain, np.eye(3))
    three = tmp_path / "three.onnx"
    write_residual_network(three, embedding_dim=4, num_stages=3)
    crops = np.zeros((1, 112, 112, 3), np.uint8)
    for path, found in ((plain, "no"), (three, "3")):
        recogniser = OnnxFaceRecogniser(path, recognition_input="aligned", embedding_dim=4)
        with pytest.raises(UserInputError, match=f"has {found} residual stages instead of 4; take scale_source=clip"):
            recogniser.scale_features(crops, num_patches=5)
