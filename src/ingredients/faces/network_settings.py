"""Architectures of the face networks, and how they are used; nothing here needs PyTorch to be read."""

import dataclasses
from collections.abc import Mapping
from typing import Annotated, Literal

from ingredients.core.ranges import Layers, Range, Width, check_ranges

ScaleSource = Literal["clip", "recognition_and_clip"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DetectorConfig:
    """Architecture of `FaceHeatmapNetwork` and the way it is used."""

    widths: tuple[Width, ...] = (16, 32, 48, 64, 96)
    """Channels at strides 2, 4, 8, 16 and 32."""

    head_width: Width = 40
    """Channels of the joined feature map that the heads read."""

    working_sizes: tuple[Width, ...] = (128, 256)
    """Long side in pixels that larger images are scaled down to; a later size is tried where no earlier one shows a
    face."""

    min_working_size: Width = 96
    """Long side in pixels that smaller images are scaled up to."""

    score_threshold: Annotated[float, Range(above=0, below=1)] = 0.4
    """Lowest heatmap value that counts as a face."""

    iou_threshold: Annotated[float, Range(above=0, below=1)] = 0.4
    """Overlap of two boxes above which the lower scored is dropped."""

    max_faces: Width = 32
    """Most faces in one image."""

    def __post_init__(self) -> None:
        """Checks counts and ranges."""
        check_ranges(self)
        if len(self.widths) != 5:
            raise ValueError(f"widths must hold five numbers of channels, not {self.widths}")
        if not self.working_sizes or list(self.working_sizes) != sorted(self.working_sizes):
            raise ValueError(f"working_sizes must be ascending and not empty, not {self.working_sizes}")
        if self.min_working_size > self.working_sizes[0]:
            raise ValueError(
                f"min_working_size must be in 1..{self.working_sizes[0]}, the first working size, "
                f"not {self.min_working_size}"
            )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RecogniserConfig:
    """Architecture of `ResidualFaceNetwork`."""

    crop_size: Annotated[int, Range(at_least=16, at_most=2048)] = 64
    """Side of the aligned crop in pixels."""

    embedding_dim: Width = 128
    """Width of the embedding."""

    widths: tuple[Width, ...] = (24, 48, 96, 160)
    """Channels at strides 2, 4, 8 and 16."""

    def __post_init__(self) -> None:
        """Checks counts."""
        check_ranges(self)
        if len(self.widths) != 4:
            raise ValueError(f"widths must hold four numbers of channels, not {self.widths}")
        if self.crop_size % 16:
            raise ValueError(f"crop_size must be a multiple of 16, not {self.crop_size}")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ImageEncoderConfig:
    """Sizes of both towers."""

    crop_size: Annotated[int, Range(at_least=1, at_most=2048)] = 64
    """Side of the square input in pixels."""

    patch_size: Annotated[int, Range(at_least=1, at_most=2048)] = 8
    """Side of a patch in pixels."""

    hidden_size: Width = 128
    """Width of both towers."""

    intermediate_size: Width = 256
    """Width of the feed-forward layers."""

    num_layers: Layers = 6
    """Layers of the image tower."""

    num_text_layers: Layers = 2
    """Layers of the text tower."""

    num_attention_heads: Width = 4
    """Heads of both towers."""

    projection_dim: Width = 128
    """Width of the joint embedding."""

    max_text_length: Annotated[int, Range(at_least=3, at_most=65_536)] = 40
    """Words of a sentence that are read, two marks included."""

    def __post_init__(self) -> None:
        """Checks divisibility and depth."""
        check_ranges(self)
        if self.crop_size % self.patch_size:
            raise ValueError(f"crop_size {self.crop_size} is no multiple of patch_size {self.patch_size}")
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"hidden_size {self.hidden_size} is no multiple of num_attention_heads {self.num_attention_heads}"
            )
        if self.num_layers < NUM_HIDDEN_STATES:
            raise ValueError(f"num_layers must be at least {NUM_HIDDEN_STATES}, not {self.num_layers}")

    @property
    def num_patches(self) -> int:
        """P: patches and the class token."""
        return (self.crop_size // self.patch_size) ** 2 + 1


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PictureKindConfig:
    """Architecture of `PictureKindNetwork` and the way it is used."""

    crop_size: Annotated[int, Range(at_least=8, at_most=2048)] = 64
    """Side in pixels of what the network sees: an aligned crop, or a piece of one from close up."""

    widths: tuple[Width, ...] = (12, 24, 40, 64)
    """Channels at strides 1, 2, 4 and 8."""

    close_ups: bool = False
    """Whether it sees pieces of the crop from close up, too, as `CloseUpClassifier` shows them."""

    min_photograph_odds: Annotated[float, Range(above=0, at_most=1000)] = 10.0
    """How many times a photograph's score must be the drawn world's for a picture to be one: nobody drawn is to be
    refused."""

    min_edge_share: Annotated[float, Range(above=0, below=1)] = 0.72
    """The least `edge_share` of what is a drawing, whatever the networks say: its mean over a face and its
    surroundings."""

    max_drawing_odds: Annotated[float, Range(above=0, at_most=1000)] = 25.0
    """How many times another style's score may be a photograph's where a photograph is seen, as the geometric mean
    over a face and its surroundings, and over the networks; of two networks, the first one's limits hold for both."""

    def __post_init__(self) -> None:
        """Checks counts and ranges."""
        check_ranges(self)
        if len(self.widths) != 4:
            raise ValueError(f"widths must hold four numbers of channels, not {self.widths}")
        if self.crop_size % 8:
            raise ValueError(f"crop_size must be a multiple of 8, not {self.crop_size}")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class JudgeConfig:
    """Architecture of `DepthwiseFaceNetwork`."""

    crop_size: Annotated[int, Range(at_least=4, at_most=2048)] = 64
    """Side of the aligned crop in pixels."""

    embedding_dim: Width = 128
    """Width of the embedding."""

    widths: tuple[Width, ...] = (64, 128, 192)
    """Channels at strides 4, 8 and 16."""

    depths: tuple[Layers, ...] = (1, 2, 2)
    """Blocks at each stride."""

    expansion: Annotated[int, Range(at_least=1, at_most=64)] = 2
    """Width of a block's middle, in parts of its channels."""

    def __post_init__(self) -> None:
        """Checks counts."""
        check_ranges(self)
        if len(self.widths) != len(self.depths) or not self.widths:
            raise ValueError(f"widths and depths must be equally long, not {self.widths} and {self.depths}")
        if self.crop_size % (4 * 2 ** (len(self.widths) - 1)):
            raise ValueError(f"crop_size {self.crop_size} cannot be halved {len(self.widths) + 1} times")


def _check_halvings(crop_size: int, widths: tuple[int, ...]) -> None:
    """Checks that a crop can be halved by each of some layers."""
    if crop_size % 2 ** len(widths):
        raise ValueError(f"crop_size {crop_size} cannot be halved {len(widths)} times")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ActingJudgeConfig:
    """Architecture of `ActingNetwork`, and what it tells apart."""

    actions: tuple[str, ...]
    """What people do."""

    expressions: tuple[str, ...]
    """How they look."""

    crop_size: Annotated[int, Range(at_least=4, at_most=2048)] = 64
    """S."""

    widths: tuple[Width, ...] = (24, 48, 72, 72)
    """Channels at strides 2, 4, 8 and 16."""

    dim: Width = 96
    """Channels along time."""

    def __post_init__(self) -> None:
        check_ranges(self)
        _check_halvings(self.crop_size, self.widths)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AttributesJudgeConfig:
    """Architecture of `AttributesNetwork`, and what it tells apart."""

    attributes: Mapping[str, tuple[str, ...]]
    """Values by attribute."""

    crop_size: Annotated[int, Range(at_least=4, at_most=2048)] = 80
    """S."""

    widths: tuple[Width, ...] = (24, 40, 64, 96)
    """Channels at strides 2, 4, 8 and 16."""

    dim: Width = 96
    """Channels of a whole crop."""

    def __post_init__(self) -> None:
        check_ranges(self)
        _check_halvings(self.crop_size, self.widths)


NUM_HIDDEN_STATES = 5
