"""Random changes to batches of pictures, drawn from a generator: light, colour, blur, low resolution, noise, framing.

Legend: B batch, H/W pixels.
"""

import dataclasses

import torch
from torch import Tensor
from torch.nn import functional as F

from ingredients.training.small_world.faces.settings import AugmentationConfig


def uniform(generator: torch.Generator, shape: tuple[int, ...], low: float, high: float) -> Tensor:
    """Uniform random numbers."""
    return torch.rand(shape, generator=generator) * (high - low) + low


def disturb(pixel_values: Tensor, generator: torch.Generator, config: AugmentationConfig) -> Tensor:
    """Changes light, colour, sharpness and noise of pictures (B, 3, H, W) in -1..1, each in its own way."""
    batch_size = pixel_values.shape[0]
    soft = _soften(pixel_values, generator, config.max_shrink)
    chosen = uniform(generator, (batch_size, 1, 1, 1), 0.0, 1.0) < config.blur_chance
    pixel_values = torch.where(chosen, soft, pixel_values)
    gain = uniform(generator, (batch_size, 1, 1, 1), 1 - config.brightness, 1 + config.brightness)
    channel_gain = uniform(generator, (batch_size, 3, 1, 1), 1 - config.colour, 1 + config.colour)
    contrast = uniform(generator, (batch_size, 1, 1, 1), 1 - config.contrast, 1 + config.contrast)
    pixel_values = (pixel_values + 1.0) * (gain * channel_gain) - 1.0
    mean = pixel_values.mean((1, 2, 3), keepdim=True)
    pixel_values = (pixel_values - mean) * contrast + mean
    deviation = uniform(generator, (batch_size, 1, 1, 1), 0.0, 2 * config.noise)
    deviation = deviation * (uniform(generator, (batch_size, 1, 1, 1), 0.0, 1.0) < 0.5)
    pixel_values = pixel_values + deviation * torch.randn(pixel_values.shape, generator=generator)
    return pixel_values.clamp(-1.0, 1.0).contiguous(memory_format=torch.channels_last)


def _soften(pixel_values: Tensor, generator: torch.Generator, max_shrink: float) -> Tensor:
    height, width = pixel_values.shape[-2:]
    shrink = float(uniform(generator, (1,), 1.0, max_shrink))
    size = (max(round(height / shrink), 1), max(round(width / shrink), 1))
    small = F.interpolate(pixel_values, size=size, mode="bilinear", antialias=True, align_corners=False)
    mode = "bicubic" if float(torch.rand(1, generator=generator)) < 0.5 else "bilinear"
    return F.interpolate(small, size=(height, width), mode=mode, align_corners=False)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PictureFraming:
    """A zoom, turn and shift of each picture of a batch: `moved = centre + matrix @ (point - centre) + shift`."""

    matrix: Tensor
    """(B, 2, 2)."""

    shift: Tensor
    """(B, 2) pixels, x then y."""

    @torch.autocast("cpu", enabled=False)
    def points(self, points: Tensor, size: tuple[int, int]) -> Tensor:
        """Where points (B, ..., 2) in pixels of a picture (height, width) come to lie."""
        centre = torch.tensor([size[1] / 2, size[0] / 2])
        flat = points.flatten(1, -2) - centre  # (B, points, 2)
        moved = torch.einsum("bij,bpj->bpi", self.matrix, flat) + centre + self.shift[:, None]
        return moved.reshape(points.shape)

    @torch.autocast("cpu", enabled=False)  # coordinates in bfloat16 would be half a pixel off
    def pictures(self, pixel_values: Tensor) -> Tensor:
        """The pictures (B, 3, H, W) so framed; what comes into view repeats the border."""
        height, width = pixel_values.shape[-2:]
        half = torch.tensor([width / 2, height / 2])
        inverse = torch.linalg.inv(self.matrix)
        offset = -torch.einsum("bij,bj->bi", inverse, self.shift) / half  # in units of the half size
        linear = inverse * half[None, None, :] / half[None, :, None]
        theta = torch.cat([linear, offset[..., None]], dim=-1)  # (B, 2, 3)
        grid = F.affine_grid(theta, list(pixel_values.shape), align_corners=False)
        return F.grid_sample(pixel_values, grid, mode="bilinear", padding_mode="border", align_corners=False)


def draw_framing(
    batch_size: int, generator: torch.Generator, *, zoom: tuple[float, float], turn: float, shift: float
) -> PictureFraming:
    """Draws a framing for each picture of a batch.

    Args:
        batch_size: B.
        generator: source of randomness.
        zoom: smallest and largest factor, drawn evenly in its logarithm.
        turn: largest angle in radians.
        shift: largest shift in pixels, each way.
    """
    low, high = torch.tensor(zoom).log().tolist()
    factor = uniform(generator, (batch_size,), low, high).exp()
    angle = uniform(generator, (batch_size,), -turn, turn)
    cosine, sine = factor * angle.cos(), factor * angle.sin()
    matrix = torch.stack([torch.stack([cosine, -sine], -1), torch.stack([sine, cosine], -1)], dim=1)
    return PictureFraming(matrix=matrix, shift=uniform(generator, (batch_size, 2), -shift, shift))
