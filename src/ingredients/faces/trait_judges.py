"""The judges that see what tracked people do and look like; they have no part in any conditioning or guidance.

What somebody does is a matter of time: action and expression are read off the same window of all frames. What somebody
looks like is a matter of still pictures: every frame is read on its own, and the frames' answers are averaged.

Legend: F frames, T frames that the network reads, M pictures, S side of a crop in pixels, C channels, h/w cells of a
feature map.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from ingredients.core.arrays import Float32Array, UInt8Array
from ingredients.core.config import load_config, save_config
from ingredients.faces.face_cutting import cut_windows
from ingredients.faces.network_settings import ActingJudgeConfig, AttributesJudgeConfig
from ingredients.faces.pixel_values import to_pixel_values
from ingredients.faces.weights import load_weights, save_weights

ACTING_FILES = ("acting.safetensors", "acting.yaml")
ATTRIBUTES_FILES = ("attributes.safetensors", "attributes.yaml")
"""Weights in half precision, and the configuration."""

NUM_PATH_FEATURES = 5
"""What is told of the face's way for each frame: middle across and down, height, whether it is seen, seconds."""

_ACTING_REACH, _ATTRIBUTES_REACH = 0.95, 1.0
"""Half side of the square that a crop shows, in heights of the face: the head, the shoulders and a raised hand; a hat
above the face, and the shoulders below."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ActingTrack:
    """One person's track as the network reads it."""

    crops: UInt8Array
    """(F, S, S, 3): the same window of every frame, so that motion shows; grey where it leaves the picture."""

    path: Float32Array
    """(F, 5), see `NUM_PATH_FEATURES`."""


def cut_track(frames: UInt8Array, boxes: Float32Array, *, fps: float, size: int) -> ActingTrack:
    """Cuts one person's track out of a video.

    Args:
        frames: (F, H, W, 3) RGB.
        boxes: (F, 4) pixels of the face; NaN where it was not found.
        fps: frames a second.
        size: S.

    Raises:
        ValueError: the face was found in no frame.
    """
    seen = _frames_that_show(boxes)
    middles, heights = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 3] - boxes[:, 1]
    height = float(np.median(heights[seen]))
    centre = np.median(middles[seen], axis=0)
    crops = cut_windows(frames, np.tile(centre, (len(frames), 1)), half=_ACTING_REACH * height, size=size)
    filled = np.where(seen[:, None], middles, centre)
    path = np.column_stack(
        [
            (filled - centre) / height,
            np.where(seen, heights, height) / height - 1.0,
            seen,
            np.arange(len(frames)) / fps,
        ]
    )
    return ActingTrack(crops=crops, path=np.asarray(path, np.float32))


def cut_pictures(frames: UInt8Array, boxes: Float32Array, *, size: int) -> UInt8Array:
    """Cuts head and shoulders of one person out of every frame that shows the face; (M, S, S, 3).

    Args:
        frames: (F, H, W, 3) RGB.
        boxes: (F, 4) pixels of the face; NaN where it was not found.
        size: S.

    Raises:
        ValueError: the face was found in no frame.
    """
    seen = _frames_that_show(boxes)
    middles = np.asarray((boxes[seen, :2] + boxes[seen, 2:]) / 2, np.float32)
    heights = boxes[seen, 3] - boxes[seen, 1]
    return cut_windows(frames[seen], middles, half=_ATTRIBUTES_REACH * float(np.median(heights)), size=size)


def _frames_that_show(boxes: Float32Array) -> NDArray[np.bool_]:
    """Whether each of F frames shows the face; raises `ValueError` if none does."""
    seen = np.asarray(np.isfinite(boxes).all(-1))
    if not seen.any():
        raise ValueError("a track holds at least one frame with a face")
    return seen


def _picture_layers(in_channels: int, widths: Sequence[int]) -> nn.Sequential:
    """Convolutions that halve pictures for each width."""
    layers: list[nn.Module] = []
    for width in widths:
        layers += [
            nn.Conv2d(in_channels, width, 3, 2, 1),
            nn.GroupNorm(8, width),
            nn.GELU(),
            nn.Conv2d(width, width, 3, 1, 1, groups=width),
            nn.Conv2d(width, width, 1),
            nn.GroupNorm(8, width),
            nn.GELU(),
        ]
        in_channels = width
    return nn.Sequential(*layers)


