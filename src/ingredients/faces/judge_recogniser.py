"""The recogniser that judges the videos: another architecture than the one that conditions them.

After Liu et al., "A ConvNet for the 2020s" (2022): patches, wide depthwise convolutions, layer norm.

Legend: B batch, S side of a crop, D embedding, C channels, h/w cells of a feature map.
"""

from torch import Tensor, nn

from ingredients.faces.network_settings import JudgeConfig


class _DepthwiseBlock(nn.Module):
    """A 5 x 5 depthwise convolution, then two pointwise layers, beside a shortcut."""

    def __init__(self, channels: int, *, expansion: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 5, 1, 2, groups=channels)
        self.norm = nn.GroupNorm(1, channels)
        self.pointwise1 = nn.Conv2d(channels, expansion * channels, 1)
        self.activation = nn.GELU()
        self.pointwise2 = nn.Conv2d(expansion * channels, channels, 1)

    def forward(self, hidden_states: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C, h, w)."""
        normed = self.norm(self.depthwise(hidden_states))
        residual: Tensor = self.pointwise2(self.activation(self.pointwise1(normed)))
        return hidden_states + residual


class DepthwiseFaceNetwork(nn.Module):
    """Patches of four pixels, stages that halve the grid, a linear layer over the last cells."""

    def __init__(self, config: JudgeConfig) -> None:
        super().__init__()
        in_channels, patch = 3, 4
        self.stages = nn.ModuleList()
        for width, depth in zip(config.widths, config.depths, strict=True):
            self.stages.append(
                nn.Sequential(
                    nn.Conv2d(in_channels, width, patch, patch),
                    nn.GroupNorm(1, width),
                    *(_DepthwiseBlock(width, expansion=config.expansion) for _ in range(depth)),
                )
            )
            in_channels, patch = width, 2
        last_cells = (config.crop_size // (4 * 2 ** (len(config.widths) - 1))) ** 2
        self.norm = nn.LayerNorm(in_channels * last_cells)
        self.embedding = nn.Linear(in_channels * last_cells, config.embedding_dim)

    def forward(self, pixel_values: Tensor) -> Tensor:
        """Embeds crops (B, 3, S, S) in -1..1 as (B, D), not normalised."""
        hidden_states = pixel_values
        for stage in self.stages:
            hidden_states = stage(hidden_states)
        embeds: Tensor = self.embedding(self.norm(hidden_states.flatten(1)))
        return embeds
