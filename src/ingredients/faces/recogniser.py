"""The small model's face recogniser: a residual network trained with ArcFace's loss.

After Deng et al., "ArcFace: Additive Angular Margin Loss for Deep Face Recognition" (2019), at a 64-pixel crop.

Legend: B batch, S side of a crop, D embedding, P image-encoder tokens, C channels, h/w cells of a feature map.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ingredients.core.arrays import Float32Array, UInt8Array
from ingredients.faces.alignment import crop_arcface
from ingredients.faces.network_settings import RecogniserConfig
from ingredients.faces.pixel_values import crops_to_pixel_values
from ingredients.faces.weights import use_channels_last


class _ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut; the first may halve the size."""

    def __init__(self, in_channels: int, out_channels: int, *, stride: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(out_channels)
        self.activation = nn.PReLU(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(out_channels)
        self.shortcut = nn.Sequential(
            nn.AvgPool2d(stride), nn.Conv2d(in_channels, out_channels, 1, bias=False), nn.BatchNorm2d(out_channels)
        )

    def forward(self, hidden_states: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C', h / stride, w / stride)."""
        residual = self.conv1(self.norm(hidden_states))
        residual = self.norm2(self.conv2(self.activation(self.norm1(residual))))
        output: Tensor = residual + self.shortcut(hidden_states)
        return output


class ResidualFaceNetwork(nn.Module):
    """Stem, three residual blocks, and one linear layer over all cells of the last map."""

    def __init__(self, config: RecogniserConfig) -> None:
        super().__init__()
        widths = config.widths
        last_cells = (config.crop_size // 16) ** 2
        self.stem = nn.Sequential(
            nn.Conv2d(3, widths[0], 3, 2, 1, bias=False), nn.BatchNorm2d(widths[0]), nn.PReLU(widths[0])
        )
        self.blocks = nn.ModuleList(
            _ResidualBlock(widths[index], widths[index + 1], stride=2) for index in range(len(widths) - 1)
        )
        self.norm = nn.BatchNorm2d(widths[-1])
        self.embedding = nn.Linear(widths[-1] * last_cells, config.embedding_dim, bias=False)
        self.embedding_norm = nn.BatchNorm1d(config.embedding_dim)
        use_channels_last(self)

    def forward(self, pixel_values: Tensor) -> Tensor:
        """Embeds crops (B, 3, S, S) in -1..1 as (B, D), not normalised."""
        hidden_states: Tensor = self.norm(self.feature_maps(pixel_values)[-1])
        embeds: Tensor = self.embedding_norm(self.embedding(hidden_states.flatten(1)))
        return embeds

    def feature_maps(self, pixel_values: Tensor) -> list[Tensor]:
        """The maps (B, C, h, w) at strides 2, 4, 8 and 16."""
        maps = [self.stem(pixel_values)]
        for block in self.blocks:
            maps.append(block(maps[-1]))
        return maps


class ArcFaceRecogniser:
    """A `FaceRecogniser` of `ingredients.core.protocols`, around a network that embeds 5-point aligned crops."""

    def __init__(self, network: nn.Module, *, crop_size: int, embedding_dim: int) -> None:
        self.network = network.eval().requires_grad_(False)
        self._crop_size = crop_size
        self._embedding_dim = embedding_dim

    @property
    def crop_size(self) -> int:
        """Side S of the crops in pixels."""
        return self._crop_size

    @property
    def embedding_dim(self) -> int:
        """Width D of the embedding."""
        return self._embedding_dim

    def align(self, image: UInt8Array, landmarks: Float32Array) -> UInt8Array:
        """Cuts the face with landmarks (5, 2) out of an RGB image (H, W, 3), as a crop (S, S, 3)."""
        return crop_arcface(image, landmarks, size=self.crop_size)

    @torch.no_grad()
    def embed(self, crops: UInt8Array) -> Tensor:
        """Embeds crops (B, S, S, 3) as float32 (B, D), not normalised."""
        return self.embed_pixel_values(crops_to_pixel_values(crops))

    def embed_pixel_values(self, pixel_values: Tensor) -> Tensor:
        """Embeds crops (B, 3, S, S) in -1..1 as float32 (B, D), not normalised; gradients reach the pixels."""
        embeds: Tensor = self.network(pixel_values)
        return embeds.float()

    def to(self, device: torch.device) -> None:
        """Computes there from now on."""
        self.network.to(device)

    @torch.no_grad()
    def scale_features(self, crops: UInt8Array, *, num_patches: int) -> tuple[Tensor, ...]:
        """Feature maps of the backbone, brought to the token grid of an image encoder (paper, 3.2).

        Five scales are wanted and the backbone has four maps: the deepest serves twice. Narrow maps are padded with
        zero channels to the widest, so that all scales share one width.

        Args:
            crops: (B, S, S, 3).
            num_patches: P, one class token (the mean of the map) and a square grid.

        Returns:
            Five tensors (B, P, C), shallow to deep.

        Raises:
            ValueError: if P - 1 is no square.
        """
        assert isinstance(self.network, ResidualFaceNetwork)
        return maps_to_tokens(self.network.feature_maps(crops_to_pixel_values(crops)), num_patches=num_patches)


def maps_to_tokens(maps: Sequence[Tensor], *, num_patches: int) -> tuple[Tensor, ...]:
    """Brings the four feature maps of a backbone to the token grid of an image encoder.

    Args:
        maps: (B, C, h, w), shallow to deep; widths and sizes may differ.
        num_patches: P, one class token (the mean of the map) and a square grid.

    Returns:
        Five tensors (B, P, C) of the widest map's width, shallow to deep; the deepest map serves twice.

    Raises:
        ValueError: if P - 1 is no square.
    """
    side = round((num_patches - 1) ** 0.5)
    if side * side != num_patches - 1:
        raise ValueError(f"num_patches must be a square plus the class token, not {num_patches}")
    width = max(feature_map.shape[1] for feature_map in maps)
    return tuple(_to_tokens(feature_map, side, width) for feature_map in [*maps, maps[-1]])


def _to_tokens(feature_map: Tensor, side: int, width: int) -> Tensor:
    feature_map = F.pad(feature_map, (0, 0, 0, 0, 0, width - feature_map.shape[1]))
    grid = F.interpolate(feature_map, size=(side, side), mode="bilinear", antialias=True, align_corners=False)
    patches = grid.flatten(2).transpose(1, 2)  # (B, P - 1, C)
    class_token = feature_map.mean((2, 3)).unsqueeze(1)  # (B, 1, C)
    return torch.cat([class_token, patches], dim=1).float()
