"""A face's parts in a photograph, pixel by pixel: BiSeNet (Yu et al. 2018) as it was trained on CelebAMask-HQ.

Legend: B pictures, H/W pixels, C channels, K kinds of parts, /8 an eighth of the side, S side of the network's square.
"""

import re
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import ResNetBackbone, ResNetConfig

from ingredients.core.arrays import UInt8Array
from ingredients.faces.face_parts import FacePart
from ingredients.faces.weights import fill_network, read_tensors

_SIDE = 512
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's, which it was trained with


class BiSeNetFaceParser:
    """A `FaceParser` of `ingredients.faces.face_parts`.

    Args:
        network: in evaluation mode.
    """

    def __init__(self, network: "BiSeNet") -> None:
        self._network = network

    @torch.no_grad()
    def parse(self, image: UInt8Array) -> UInt8Array:
        """The `FacePart` (H, W) of each pixel."""
        picture = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float() / 255  # (1, 3, H, W)
        square = F.interpolate(picture, size=(_SIDE, _SIDE), mode="bilinear", antialias=True)
        mean, deviation = (torch.tensor(values)[None, :, None, None] for values in (_MEAN, _DEVIATION))
        logits = self._network((square - mean) / deviation)
        logits = F.interpolate(logits, size=image.shape[:2], mode="bilinear", antialias=True)
        parts: UInt8Array = logits[0].argmax(dim=0).to(torch.uint8).numpy()
        return parts


def load_face_parser(path: Path) -> BiSeNetFaceParser:
    """Reads weights with the names of the file that the package brings.

    Raises:
        ModelFolderError: if the file is missing or damaged, or of another model.
    """
    with torch.device("meta"):
        network = BiSeNet(num_parts=len(FacePart))
    stored = {
        our_name(name): tensor
        for name, tensor in read_tensors(path).items()
        if not name.startswith(_ONLY_FOR_TRAINING)
    }
    fill_network(network, stored, path)
    return BiSeNetFaceParser(network.eval())


_ONLY_FOR_TRAINING = ("conv_out16.", "conv_out32.")

_OUR_NAMES = (
    (r"cp\.resnet\.conv1\.", r"context.resnet.embedder.embedder.convolution."),
    (r"cp\.resnet\.bn1\.", r"context.resnet.embedder.embedder.normalization."),
    (
        r"cp\.resnet\.layer(\d)\.(\d)\.conv(\d)\.",
        r"context.resnet.encoder.stages.<\1>.layers.\2.layer.<\3>.convolution.",
    ),
    (
        r"cp\.resnet\.layer(\d)\.(\d)\.bn(\d)\.",
        r"context.resnet.encoder.stages.<\1>.layers.\2.layer.<\3>.normalization.",
    ),
    (
        r"cp\.resnet\.layer(\d)\.(\d)\.downsample\.0\.",
        r"context.resnet.encoder.stages.<\1>.layers.\2.shortcut.convolution.",
    ),
    (
        r"cp\.resnet\.layer(\d)\.(\d)\.downsample\.1\.",
        r"context.resnet.encoder.stages.<\1>.layers.\2.shortcut.normalization.",
    ),
    (r"cp\.conv_avg\.", r"context.of_all."),
    (r"cp\.arm(16|32)\.conv_atten\.", r"context.refine\1.weigh.0."),
    (r"cp\.arm(16|32)\.bn_atten\.", r"context.refine\1.weigh.1."),
    (r"cp\.arm(16|32)\.", r"context.refine\1."),
    (r"cp\.conv_head(16|32)\.", r"context.smooth\1."),
    (r"ffm\.convblk\.", r"fuse.conv."),
    (r"ffm\.conv([12])\.", r"fuse.weigh\1."),
    (r"conv_out\.conv_out\.", r"head.1."),
    (r"conv_out\.conv\.", r"head.0."),
)
"""Beginnings of names in the file, and of ours; <n> is n - 1, for what the file counts from 1."""