class ActingNetwork(nn.Module):
    """Pictures one by one, then time: convolutions over the crop, convolutions over frames, the mean and the peak."""

    def __init__(self, config: ActingJudgeConfig) -> None:
        super().__init__()
        self.config = config
        self.pictures = _picture_layers(6, config.widths)  # the picture, and its change since the frame before
        cells = (config.crop_size // 2 ** len(config.widths)) ** 2
        self.squeeze = nn.Conv2d(config.widths[-1], 16, 1)
        self.joined = nn.Linear(16 * cells + NUM_PATH_FEATURES, config.dim)
        self.time = nn.ModuleList(nn.Conv1d(config.dim, config.dim, 5, 1, 2) for _ in range(3))
        self.norms = nn.ModuleList(nn.GroupNorm(8, config.dim) for _ in range(3))
        self.heads = nn.Linear(2 * config.dim, len(config.actions) + len(config.expressions))

    def forward(self, pixel_values: Tensor, path: Tensor) -> tuple[Tensor, Tensor]:
        """Says what people do.

        Args:
            pixel_values: (B, T, 3, S, S) in -1..1.
            path: (B, T, 5).

        Returns:
            Logits (B, actions) and (B, expressions).
        """
        batch_size, num_frames = pixel_values.shape[:2]
        change = torch.cat([torch.zeros_like(pixel_values[:, :1]), pixel_values.diff(dim=1)], dim=1)
        inputs = torch.cat([pixel_values, 2.0 * change], dim=2).flatten(0, 1)  # (B T, 6, S, S)
        states = self.squeeze(self.pictures(inputs.contiguous(memory_format=torch.channels_last)))
        states = torch.unflatten(states.flatten(1), 0, (batch_size, num_frames))  # (B, T, 16 h w)
        states = self.joined(torch.cat([states, path.to(states.dtype)], dim=-1)).transpose(1, 2)  # (B, C, T)
        for convolution, norm in zip(self.time, self.norms, strict=True):
            states = states + F.gelu(norm(convolution(states)))
        pooled = torch.cat([states.mean(-1), states.amax(-1)], dim=-1)  # (B, 2 C)
        actions, expressions = self.heads(pooled).split(
            [len(self.config.actions), len(self.config.expressions)], dim=-1
        )
        return actions, expressions


class SeenActing(NamedTuple):
    """What one person was seen to do, as shares that sum to 1."""

    actions: dict[str, float]
    expressions: dict[str, float]


class ActingJudge:
    """Says of tracked people what they do and how they look.

    Args:
        network: trained by `ingredients world train acting-judge`.
    """

    def __init__(self, network: ActingNetwork) -> None:
        self.network = network.eval()
        self.config = network.config

    def judge_video(self, frames: UInt8Array, boxes: Sequence[Float32Array], *, fps: float) -> list[SeenActing]:
        """Judges the people of a video by the boxes (F, 4) of each one's face."""
        return [self.judge(cut_track(frames, each, fps=fps, size=self.config.crop_size)) for each in boxes]

    @torch.no_grad()
    def judge(self, track: ActingTrack) -> SeenActing:
        """Judges one track."""
        pixel_values = to_pixel_values(track.crops)[None]
        actions, expressions = self.network(pixel_values, torch.from_numpy(track.path)[None])
        return SeenActing(
            actions=dict(zip(self.config.actions, actions[0].softmax(-1).tolist(), strict=True)),
            expressions=dict(zip(self.config.expressions, expressions[0].softmax(-1).tolist(), strict=True)),
        )


class AttributesNetwork(nn.Module):
    """Convolutions over a picture of head and shoulders, and a linear head for each attribute."""

    def __init__(self, config: AttributesJudgeConfig) -> None:
        super().__init__()
        self.config = config
        self.pictures = _picture_layers(3, config.widths)
        cells = (config.crop_size // 2 ** len(config.widths)) ** 2
        self.squeeze = nn.Conv2d(config.widths[-1], 24, 1)
        self.joined = nn.Sequential(nn.Linear(24 * cells, config.dim), nn.GELU())
        self.head = nn.Linear(config.dim, sum(len(values) for values in config.attributes.values()))

    def forward(self, pixel_values: Tensor) -> dict[str, Tensor]:
        """Says what pictures (M, 3, S, S) in -1..1 show: logits (M, values) by attribute."""
        states = self.squeeze(self.pictures(pixel_values.contiguous(memory_format=torch.channels_last)))
        logits = self.head(self.joined(states.flatten(1)))  # (M, 24 h w) to (M, values of all attributes)
        sizes = [len(values) for values in self.config.attributes.values()]
        return dict(zip(self.config.attributes, logits.split(sizes, dim=-1), strict=True))


class AttributesJudge:
    """Says of tracked people what they look like.

    Args:
        network: trained by `ingredients world train attributes-judge`.
    """

    def __init__(self, network: AttributesNetwork) -> None:
        self.network = network.eval()
        self.config = network.config

    def judge_video(self, frames: UInt8Array, boxes: Sequence[Float32Array]) -> list[dict[str, dict[str, float]]]:
        """Judges the people of a video by the boxes (F, 4) of each one's face."""
        return [self.judge(cut_pictures(frames, each, size=self.config.crop_size)) for each in boxes]

    @torch.no_grad()
    def judge(self, pictures: UInt8Array) -> dict[str, dict[str, float]]:
        """What pictures (M, S, S, 3) of one person show: shares by value, which sum to 1, for each attribute."""
        return {
            name: dict(zip(self.config.attributes[name], logits.softmax(-1).mean(0).tolist(), strict=True))
            for name, logits in self.network(to_pixel_values(pictures)).items()
        }


def save_acting_judge(network: ActingNetwork, folder: Path) -> None:
    """Writes what `load_acting_judge` reads."""
    _save(network, folder, ACTING_FILES)


def load_acting_judge(folder: Path) -> ActingJudge:
    """Reads the judge of what people do.

    Raises:
        ModelFolderError: a file is missing or damaged.
    """
    network = ActingNetwork(load_config(ActingJudgeConfig, folder / ACTING_FILES[1]))
    load_weights(network, folder / ACTING_FILES[0])
    return ActingJudge(network)


def save_attributes_judge(network: AttributesNetwork, folder: Path) -> None:
    """Writes what `load_attributes_judge` reads."""
    _save(network, folder, ATTRIBUTES_FILES)


def load_attributes_judge(folder: Path) -> AttributesJudge:
    """Reads the judge of what people look like.

    Raises:
        ModelFolderError: a file is missing or damaged.
    """
    network = AttributesNetwork(load_config(AttributesJudgeConfig, folder / ATTRIBUTES_FILES[1]))
    load_weights(network, folder / ATTRIBUTES_FILES[0])
    return AttributesJudge(network)


def _save(network: ActingNetwork | AttributesNetwork, folder: Path, files: tuple[str, str]) -> None:
    weights, config = files
    save_config(network.config, folder / config)
    save_weights(network, folder / weights)
