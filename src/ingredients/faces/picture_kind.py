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

_NEARER = 1.15
_LIT = (12, 242)
"""Brightness of the darkest and the brightest parts of an evenly lit crop."""

_LEAST_CONTRAST = 20
"""Contrast of a crop that is lit evenly."""


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

    min_photograph_odds: Annotated[float, Range(above=0, at_most=1000)] = 5.0
    """How many times a photograph's score must be the drawn world's for a picture to be one: nobody drawn is to be
    refused."""

    min_edge_share: Annotated[float, Range(above=0, below=1)] = 0.6
    """The least `PictureLook.edge_share` of a drawing in another style; below it nothing is flat enough for one."""

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

    drawn_world: float
    """Score of the drawn world, 0 to 1; the three sum to 1."""

    other_style: float
    """Score of a drawing in another style."""

    photograph: float
    """Score of a photograph."""

    edge_share: float
    """Share of all differences between neighbouring pixels that the strongest tenth of them makes up: where colours
    are flat, nearly everything lies at edges, and where they are shaded and textured, a good part does not."""


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
        """Looks at aligned crops (B, S, S, 3)."""
        views = [crops_to_pixel_values(view) for view in _views(crops)]
        views += [pixel_values.flip(-1) for pixel_values in views]
        scores = torch.stack([self.network(view).float().log_softmax(-1) for view in views]).mean(0).softmax(-1)
        return [self._decide(of_crop, edge_share(crop)) for of_crop, crop in zip(scores.tolist(), crops, strict=True)]

    def _decide(self, scores: list[float], edges: float) -> PictureLook:
        drawn_world, other_style, photograph = (scores[kind] for kind in PictureKind)
        is_flat = other_style > photograph and edges >= self.config.min_edge_share
        kind = PictureKind.OTHER_STYLE
        if photograph > self.config.min_photograph_odds * drawn_world and not is_flat:
            kind = PictureKind.PHOTOGRAPH
        elif drawn_world > max(other_style, photograph):
            kind = PictureKind.DRAWN_WORLD
        return PictureLook(
            kind=kind, drawn_world=drawn_world, other_style=other_style, photograph=photograph, edge_share=edges
        )


def _views(crops: UInt8Array) -> list[UInt8Array]:
    """Crops (B, S, S, 3) as they are, from nearer, and evenly lit, the first and the last without colour, too.

    Their mean is surer than any of them: a tint, faint light or a cap says less.
    """
    size = crops.shape[1]
    inset = (size - round(size / _NEARER)) // 2
    near = [Image.fromarray(crop[inset : size - inset, inset : size - inset]) for crop in crops]
    nearer = np.stack([np.asarray(each.resize((size, size), Image.Resampling.BILINEAR)) for each in near])
    brightness = crops.astype(np.float32).mean(axis=-1)
    low, high = np.percentile(brightness, (2, 98), axis=(1, 2))[:, :, None, None, None]
    gain = (_LIT[1] - _LIT[0]) / np.maximum(high - low, _LEAST_CONTRAST)
    lit = np.clip((crops - low) * gain + _LIT[0], 0, 255).astype(np.uint8)
    return [crops, nearer, lit, _without_colour(crops), _without_colour(lit)]


def _without_colour(crops: UInt8Array) -> UInt8Array:
    grey = crops.astype(np.float32).mean(axis=-1, keepdims=True)
    return np.asarray(grey.repeat(3, axis=-1), np.uint8)


def edge_share(crop: UInt8Array) -> float:
    """`PictureLook.edge_share` of a crop (S, S, 3)."""
    values = crop.astype(np.int16)
    differences = np.concatenate([np.abs(np.diff(values, axis=axis)).max(axis=-1).ravel() for axis in (0, 1)])
    differences.sort()
    return float(differences[-(len(differences) // 10) :].sum() / max(int(differences.sum()), 1))


def doubts_about(look: PictureLook) -> list[PhotoDoubt]:
    """What a face that is not of the drawn world makes doubtful."""
    if look.kind is PictureKind.PHOTOGRAPH:
        return [
            PhotoDoubt(
                reason=f"in a photograph, it seems (score {look.drawn_world:.2f} of a drawn one), and this model "
                "knows drawn people only",
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
