"""The canvas in latents: composed before the VAE, as in the paper, or each face by itself and joined after it.

Table 2 compares the two. Joined after the VAE, a face is encoded without its neighbours, and the rest is zero.

Legend: B batch, N people, S side of a crop or slot, H/W pixels, C channels, h/w latent grid.
"""

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import torch
from diffusers import AutoencoderKLCogVideoX

from ingredients.core.arrays import UInt8Array
from ingredients.data.latents import video_to_pixels
from ingredients.faces.canvas import canvas_slots, compose_canvas
from ingredients.models.backbones import backbone_of_vae

CanvasPlacement = Literal["before", "after"]

_PIXELS_AT_ONCE = 480 * 720
"""Pixels of the pictures that the VAE encodes together: one as large as the published model's, or many small ones."""

EncodePictures = Callable[[torch.Tensor], torch.Tensor]
"""Pictures (B, 3, H, W) in [-1, 1] to scaled latents (B, C, h, w)."""


@torch.no_grad()
def encode_canvases(
    vae: AutoencoderKLCogVideoX,
    crops: Sequence[UInt8Array],
    *,
    height: int,
    width: int,
    placement: CanvasPlacement = "before",
) -> torch.Tensor:
    """Scaled latents (B, 1, C, h, w) of the canvases of B samples, by the posterior's mean.

    Args:
        vae: encodes.
        crops: for each sample, the crops (N, S, S, 3) of its people.
        height: of the video.
        width: of the video.
        placement: before or after the VAE.
    """
    backbone = backbone_of_vae(vae)

    def encode(pictures: torch.Tensor) -> torch.Tensor:
        pieces = torch.split(pictures.unsqueeze(2), pictures_at_once(*pictures.shape[-2:]))
        with backbone.single_frames(vae):
            encoded = [vae.encode(piece.to(vae.device, vae.dtype)).latent_dist.mode() for piece in pieces]
        return backbone.normalise_image(vae, torch.cat(encoded))[:, :, 0]

    canvases = np.stack([compose_canvas(each, height, width) for each in crops])
    pictures = video_to_pixels(canvases[:, None])[:, :, 0]  # (B, 3, H, W)
    if placement == "before":
        return encode(pictures).unsqueeze(1)
    ratio = backbone.spatial_ratio(vae.config)
    rows = [encode_slots(encode, row, len(each), ratio=ratio) for row, each in zip(pictures, crops, strict=True)]
    return torch.stack(rows).unsqueeze(1)


def pictures_at_once(height: int, width: int) -> int:
    """How many pictures the VAE encodes together."""
    return max(1, _PIXELS_AT_ONCE // (height * width))


def encode_slots(encode: EncodePictures, canvas: torch.Tensor, num_people: int, *, ratio: int) -> torch.Tensor:
    """Scaled latents (C, h, w) of a canvas whose N faces are encoded one by one; the rest is zero.

    A slot that does not begin on a latent's edge is moved to the one before it, as is its end.

    Args:
        encode: encodes the faces.
        canvas: (3, H, W) in [-1, 1], composed.
        num_people: N.
        ratio: pixels of a latent each way.
    """
    height, width = canvas.shape[-2:]
    slots = canvas_slots(num_people, height, width)
    faces = torch.stack(
        [canvas[:, slot.top : slot.top + slot.size, slot.left : slot.left + slot.size] for slot in slots]
    )
    side = slots[0].size // ratio
    encoded = encode(faces[..., : side * ratio, : side * ratio])  # (N, C, side, side)
    latents = encoded.new_zeros(encoded.shape[1], height // ratio, width // ratio)
    for slot, face in zip(slots, encoded, strict=True):
        top, left = slot.top // ratio, slot.left // ratio
        latents[:, top : top + side, left : left + side] = face
    return latents
