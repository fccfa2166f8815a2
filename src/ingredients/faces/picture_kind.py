"""Tells the drawn world from photographs and from drawings of other styles, by one aligned face.

The face networks of the small model know drawn people only, and find somebody in every photograph all the same: a
face, a collar, a coffee cup. Two networks look at what was found, and a photograph is what either of them is sure of,
for they overlook different ones. The first sees the aligned crop as a whole. The second sees pieces of it from close
up as well: a face with cap and glasses has lines of its own and may be drawn, as long as it is 64 pixels wide; from
twice as near its skin is shaded. The rest of the picture never makes a photograph of a face, for somebody drawn may be
before one; it only tells both that what was found is a piece of a drawing. The drawn world is what both take for it.

Legend: B batch, S side of what a network sees, T side of an aligned crop (S, or DETAIL * S from close up), C channels,
h/w cells of a feature map.
"""

import dataclasses
import enum
import functools
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor, nn

from ingredients.core.arrays import Float32Array, UInt8Array
from ingredients.faces.alignment import ARCFACE_TEMPLATE, crop_arcface
from ingredients.faces.detector import ConvBlock
from ingredients.faces.network_settings import PictureKindConfig
from ingredients.faces.photo_quality import PhotoDoubt
from ingredients.faces.pixel_values import crops_to_pixel_values
from ingredients.faces.weights import load_weights, use_channels_last

WEIGHTS_NAME = "model.safetensors"

DETAIL = 2
"""How many times as wide as a piece from close up the aligned crop is that it is cut out of."""

_CLOSE_UPS = ((0.36, 0.46), (0.64, 0.46), (0.5, 0.56), (0.5, 0.72))
"""Middles of the pieces, x and y in parts of the crop's side: both eyes, the nose, the mouth; all within a face."""

_CLOSE_WEIGHT = 0.7
"""Weight of what the pieces say, against the whole crop's."""

_WIDER = (2.0, 4.0)
"""How many times as wide as the aligned crop the surroundings are that are looked at."""

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


