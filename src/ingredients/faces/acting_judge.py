"""The judge that sees what people do: action and expression of one person, from the track of the face.

Legend: F frames, T frames that the network reads, S side of a crop in pixels, C channels, h/w cells of a feature map.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ingredients.core.arrays import Float32Array, UInt8Array
from ingredients.core.config import load_config, save_config
from ingredients.faces.face_cutting import cut_windows
from ingredients.faces.network_settings import ActingJudgeConfig
from ingredients.faces.weights import load_weights, save_weights

WEIGHTS_NAME, CONFIG_NAME = "acting.safetensors", "acting.yaml"

NUM_PATH_FEATURES = 5
"""What is told of the face's way for each frame: middle across and down, height, whether it is seen, seconds."""

_REACH = 0.95
"""Half side of the square that a crop shows, in heights of the face: the head, the shoulders and a raised hand."""


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
    seen = np.asarray(np.isfinite(boxes).all(-1))
    if not seen.any():
        raise ValueError("a track holds at least one frame with a face")
    middles, heights = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 3] - boxes[:, 1]
    height = float(np.median(heights[seen]))
    centre = np.median(middles[seen], axis=0)
    crops = cut_windows(frames, np.tile(centre, (len(frames), 1)), half=_REACH * height, size=size)
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


class ActingNetwork(nn.Module):
    """Pictures one by one, then time: convolutions over the crop, convolutions over frames, the mean and the peak."""

    def __init__(self, config: ActingJudgeConfig) -> None:
        super().__init__()
        self.config = config
        stages: list[nn.Module] = []
        in_channels = 6  # the picture, and its change since the frame before
        for width in config.widths:
            stages += [
                nn.Conv2d(in_channels, width, 3, 2, 1),
                nn.GroupNorm(8, width),
                nn.GELU(),
                nn.Conv2d(width, width, 3, 1, 1, groups=width),
                nn.Conv2d(width, width, 1),
                nn.GroupNorm(8, width),
                nn.GELU(),
            ]
            in_channels = width
        self.pictures = nn.Sequential(*stages)
        cells = (config.crop_size // 2 ** len(config.widths)) ** 2
        self.squeeze = nn.Conv2d(in_channels, 16, 1)
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


class Acting(NamedTuple):
    """What one person was seen to do, as shares that sum to 1."""

    actions: dict[str, float]
    expressions: dict[str, float]


class ActingJudge:
    """Says of tracked people what they do and how they look. It has no part in any conditioning or guidance.

    Args:
        network: trained by `ingredients world train acting-judge`.
    """

    def __init__(self, network: ActingNetwork) -> None:
        self.network = network.eval()
        self.config = network.config

    def judge_video(self, frames: UInt8Array, boxes: Sequence[Float32Array], *, fps: float) -> list[Acting]:
        """Judges the people of a video by the boxes (F, 4) of each one's face."""
        return [self.judge(cut_track(frames, each, fps=fps, size=self.config.crop_size)) for each in boxes]

    @torch.no_grad()
    def judge(self, track: ActingTrack) -> Acting:
        """Judges one track."""
        pixel_values = torch.from_numpy(track.crops).permute(0, 3, 1, 2).float()[None] / 127.5 - 1.0
        actions, expressions = self.network(pixel_values, torch.from_numpy(track.path)[None])
        return Acting(
            actions=dict(zip(self.config.actions, actions[0].softmax(-1).tolist(), strict=True)),
            expressions=dict(zip(self.config.expressions, expressions[0].softmax(-1).tolist(), strict=True)),
        )


def save_acting_judge(network: ActingNetwork, folder: Path) -> None:
    """Writes weights in half precision, and the config, into a folder."""
    save_config(network.config, folder / CONFIG_NAME)
    save_weights(network, folder / WEIGHTS_NAME)


def load_acting_judge(folder: Path) -> ActingJudge:
    """Reads what `save_acting_judge` wrote.

    Raises:
        ModelFolderError: a file is missing or damaged.
    """
    network = ActingNetwork(load_config(ActingJudgeConfig, folder / CONFIG_NAME))
    load_weights(network, folder / WEIGHTS_NAME)
    return ActingJudge(network)
