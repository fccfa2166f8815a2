import numpy as np
import pytest
import torch

from ingredients.faces.detector import (
    STRIDE,
    FaceHeatmapNetwork,
    HeatmapFaceDetector,
    decode_faces,
    decode_geometry,
    encode_geometry,
    intersection_over_union,
    padded_pixel_values,
)
from ingredients.faces.network_settings import DetectorConfig

CONFIG = DetectorConfig(widths=(4, 6, 8, 10, 12), head_width=6)


def _geometry(box: list[float], cell: tuple[int, int]) -> torch.Tensor:
    landmarks = torch.tensor([[[1.0, 2], [3, 4], [5, 6], [7, 8], [9, 10]]])
    return encode_geometry(torch.tensor([box]), landmarks, torch.tensor([cell], dtype=torch.float32))[0]


def _draw(faces: list[tuple[list[float], tuple[int, int], float]], grid: tuple[int, int] = (12, 20)) -> list:
    heatmap, geometry = torch.zeros(grid), torch.zeros(14, *grid)
    for box, (column, row), score in faces:
        heatmap[row, column] = score
        geometry[:, row, column] = _geometry(box, (column, row))
    return decode_faces(heatmap, geometry, CONFIG)


def test_geometry_is_decoded_as_it_was_encoded() -> None:
    boxes = torch.tensor([[10.0, 12, 40, 60], [0, 0, 9, 7]])
    landmarks = torch.rand(2, 5, 2) * 30
    cells = torch.tensor([[6.0, 9], [1, 0]])
    decoded_boxes, decoded_landmarks = decode_geometry(encode_geometry(boxes, landmarks, cells), cells)
    torch.testing.assert_close(decoded_boxes, boxes)
    torch.testing.assert_close(decoded_landmarks, landmarks)


def test_faces_are_read_off_a_heatmap_largest_first() -> None:
    faces = _draw([([4.0, 4, 24, 20], (3, 2), 0.95), ([30.0, 8, 70, 44], (12, 6), 0.7)])
    assert [face.score for face in faces] == pytest.approx([0.7, 0.95])
    np.testing.assert_allclose(faces[0].box, [30, 8, 70, 44], atol=1e-4)
    np.testing.assert_allclose(faces[1].box, [4, 4, 24, 20], atol=1e-4)
    np.testing.assert_allclose(faces[0].landmarks, [[1, 2], [3, 4], [5, 6], [7, 8], [9, 10]], atol=1e-4)


def test_weak_peaks_and_overlapping_boxes_are_dropped() -> None:
    box = [30.0, 8, 70, 44]
    faces = _draw([(box, (12, 6), 0.8), ([31.0, 9, 71, 45], (9, 6), 0.9), ([0.0, 0, 10, 10], (1, 1), 0.39)])
    assert [face.score for face in faces] == pytest.approx([0.9])


def test_a_peak_averages_the_guesses_of_its_cells() -> None:
    heatmap, geometry = torch.zeros(12, 20), torch.zeros(14, 12, 20)
    for column, score, box in ((12, 0.9, [30.0, 8, 70, 44]), (13, 0.3, [34.0, 8, 74, 44])):
        heatmap[6, column] = score
        geometry[:, 6, column] = _geometry(box, (column, 6))
    (face,) = decode_faces(heatmap, geometry, CONFIG)
    np.testing.assert_allclose(face.box, [31, 8, 71, 44], atol=1e-3)


def test_no_peak_no_face() -> None:
    assert decode_faces(torch.zeros(4, 5), torch.zeros(14, 4, 5), CONFIG) == []


def test_the_network_keeps_the_grid() -> None:
    heatmap, geometry = FaceHeatmapNetwork(CONFIG)(torch.zeros(2, 3, 64, 96))
    assert heatmap.shape == (2, 64 // STRIDE, 96 // STRIDE)
    assert geometry.shape == (2, 14, 64 // STRIDE, 96 // STRIDE)


class _OneFace(torch.nn.Module):
    """Says that a face lies in the middle of the picture, a quarter of its height tall."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[tuple[int, int]] = []

    def forward(self, pixel_values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        batch, _, height, width = pixel_values.shape
        self.sizes.append((height, width))
        heatmap, geometry = (
            torch.full((batch, height // 4, width // 4), -9.0),
            torch.zeros(batch, 14, height // 4, width // 4),
        )
        row, column = height // 8, width // 8
        heatmap[:, row, column] = 9.0
        box = [column * 4 - 8.0, row * 4 - 8.0, column * 4 + 8.0, row * 4 + 8.0]
        landmarks = torch.full((1, 5, 2), 1.0) * torch.tensor([column * 4.0, row * 4.0])
        cell = torch.tensor([[column, row]], dtype=torch.float32)
        geometry[:, :, row, column] = encode_geometry(torch.tensor([box]), landmarks, cell)
        return heatmap, geometry


@pytest.mark.parametrize(("height", "width", "seen"), [(64, 96, (64, 96)), (640, 1280, (64, 128)), (24, 48, (64, 96))])
def test_any_size_is_brought_to_the_working_size_and_back(height: int, width: int, seen: tuple[int, int]) -> None:
    network = _OneFace()
    detector = HeatmapFaceDetector(network, CONFIG)  # type: ignore[arg-type]
    (face,) = detector.detect(np.zeros((height, width, 3), np.uint8))
    assert network.sizes == [seen]
    scale = width / (seen[1] if seen[1] <= width or width >= 96 else 96)
    np.testing.assert_allclose(face.landmarks[0], [seen[1] / 2 * scale, seen[0] / 2 * scale], rtol=0.01)


def test_a_second_look_is_taken_only_where_nothing_was_found() -> None:
    network = FaceHeatmapNetwork(CONFIG).eval()
    detector = HeatmapFaceDetector(network, CONFIG)
    sizes: list[torch.Size] = []
    network.register_forward_pre_hook(lambda _, arguments: sizes.append(arguments[0].shape))
    assert detector.detect(np.zeros((600, 600, 3), np.uint8)) == []
    assert [tuple(size) for size in sizes] == [(1, 3, 128, 128), (1, 3, 256, 256)]
    sizes.clear()
    assert detector.detect_frames(np.zeros((3, 64, 96, 3), np.uint8)) == [[], [], []]
    assert [tuple(size) for size in sizes] == [(3, 3, 64, 96)]


def test_pictures_are_padded_with_grey() -> None:
    pixel_values = padded_pixel_values(np.full((2, 40, 70, 3), 255, np.uint8))
    assert pixel_values.shape == (2, 3, 64, 96)
    assert pixel_values[..., :40, :70].eq(1.0).all()
    assert pixel_values[..., 40:, :].eq(0.0).all()


def test_overlap_of_boxes() -> None:
    first = np.array([0, 0, 10, 10], np.float32)
    assert intersection_over_union(first, first) == 1.0
    assert intersection_over_union(first, first + 20) == 0.0
    assert intersection_over_union(first, np.array([5, 0, 15, 10], np.float32)) == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    "settings",
    [
        {"widths": (1, 2)},
        {"working_sizes": ()},
        {"working_sizes": (256, 128)},
        {"min_working_size": 300},
        {"score_threshold": 1.5},
    ],
)
def test_impossible_settings_are_refused(settings: dict) -> None:
    with pytest.raises(ValueError, match="must"):
        DetectorConfig(**settings)