class PictureKindClassifier:
    """Looks at faces that a detector found, by a network and by a second one, where there is one."""

    def __init__(
        self, network: PictureKindNetwork, config: PictureKindConfig, second: "PictureKindClassifier | None" = None
    ) -> None:
        """Joins the networks.

        Args:
            network: sees aligned crops.
            config: how it is used; what is drawn in another style, it says for both.
            second: looks as well. A photograph is what either is sure of, the drawn world what both take for it.
        """
        self.network = network.eval().requires_grad_(False)
        self.config = config
        self.second = second

    @property
    def crop_side(self) -> int:
        """Side T in pixels of the aligned crops that this network looks at."""
        return self.config.crop_size

    def look(self, image: UInt8Array, landmarks: Float32Array) -> PictureLook:
        """Looks at the face with landmarks (5, 2) of an RGB image (H, W, 3)."""
        crops = [crop_arcface(image, landmarks, size=each.crop_side) for each in self._all]
        return self._look_together(crops, lambda side: _cut_surroundings(image, landmarks, side))

    def look_at_whole(self, image: UInt8Array) -> PictureLook:
        """Looks at the middle of an RGB image (H, W, 3) in which no face was found."""
        picture = Image.fromarray(image)
        sizes = [(each.crop_side, each.crop_side) for each in self._all]
        crops = [np.asarray(ImageOps.fit(picture, size, Image.Resampling.BILINEAR)) for size in sizes]
        return self._look_together(crops)

    def look_at_crops(self, crops: UInt8Array) -> list[PictureLook]:
        """Looks at aligned crops (B, T, T, 3) of which nothing else is known, by this network alone."""
        return [
            self._decide([own], functools.partial(self._is_drawing, [own[None]], crop[None]))
            for own, crop in zip(self.log_scores(crops), crops, strict=True)
        ]

    @property
    def _all(self) -> "list[PictureKindClassifier]":
        return [self] if self.second is None else [self, self.second]

    def _look_together(
        self, crops: list[UInt8Array], surroundings: Callable[[int], UInt8Array] | None = None
    ) -> PictureLook:
        """Looks at a face, and around it where it may be photographed.

        A detector takes an eye or a corner of a drawing for a face, which says little of it.

        Args:
            crops: for each network, (T, T, 3).
            surroundings: makes pictures (B, T, T, 3) of what is around the face, from T; None: nothing is.
        """
        own = [each.log_scores(crop[None])[0] for each, crop in zip(self._all, crops, strict=True)]

        def is_drawing() -> bool:
            largest = max(crops, key=len)
            if surroundings is None:
                return self._is_drawing([scores[None] for scores in own], largest[None])
            around = surroundings(len(largest))
            of_all = [
                torch.cat([scores[None], each.log_scores(_resized(around, each.crop_side))])
                for each, scores in zip(self._all, own, strict=True)
            ]
            return self._is_drawing(of_all, np.concatenate([largest[None], around]))

        return self._decide(own, is_drawing)

    def _decide(self, own: list[Tensor], is_drawing: Callable[[], bool]) -> PictureLook:
        """Says what a face is of.

        Args:
            own: each network's log scores (kinds,) of it.
            is_drawing: whether it is known to be drawn, in whatever style; asked where one takes it for a photograph.
        """
        kind = PictureKind.OTHER_STYLE
        sure = [
            each._odds(scores) > math.log(each.config.min_photograph_odds)
            for each, scores in zip(self._all, own, strict=False)
        ]
        if any(sure) and not is_drawing():
            kind = PictureKind.PHOTOGRAPH
        elif not any(sure) and all(int(scores.argmax()) == PictureKind.DRAWN_WORLD for scores in own):
            kind = PictureKind.DRAWN_WORLD
        least_drawn = min(own, key=lambda scores: float(scores[PictureKind.DRAWN_WORLD]))
        drawn_world, other_style, photograph = least_drawn.exp().tolist()
        return PictureLook(kind=kind, drawn_world=drawn_world, other_style=other_style, photograph=photograph)

    def _is_drawing(self, log_scores: list[Tensor], views: UInt8Array) -> bool:
        """Whether it is a drawing, by each network's log scores (B, kinds) of it, and by how flat views of it are."""
        odds = [scores[:, PictureKind.OTHER_STYLE] - scores[:, PictureKind.PHOTOGRAPH] for scores in log_scores]
        if float(torch.stack(odds).mean()) > math.log(self.config.max_drawing_odds):
            return True
        return float(np.mean([edge_share(view) for view in views])) >= self.config.min_edge_share

    def _odds(self, log_scores: Tensor) -> float:
        """How many times a photograph's score is the drawn world's, as a logarithm."""
        return float(log_scores[PictureKind.PHOTOGRAPH] - log_scores[PictureKind.DRAWN_WORLD])

    def log_scores(self, crops: UInt8Array) -> Tensor:
        """Log scores (B, kinds) of crops (B, T, T, 3)."""
        size = self.crop_side
        inset = (size - round(size / _NEARER)) // 2
        nearer = _resized(crops[:, inset : size - inset, inset : size - inset], size)
        return self.mean_log_scores(_views(crops, nearer)).log_softmax(-1)

    @torch.no_grad()
    def mean_log_scores(self, views: list[UInt8Array]) -> Tensor:
        """Log scores (B, kinds), the mean over views (B, S, S, 3) and their mirror images."""
        pixel_values = [crops_to_pixel_values(view) for view in views]
        pixel_values += [mirrored.flip(-1) for mirrored in pixel_values]
        return torch.stack([self.network(view).float().log_softmax(-1) for view in pixel_values]).mean(0)


class CloseUpClassifier(PictureKindClassifier):
    """Looks at crops as wholes and at pieces of them from close up."""

    @property
    def crop_side(self) -> int:
        """Side T in pixels of the aligned crops that pieces are cut out of."""
        return DETAIL * self.config.crop_size

    def log_scores(self, crops: UInt8Array) -> Tensor:
        """Log scores (B, kinds) of crops (B, T, T, 3), wholes and pieces together."""
        middle = (0.5, 0.5)
        wholes = _views(cut_pieces(crops, middle, 1.0), cut_pieces(crops, middle, 1 / _NEARER))
        whole = self.mean_log_scores(wholes)
        pieces = [cut_pieces(crops, place, 1 / DETAIL) for place in _CLOSE_UPS]
        close = self.mean_log_scores(pieces + [_without_colour(_evenly_lit(piece)) for piece in pieces])
        return torch.lerp(whole, close, _CLOSE_WEIGHT).log_softmax(-1)


