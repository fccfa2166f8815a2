"""Tells the drawn world from photographs and from drawings of other styles, by one aligned face.

The face networks of the small model know drawn people only, and find somebody in every photograph all the same: a
face, a collar, a coffee cup. This network looks at the aligned crop of what was found, so that the rest of the picture
says nothing, and says what kind of picture it is from.

Legend: B batch, S side of a crop, C channels, h/w cells of a feature map.
"""

import dataclasses
import enum
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor, nn

from ingredients.core.arrays import Float32Array, UInt8Array
from ingredients.core.ranges import Range, Width, check_ranges
from ingredients.faces.alignment import crop_arcface
from ingredients.faces.detector import ConvBlock
from ingredients.faces.photo_quality import PhotoDoubt
from ingredients.faces.recogniser import crops_to_pixel_values
from ingredients.faces.weights import load_weights, use_channels_last

WEIGHTS_NAME = "model.safetensors"


class PictureKind(enum.IntEnum):
    """What a picture is; the numbers are the network's channels."""

    DRAWN_WORLD = 0
    OTHER_STYLE = 1
    PHOTOGRAPH = 2


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PictureKindConfig:
    """Architecture of `PictureKindNetwork` and the way it is used."""

    crop_size: Annotated[int, Range(at_least=8, at_most=2048)] = 64
    """Side of the aligned crop in pixels."""

    widths: tuple[Width, ...] = (12, 24, 40, 64)
    """Channels at strides 1, 2, 4 and 8."""

    photograph_threshold: Annotated[float, Range(above=0, below=1)] = 0.9
    """Score from which a picture is a photograph."""

    drawn_threshold: Annotated[float, Range(above=0, below=1)] = 0.5
    """Score below which a picture that is no photograph is a drawing of another style."""

    def __post_init__(self) -> None:
        """Checks counts and ranges."""
        check_ranges(self)
        if len(self.widths) != 4:
            raise ValueError(f"widths must hold four numbers of channels, not {self.widths}")
        if self.crop_size % 8:
            raise ValueError(f"crop_size must be a multiple of 8, not {self.crop_size}")


class PictureKindNetwork(nn.Module):
    """Convolutions from full resolution down, where texture is, and one linear layer over means and maxima."""

    def __init__(self, config: PictureKindConfig) -> None:
        super().__init__()
        first, second, third, last = config.widths
        self.layers = nn.Sequential(
            ConvBlock(3, first),
            ConvBlock(first, second, stride=2),
            ConvBlock(second, second),
            ConvBlock(second, third, stride=2),
            ConvBlock(third, third),
            ConvBlock(third, last, stride=2),
            ConvBlock(last, last),
        )
        self.head = nn.Linear(2 * last, len(PictureKind))
        use_channels_last(self)

    def forward(self, pixel_values: Tensor) -> Tensor:
        """Logits (B, kinds) of crops (B, 3, S, S) in -1..1."""
        hidden_states: Tensor = self.layers(pixel_values)  # (B, C, h, w)
        logits: Tensor = self.head(torch.cat([hidden_states.mean((2, 3)), hidden_states.amax((2, 3))], dim=1))
        return logits


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PictureLook:
    """What a face told about the picture that it is in."""

    kind: PictureKind
    """What kind of picture it is."""

    photograph: float
    """Score of a photograph, 0 to 1."""

    drawn_world: float
    """Score of the drawn world, 0 to 1."""


class PictureKindClassifier:
    """Looks at faces that a detector found."""

    def __init__(self, network: PictureKindNetwork, config: PictureKindConfig) -> None:
        self.network = network.eval().requires_grad_(False)
        self.config = config

    def look_at_whole(self, image: UInt8Array) -> PictureLook:
        """Looks at the middle of an RGB image (H, W, 3) in which no face was found."""
        size = (self.config.crop_size, self.config.crop_size)
        picture = ImageOps.fit(Image.fromarray(image), size, Image.Resampling.BILINEAR)
        return self.look_at_crops(np.asarray(picture)[None])[0]

    def look(self, image: UInt8Array, landmarks: Float32Array) -> PictureLook:
        """Looks at the face with landmarks (5, 2) of an RGB image (H, W, 3)."""
        return self.look_at_crops(crop_arcface(image, landmarks, size=self.config.crop_size)[None])[0]

    @torch.no_grad()
    def look_at_crops(self, crops: UInt8Array) -> list[PictureLook]:
        """Looks at aligned crops (B, S, S, 3), each as it is and mirrored."""
        pixel_values = crops_to_pixel_values(crops)
        logits = (self.network(pixel_values) + self.network(pixel_values.flip(-1))).float() / 2  # (B, kinds)
        return [self._decide(scores) for scores in logits.softmax(-1).tolist()]

    def _decide(self, scores: list[float]) -> PictureLook:
        photograph, drawn_world = scores[PictureKind.PHOTOGRAPH], scores[PictureKind.DRAWN_WORLD]
        kind = PictureKind.OTHER_STYLE
        if photograph >= self.config.photograph_threshold:
            kind = PictureKind.PHOTOGRAPH
        elif drawn_world >= self.config.drawn_threshold:
            kind = PictureKind.DRAWN_WORLD
        return PictureLook(kind=kind, photograph=photograph, drawn_world=drawn_world)


def doubts_about(look: PictureLook) -> list[PhotoDoubt]:
    """What a face that is not of the drawn world makes doubtful."""
    if look.kind is PictureKind.PHOTOGRAPH:
        return [
            PhotoDoubt(
                reason=f"in a photograph, it seems (score {look.photograph:.2f}), and this model knows drawn people "
                "only",
                remedy="somebody is drawn all the same, and nobody judges how alike",
            )
        ]
    if look.kind is PictureKind.OTHER_STYLE:
        return [
            PhotoDoubt(
                reason=f"drawn in another style than the people that this model knows, it seems (score "
                f"{look.drawn_world:.2f} of theirs)",
                remedy="a portrait by `ingredients world portrait` keeps more",
            )
        ]
    return []


def explain_photograph(label: str) -> str:
    """Why a photograph is refused, and what to do: one sentence."""
    return (
        f"{label} looks like a photograph, but this model knows drawn people only: name a model for photographs with "
        "--model, such as the published weights (--model published), draw a portrait to play with by `ingredients "
        "world portrait --seed 7`, or have somebody drawn all the same by --allow-photographs (in Python, "
        "allow_photographs=True)."
    )


def build_picture_kind(config: PictureKindConfig, weights: Path) -> PictureKindClassifier:
    """Makes the classifier from its weights; raises `ModelFolderError` as `load_weights` does."""
    network = PictureKindNetwork(config)
    load_weights(network, weights)
    return PictureKindClassifier(network, config)