def our_name(name: str) -> str:
    """What a tensor of the file is called here; one that nobody knows keeps its name, and is refused for it."""
    for theirs, ours in _OUR_NAMES:
        if match := re.match(theirs, name):
            begun = re.sub(r"<(\d)>", lambda number: str(int(number[1]) - 1), match.expand(ours))
            return begun + name[match.end() :]
    return name


class BiSeNet(nn.Module):
    """A context path whose eighth-sized features stand for the spatial path, joined by a feature fusion module."""

    def __init__(self, *, num_parts: int) -> None:
        super().__init__()
        self.context = ContextPath()
        self.fuse = FeatureFusion(256, 256)
        self.head = nn.Sequential(ConvNorm(256, 256, kernel=3), nn.Conv2d(256, num_parts, 1, bias=False))

    def forward(self, pixel_values: Tensor) -> Tensor:
        """Logits (B, K, /8, /8) of the parts in normalised pictures (B, 3, S, S)."""
        detail, context = self.context(pixel_values)  # each (B, 128, /8, /8)
        logits: Tensor = self.head(self.fuse(detail, context))
        return logits


class ContextPath(nn.Module):
    """A ResNet-18 whose two deepest features are refined, and added up from the deepest on."""

    def __init__(self) -> None:
        super().__init__()
        self.resnet = ResNetBackbone(
            ResNetConfig(
                embedding_size=64,
                hidden_sizes=[64, 128, 256, 512],
                depths=[2, 2, 2, 2],
                layer_type="basic",
                out_features=["stage2", "stage3", "stage4"],
            )
        )
        self.refine16 = AttentionRefinement(256, 128)
        self.refine32 = AttentionRefinement(512, 128)
        self.smooth16 = ConvNorm(128, 128, kernel=3)
        self.smooth32 = ConvNorm(128, 128, kernel=3)
        self.of_all = ConvNorm(512, 128, kernel=1)

    def forward(self, pixel_values: Tensor) -> tuple[Tensor, Tensor]:
        """Features of detail and of context, each (B, 128, /8, /8)."""
        eighth, sixteenth, thirty_second = self.resnet(pixel_values).feature_maps
        of_all = self.of_all(thirty_second.mean(dim=(2, 3), keepdim=True))  # (B, 128, 1, 1)
        deep = self.refine32(thirty_second) + of_all
        deep = self.smooth32(F.interpolate(deep, size=sixteenth.shape[2:], mode="nearest"))  # (B, 128, /16, /16)
        context = self.refine16(sixteenth) + deep
        context = self.smooth16(F.interpolate(context, size=eighth.shape[2:], mode="nearest"))
        return eighth, context


class AttentionRefinement(nn.Module):
    """Weighs channels by what they are on the mean over the picture."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = ConvNorm(in_channels, out_channels, kernel=3)
        self.weigh = nn.Sequential(
            nn.Conv2d(out_channels, out_channels, 1, bias=False), nn.BatchNorm2d(out_channels), nn.Sigmoid()
        )

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, H, W) as (B, C', H, W)."""
        features = self.conv(features)
        weighed: Tensor = features * self.weigh(features.mean(dim=(2, 3), keepdim=True))
        return weighed


class FeatureFusion(nn.Module):
    """Joins detail and context, and adds what its channels' means ask for."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = ConvNorm(in_channels, out_channels, kernel=1)
        self.weigh1 = nn.Conv2d(out_channels, out_channels // 4, 1, bias=False)
        self.weigh2 = nn.Conv2d(out_channels // 4, out_channels, 1, bias=False)

    def forward(self, detail: Tensor, context: Tensor) -> Tensor:
        """Two of (B, C, H, W) as (B, C', H, W)."""
        joined = self.conv(torch.cat([detail, context], dim=1))
        weights = self.weigh2(F.relu(self.weigh1(joined.mean(dim=(2, 3), keepdim=True)))).sigmoid()
        fused: Tensor = joined + joined * weights
        return fused


class ConvNorm(nn.Module):
    """A convolution, a norm and a ReLU."""

    def __init__(self, in_channels: int, out_channels: int, *, kernel: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(out_channels)

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, H, W) as (B, C', H, W)."""
        activated: Tensor = F.relu(self.bn(self.conv(features)))
        return activated