def _cut_surroundings(image: UInt8Array, landmarks: Float32Array, side: int) -> UInt8Array:
    """Squares (B, side, side, 3) of a picture (H, W, 3) around a face, `_WIDER` times as wide as its aligned crop.

    Each is the largest that there is where the picture is smaller, and never reaches out of it.
    """
    height, width = image.shape[:2]
    (left_eye, _), (right_eye, _) = ARCFACE_TEMPLATE[:2]
    crop_width = float(np.linalg.norm(landmarks[1] - landmarks[0])) / (right_eye - left_eye)
    middle = landmarks.mean(axis=0)
    squares = []
    for times in _WIDER:
        extent = max(1, int(min(times * crop_width, height, width)))
        left = int(np.clip(middle[0] - extent / 2, 0, width - extent))
        top = int(np.clip(middle[1] - extent / 2, 0, height - extent))
        square = Image.fromarray(image[top : top + extent, left : left + extent])
        squares.append(np.asarray(square.resize((side, side), Image.Resampling.BILINEAR)))
    return np.stack(squares)


def cut_pieces(crops: UInt8Array, middle: tuple[float, float], part: float) -> UInt8Array:
    """Square pieces (B, S, S, 3) of crops (B, DETAIL * S, DETAIL * S, 3), S wide whatever part of a crop they show.

    Args:
        crops: aligned crops.
        middle: x and y in parts of the crop's side; a piece that would reach out of the crop is moved into it.
        part: side of the piece in parts of the crop's side.
    """
    size = crops.shape[1]
    side = min(max(round(part * size), 1), size)
    left, top = (min(max(round(place * size - side / 2), 0), size - side) for place in middle)
    return _resized(crops[:, top : top + side, left : left + side], size // DETAIL)


def _resized(crops: UInt8Array, size: int) -> UInt8Array:
    if crops.shape[1] == size:
        return crops
    resized = [Image.fromarray(crop).resize((size, size), Image.Resampling.BILINEAR) for crop in crops]
    return np.stack([np.asarray(crop) for crop in resized])


def _views(crops: UInt8Array, nearer: UInt8Array) -> list[UInt8Array]:
    """Crops (B, S, S, 3) as they are, from nearer, and evenly lit, the first and the last without colour, too.

    Their mean is surer than any of them: a tint, faint light or a cap says less.
    """
    lit = _evenly_lit(crops)
    return [crops, nearer, lit, _without_colour(crops), _without_colour(lit)]


def _evenly_lit(crops: UInt8Array) -> UInt8Array:
    brightness = crops.astype(np.float32).mean(axis=-1)
    low, high = np.percentile(brightness, (2, 98), axis=(1, 2))[:, :, None, None, None]
    gain = (_LIT[1] - _LIT[0]) / np.maximum(high - low, _LEAST_CONTRAST)
    return np.asarray(np.clip((crops - low) * gain + _LIT[0], 0, 255), np.uint8)


def _without_colour(crops: UInt8Array) -> UInt8Array:
    grey = crops.astype(np.float32).mean(axis=-1, keepdims=True)
    return np.asarray(grey.repeat(3, axis=-1), np.uint8)


def edge_share(crop: UInt8Array) -> float:
    """Share of all differences between neighbouring pixels of a crop (S, S, 3) that their strongest tenth makes up.

    Where colours are flat, nearly everything lies at edges; where they are shaded and textured, a good part does not.
    """
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
        "world portrait --seed 7`, or have somebody drawn all the same, as for a drawing in another style that only "
        "looks so, by --allow-photographs (in Python, extract_identities(people, allow_photographs=True))."
    )


def build_picture_kind(
    config: PictureKindConfig, weights: Path, second: PictureKindClassifier | None = None
) -> PictureKindClassifier:
    """Makes the classifier from its weights; raises `ModelFolderError` as `load_weights` does."""
    network = PictureKindNetwork(config)
    load_weights(network, weights)
    return (CloseUpClassifier if config.close_ups else PictureKindClassifier)(network, config, second)
