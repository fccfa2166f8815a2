"""The canvas in latents: composed before the VAE, as in the paper, or each face by itself and joined after it.

Table 2 compares the two. Joined after the VAE, a face is encoded without its neighbours, and the rest is zero.

Legend: B batch, N people, S side of a crop, H/W pixels, C channels, h/w latent grid.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from diffusers import AutoencoderKLCogVideoX

from ingredients.core.arrays import UInt8Array
from ingredients.data.encode import encode_images
from ingredients.faces.canvas import canvas_slots, compose_canvas

CanvasPlacement = Literal["before", "after"]


def encode_canvases(
    vae: AutoencoderKLCogVideoX,
    crops: Sequence[UInt8Array],
    *,
    height: int,
    width: int,
    placement: CanvasPlacement = "before",
) -> torch.Tensor:
    """Scaled latents (B, 1, C, h, w) of the canvases of B samples.

    Args:
        vae: encodes, by the posterior's mean.
        crops: for each sample, the crops (N, S, S, 3) of its people.
        height: of the video.
        width: of the video.
        placement: before or after the VAE.
    """
    canvases = np.stack([compose_canvas(each, height, width) for each in crops])
    if placement == "before":
        return encode_images(vae, canvases)
    ratio = 2 ** (len(vae.config.block_out_channels) - 1)
    latents = torch.zeros(
        len(crops), 1, vae.config.latent_channels, height // ratio, width // ratio, device=vae.device, dtype=vae.dtype
    )
    for row, canvas in enumerate(canvases):
        slots = canvas_slots(len(crops[row]), height, width)
        faces = np.stack([canvas[s.top : s.top + s.size, s.left : s.left + s.size] for s in slots])
        side = slots[0].size // ratio
        encoded = encode_images(vae, faces[:, : side * ratio, : side * ratio])[:, 0]  # (N, C, side, side)
        for slot, face in zip(slots, encoded, strict=True):
            top, left = slot.top // ratio, slot.left // ratio
            latents[row, 0, :, top : top + side, left : left + side] = face
    return latents
