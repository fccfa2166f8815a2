"""The judge that sees what people look like: hat, hair, glasses, beard and clothes of a tracked person.

Each is a matter of still pictures: the face is followed, every frame is read on its own, and the frames' answers are
averaged.

Legend: F frames, M pictures, S side of a crop in pixels, C channels, h/w cells of a feature map.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ingredients.core.arrays import Float32Array, UInt8Array
from ingredients.core.config import load_config, save_config
from ingredients.faces.face_cutting import cut_windows
from ingredients.faces.network_settings import AttributesJudgeConfig
from ingredients.faces.weights import load_weights, save_weights

WEIGHTS_NAME, CONFIG_NAME = "attributes.safetensors", "attributes.yaml"

_REACH = 1.0
"""Half side of the square that a crop shows, in heights of the face: a hat above it, and the shoulders below."""


def cut_pictures(frames: UInt8Array, boxes: Float32Array, *, size: int) -> UInt8Array:
    """Cuts head and shoulders of one person out of every frame that shows the face; (M, S, S, 3).

    Args:
        frames: (F, H, W, 3) RGB.
        boxes: (F, 4) pixels of the face; NaN where it was not found.
        size: S.

    Raises:
        ValueError: the face was found in no frame.
    """
    seen = np.asarray(np.isfinite(boxes).all(-1))
    if not seen.any():
        raise ValueError("a track holds at least one frame with a face")
    middles = np.asarray((boxes[seen, :2] + boxes[seen, 2:]) / 2, np.float32)
    heights = boxes[seen, 3] - boxes[seen, 1]
    return cut_windows(frames[seen], middles, half=_REACH * float(np.median(heights)), size=size)


class AttributesNetwork(nn.Module):
    """Convolutions over a picture of head and shoulders, and a linear head for each attribute."""

    def __init__(self, config: AttributesJudgeConfig) -> None:
        super().__init__()
        self.config = config
        stages: list[nn.Module] = []
        in_channels = 3
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
        self.squeeze = nn.Conv2d(in_channels, 24, 1)
        self.joined = nn.Sequential(nn.Linear(24 * cells, config.dim), nn.GELU())
        self.head = nn.Linear(config.dim, sum(len(values) for values in config.attributes.values()))

    def forward(self, pixel_values: Tensor) -> dict[str, Tensor]:
        """Says what pictures (M, 3, S, S) in -1..1 show: logits (M, values) by attribute."""
        states = self.squeeze(self.pictures(pixel_values.contiguous(memory_format=torch.channels_last)))
        logits = self.head(self.joined(states.flatten(1)))  # (M, 24 h w) to (M, values of all attributes)
        sizes = [len(values) for values in self.config.attributes.values()]
        return dict(zip(self.config.attributes, logits.split(sizes, dim=-1), strict=True))


class AttributesJudge:
    """Says of tracked people what they look like. It has no part in any conditioning or guidance.

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
        pixel_values = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1.0
        return {
            name: dict(zip(self.config.attributes[name], logits.softmax(-1).mean(0).tolist(), strict=True))
            for name, logits in self.network(pixel_values).items()
        }


def save_attributes_judge(network: AttributesNetwork, folder: Path) -> None:
    """Writes weights in half precision, and the config, into a folder."""
    save_config(network.config, folder / CONFIG_NAME)
    save_weights(network, folder / WEIGHTS_NAME)


def load_attributes_judge(folder: Path) -> AttributesJudge:
    """Reads what `save_attributes_judge` wrote.

    Raises:
        ModelFolderError: a file is missing or damaged.
    """
    network = AttributesNetwork(load_config(AttributesJudgeConfig, folder / CONFIG_NAME))
    load_weights(network, folder / WEIGHTS_NAME)
    return AttributesJudge(network)
