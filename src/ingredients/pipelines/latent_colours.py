"""Latents as small pictures, without decoding them: what a video that is being made looks like by now.

A VAE's latents are, as far as colours go, nearly linear in the picture: one matrix gives the mean colour of the pixels
of a cell. It is fitted by least squares to a few pictures that the VAE encodes, so that it fits any VAE.

Legend: n pictures, f latent frames, C channels, h/w latent grid, H/W pixels.
"""

import dataclasses
from typing import Any, Self

import torch
import torch.nn.functional as F

from ingredients.core.arrays import UInt8Array
from ingredients.models.backbones import backbone_of_vae

_NUM_PICTURES = 8
_CELLS_A_SIDE = 32
_BLOCK_CELLS = (2, 4, 8, 16)
"""Cells a side of the blocks of one colour in the pictures: edges and areas of all sizes."""

_SEED = 0
_EDGE = 2
"""Cells at the border that are left out: there the VAE sees what lies outside."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LatentColours:
    """Gives latents the colours that they stand for."""

    weights: torch.Tensor
    """(C + 1, 3): from the channels and a one to red, green and blue from -1 to 1."""

    @classmethod
    @torch.inference_mode()
    def fit(cls, vae: Any, *, device: torch.device) -> Self:
        """Fits the colours of a VAE, which encodes a few small pictures for it.

        Args:
            vae: the VAE of the model.
            device: where it runs.
        """
        backbone = backbone_of_vae(vae)
        ratio = backbone.spatial_ratio(vae.config)
        pictures = _colourful_pictures(_CELLS_A_SIDE)  # (n, 3, h, w), a pixel a cell
        pixels = F.interpolate(pictures, scale_factor=ratio, mode="nearest")
        encoded = [
            backbone.normalise(vae, vae.encode(each[None, :, None].to(device, vae.dtype)).latent_dist.mode())
            for each in pixels
        ]
        latents = torch.cat(encoded)[:, :, 0].float().cpu()  # (n, C, h, w)
        inner = slice(_EDGE, -_EDGE)
        cells = latents[..., inner, inner].movedim(1, -1).flatten(0, 2)
        wanted = pictures[..., inner, inner].movedim(1, -1).flatten(0, 2)
        solution = torch.linalg.lstsq(_with_one(cells), wanted)
        return cls(weights=solution.solution)

    @torch.inference_mode()
    def __call__(self, latents: torch.Tensor) -> UInt8Array:
        """RGB pictures (f, h, w, 3) of scaled latents (f, C, h, w), a pixel for each cell."""
        colours = _with_one(latents.float().cpu().movedim(1, -1)) @ self.weights
        values = (colours.clamp(-1, 1) + 1) * 127.5
        pictures: UInt8Array = values.round().to(torch.uint8).numpy()
        return pictures


def _with_one(cells: torch.Tensor) -> torch.Tensor:
    return torch.cat([cells, torch.ones_like(cells[..., :1])], dim=-1)


def _colourful_pictures(side: int) -> torch.Tensor:
    """Pictures (n, 3, side, side) from -1 to 1, of blocks of random colours."""
    generator = torch.Generator().manual_seed(_SEED)
    pictures = []
    for index in range(_NUM_PICTURES):
        cells = _BLOCK_CELLS[index % len(_BLOCK_CELLS)]
        blocks = torch.rand(1, 3, side // cells, side // cells, generator=generator) * 2 - 1
        pictures.append(F.interpolate(blocks, size=(side, side), mode="nearest"))
    return torch.cat(pictures)
