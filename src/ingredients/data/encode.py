"""From pixels to latents, as the transformer reads them.

Legend: B batch, F frames, f latent frames, H/W pixels, h/w latent grid, C channels.
"""

import numpy as np
import torch
from diffusers import AutoencoderKLCogVideoX

from ingredients.core.arrays import UInt8Array
from ingredients.data.vae_shortcuts import single_frame_convolutions


def video_to_pixels(frames: UInt8Array) -> torch.Tensor:
    """RGB uint8 (B, F, H, W, 3) to float32 (B, 3, F, H, W) in [-1, 1]."""
    pixels = torch.from_numpy(np.ascontiguousarray(np.moveaxis(frames, -1, 1)))
    return pixels.float().div_(127.5).sub_(1.0)


@torch.no_grad()
def encode_clips(vae: AutoencoderKLCogVideoX, pixels: torch.Tensor) -> torch.Tensor:
    """Scaled latents (B, f, C, h, w) of clips (B, 3, F, H, W): the posterior's mean times the scaling factor."""
    latents: torch.Tensor = vae.encode(pixels).latent_dist.mode() * vae.config.scaling_factor
    return latents.transpose(1, 2)


@torch.no_grad()
def encode_images(vae: AutoencoderKLCogVideoX, images: UInt8Array) -> torch.Tensor:
    """Scaled latents (B, 1, C, h, w) of single pictures (B, H, W, 3), at a third of a clip's cost a frame."""
    with single_frame_convolutions(vae):
        return encode_clips(vae, video_to_pixels(images[:, None]).to(vae.device, vae.dtype))
