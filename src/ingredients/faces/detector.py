"""The small model's face detector: a fully convolutional network that marks the centre of each face.

After Zhou et al., "Objects as Points" (2019): a heatmap at a quarter of the image's size peaks at face centres, and at
each peak the network also says how large the face's box is and where its five landmarks lie.

Legend: B batch, H/W pixels, h/w heatmap cells (H / 4, W / 4), C channels.
"""

import itertools
import math
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from ingredients.core.arrays import Float32Array, UInt8Array
from ingredients.core.boxes import shared_area
from ingredients.core.protocols import Face
from ingredients.faces.network_settings import DetectorConfig
from ingredients.faces.pixel_values import to_pixel_values
from ingredients.faces.weights import use_channels_last

STRIDE = 4
"""Pixels a heatmap cell."""

SIZE_MULTIPLE = 32
"""Images are padded to multiples of the coarsest feature map's stride."""

NUM_GEOMETRY_CHANNELS = 14
"""Centre x and y, log width and log height, five landmarks."""

_MEAN_FACE_SIZE = 24.0
"""Pixels; a size channel of 0 means this size."""


class ConvBlock(nn.Sequential):
    """Convolution, batch norm, SiLU."""

    def __init__(self, in_channels: int, out_channels: int, *, kernel_size: int = 3, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(in_channels, out_channels, kernel_size, stride, kernel_size // 2, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.SiLU(),
        )


class FaceHeatmapNetwork(nn.Module):
    """A descending and an ascending path, joined by addition, with two heads at stride 4."""

    def __init__(self, config: DetectorConfig) -> None:
        super().__init__()
        widths, head_width = config.widths, config.head_width
        self.stem = ConvBlock(3, widths[0], stride=2)
        self.down = nn.ModuleList(
            nn.Sequential(ConvBlock(in_channels, channels, stride=2), ConvBlock(channels, channels))
            for in_channels, channels in itertools.pairwise(widths)
        )
        self.lateral = nn.ModuleList(ConvBlock(width, head_width, kernel_size=1) for width in widths[1:])
        self.join = ConvBlock(head_width, head_width)
        self.heatmap_head = nn.Sequential(ConvBlock(head_width, head_width), nn.Conv2d(head_width, 1, 1))
        self.geometry_head = nn.Sequential(
            ConvBlock(head_width, head_width), nn.Conv2d(head_width, NUM_GEOMETRY_CHANNELS, 1)
        )
        rare_face_bias = -math.log((1 - 0.01) / 0.01)
        nn.init.constant_(self.heatmap_head[-1].bias, rare_face_bias)  # type: ignore[arg-type]
        use_channels_last(self)

    def forward(self, pixel_values: Tensor) -> tuple[Tensor, Tensor]:
        """Maps images to heatmap logits and geometry.

        Args:
            pixel_values: (B, 3, H, W) in -1..1, H and W multiples of 32.

        Returns:
            Heatmap logits (B, h, w), and geometry (B, 14, h, w): see `decode_geometry`.
        """
        hidden_states = self.stem(pixel_values)
        levels = []
        for down, lateral in zip(self.down, self.lateral, strict=True):
            hidden_states = down(hidden_states)
            levels.append(lateral(hidden_states))  # strides 4, 8, 16, 32
        joined = levels[-1]
        for level in reversed(levels[:-1]):
            joined = level + F.interpolate(joined, scale_factor=2.0, mode="nearest")
        joined = self.join(joined)  # (B, C, h, w)
        return self.heatmap_head(joined).squeeze(1), self.geometry_head(joined)


def encode_geometry(boxes: Tensor, landmarks: Tensor, cells: Tensor) -> Tensor:
    """What the geometry head should say at a cell; the inverse of `decode_geometry`.

    Args:
        boxes: (faces, 4) left, top, right, bottom in pixels.
        landmarks: (faces, 5, 2) in pixels.
        cells: (faces, 2) column and row of the cell.

    Returns:
        (faces, 14).
    """
    sizes = boxes[:, 2:] - boxes[:, :2]  # (faces, 2)
    cell_middles = (cells + 0.5) * STRIDE
    face_size = sizes.prod(-1, keepdim=True).sqrt()  # (faces, 1)
    centres = ((boxes[:, :2] + boxes[:, 2:]) / 2 - cell_middles) / face_size
    points = (landmarks - cell_middles[:, None]) / face_size[:, None]
    return torch.cat([centres, (sizes / _MEAN_FACE_SIZE).log(), points.flatten(1)], dim=1)


def decode_geometry(geometry: Tensor, cells: Tensor) -> tuple[Tensor, Tensor]:
    """Turns what the geometry head says at some cells into boxes and landmarks.

    Offsets are from the cell's middle, in units of the face's size (square root of its box's area).

    Args:
        geometry: (faces, 14).
        cells: (faces, 2) column and row of the cell.

    Returns:
        Boxes (faces, 4) and landmarks (faces, 5, 2), in pixels.
    """
    cell_middles = (cells + 0.5) * STRIDE
    sizes = geometry[:, 2:4].clamp(-3.0, 3.0).exp() * _MEAN_FACE_SIZE
    face_size = sizes.prod(-1, keepdim=True).sqrt()
    centres = cell_middles + geometry[:, :2] * face_size
    boxes = torch.cat([centres - sizes / 2, centres + sizes / 2], dim=1)
    landmarks = cell_middles[:, None] + geometry[:, 4:].reshape(-1, 5, 2) * face_size[:, None]
    return boxes, landmarks


def decode_faces(heatmap: Tensor, geometry: Tensor, config: DetectorConfig) -> list[Face]:
    """Reads the faces off one image's heatmap, the largest first.

    A peak's geometry is the mean over its 3 x 3 cells, weighted by the heatmap: each cell makes its own guess.

    Args:
        heatmap: (h, w) in 0..1.
        geometry: (14, h, w).
        config: thresholds.

    Returns:
        Faces in pixels of the network's input.
    """
    peaks = (heatmap == F.max_pool2d(heatmap[None], 3, 1, 1)[0]) & (heatmap >= config.score_threshold)
    rows, columns = peaks.nonzero(as_tuple=True)
    scores = heatmap[rows, columns]
    order = scores.argsort(descending=True)[: config.max_faces]
    faces: list[Face] = []
    for row, column in zip(rows[order].tolist(), columns[order].tolist(), strict=True):
        face = _read_peak(heatmap, geometry, row, column)
        if all(intersection_over_union(face.box, other.box) <= config.iou_threshold for other in faces):
            faces.append(face)
    return sorted(faces, key=lambda face: face.area, reverse=True)


def _read_peak(heatmap: Tensor, geometry: Tensor, row: int, column: int) -> Face:
    top, left = max(row - 1, 0), max(column - 1, 0)
    weights = heatmap[top : row + 2, left : column + 2]
    cell_rows, cell_columns = torch.meshgrid(
        torch.arange(top, top + weights.shape[0]), torch.arange(left, left + weights.shape[1]), indexing="ij"
    )
    cells = torch.stack([cell_columns, cell_rows], dim=-1).flatten(0, 1).float()  # (cells, 2)
    guesses = geometry[:, top : row + 2, left : column + 2].flatten(1).T  # (cells, 14)
    boxes, landmarks = decode_geometry(guesses, cells)
    shares = (weights / weights.sum()).flatten()
    return Face(
        box=torch.einsum("c,cd->d", shares, boxes).numpy().astype(np.float32),
        score=float(heatmap[row, column]),
        landmarks=torch.einsum("c,cpd->pd", shares, landmarks).numpy().astype(np.float32),
    )


def intersection_over_union(first: Float32Array, second: Float32Array) -> float:
    """Overlap of two boxes (left, top, right, bottom): shared area by joint area."""
    intersection = float(shared_area(first, second))
    union = float(np.prod(first[2:] - first[:2]) + np.prod(second[2:] - second[:2])) - intersection
    return intersection / union if union > 0 else 0.0


class HeatmapFaceDetector:
    """Finds faces in images of any size; a `FaceDetector` of `ingredients.core.protocols`."""

    def __init__(self, network: FaceHeatmapNetwork, config: DetectorConfig) -> None:
        self.network = network.eval().requires_grad_(False)
        self.config = config

    def detect(self, image: UInt8Array) -> list[Face]:
        """Finds the faces in one RGB image (H, W, 3), the largest first."""
        return self.detect_frames(image[None])[0]

    def detect_frames(self, frames: UInt8Array) -> list[list[Face]]:
        """Finds the faces in each RGB frame (F, H, W, 3), the largest first."""
        long_side = max(frames.shape[1:3])
        faces: list[list[Face]] = [[] for _ in frames]
        for index, working_size in enumerate(self.config.working_sizes):
            if index > 0 and long_side <= self.config.working_sizes[index - 1]:
                break  # scaling up shows nothing new
            empty = [frame for frame, found in enumerate(faces) if not found]
            if not empty:
                break
            scale = _working_scale(long_side, working_size, self.config.min_working_size)
            for frame, found in zip(empty, self._detect_at(frames[empty], scale), strict=True):
                faces[frame] = found
        return faces

    @torch.no_grad()
    def _detect_at(self, frames: UInt8Array, scale: float) -> list[list[Face]]:
        height, width = frames.shape[1:3]
        working = frames
        if scale != 1.0:
            size = (max(round(width * scale), 1), max(round(height * scale), 1))
            working = np.stack([_resize(frame, size) for frame in frames])
        heatmaps, geometries = self.network(padded_pixel_values(working))
        stretch = np.array([width / working.shape[2], height / working.shape[1]], np.float32)
        return [
            [
                Face(box=face.box * np.tile(stretch, 2), score=face.score, landmarks=face.landmarks * stretch)
                for face in decode_faces(heatmap, geometry, self.config)
            ]
            for heatmap, geometry in zip(heatmaps.sigmoid(), geometries, strict=True)
        ]


def _working_scale(long_side: int, working_size: int, min_working_size: int) -> float:
    if long_side > working_size:
        return working_size / long_side
    return max(min_working_size / long_side, 1.0)


def _resize(frame: UInt8Array, size: tuple[int, int]) -> UInt8Array:
    photo = Image.fromarray(frame)
    return np.asarray(photo.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0))


def padded_pixel_values(frames: UInt8Array | Sequence[UInt8Array]) -> Tensor:
    """Turns RGB frames (B, H, W, 3) into network input (B, 3, H', W') in -1..1, grey-padded to multiples of 32."""
    pixel_values = to_pixel_values(frames)
    height, width = pixel_values.shape[-2:]
    padding = (0, -width % SIZE_MULTIPLE, 0, -height % SIZE_MULTIPLE)
    return F.pad(pixel_values, padding).contiguous(memory_format=torch.channels_last)
