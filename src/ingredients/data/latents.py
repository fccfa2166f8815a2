"""From pixels to latents, as the transformer reads them, and back.

Legend: B batch, F frames, f latent frames, H/W pixels, h/w latent grid, C channels.
"""

from typing import Any

import numpy as np
import torch

from ingredients.core.arrays import UInt8Array
from ingredients.models.backbones import backbone_of_vae

_PICTURES_AT_ONCE = 8
"""Frames that a VAE without compression in time encodes or decodes together."""


def video_to_pixels(frames: UInt8Array) -> torch.Tensor:
    """RGB uint8 (B, F, H, W, 3) to float32 (B, 3, F, H, W) in [-1, 1]."""
    pixels = torch.from_numpy(np.ascontiguousarray(np.moveaxis(frames, -1, 1)))
    return pixels.float().div_(127.5).sub_(1.0)


@torch.no_grad()
def encode_clips(vae: Any, pixels: torch.Tensor) -> torch.Tensor:
    """Scaled latents (B, f, C, h, w) of clips (B, 3, F, H, W): the posterior's mean, normalised."""
    backbone = backbone_of_vae(vae)
    if backbone.temporal_ratio(vae.config) > 1 or pixels.shape[2] == 1:
        return backbone.normalise(vae, vae.encode(pixels).latent_dist.mode()).transpose(1, 2)
    pictures = pixels.transpose(1, 2).flatten(0, 1).unsqueeze(2)  # (B F, 3, 1, H, W): a VAE of pictures knows no time
    with backbone.single_frames(vae):
        latents = [vae.encode(each).latent_dist.mode() for each in torch.split(pictures, _PICTURES_AT_ONCE)]
    return torch.unflatten(backbone.normalise(vae, torch.cat(latents)).squeeze(2), 0, (len(pixels), pixels.shape[2]))


@torch.no_grad()
def encode_images(vae: Any, images: UInt8Array) -> torch.Tensor:
    """Scaled latents (B, 1, C, h, w) of single pictures (B, H, W, 3), at a third of a clip's cost a frame."""
    with backbone_of_vae(vae).single_frames(vae):
        return encode_clips(vae, video_to_pixels(images[:, None]).to(vae.device, vae.dtype))


def decode_clips(vae: Any, latents: torch.Tensor) -> torch.Tensor:
    """Pixels (B, 3, F, H, W) in -1..1 of scaled latents (B, f, C, h, w)."""
    backbone = backbone_of_vae(vae)
    raw = backbone.denormalise(vae, latents.to(vae.dtype).transpose(1, 2))
    if backbone.temporal_ratio(vae.config) > 1 or raw.shape[2] == 1:
        pixels: torch.Tensor = vae.decode(raw).sample
        return pixels
    pictures = raw.transpose(1, 2).flatten(0, 1).unsqueeze(2)  # (B f, C, 1, h, w)
    with backbone.single_frames(vae):
        decoded = [vae.decode(each).sample for each in torch.split(pictures, _PICTURES_AT_ONCE)]
    return torch.unflatten(torch.cat(decoded).squeeze(2), 0, latents.shape[:2]).transpose(1, 2)


def decode_pictures(vae: Any, latents: torch.Tensor) -> torch.Tensor:
    """Pixels (B, f, 3, H, W) in -1..1 of scaled latents (B, f, C, h, w), each latent frame a picture by itself.

    Gradients flow. The first picture is the clip's first frame, but for the normalisations, which take their
    statistics over all frames that are decoded together; a later one stands for its group of frames, seen without
    those before it.
    """
    backbone = backbone_of_vae(vae)
    single = backbone.denormalise(vae, latents.flatten(0, 1).unsqueeze(2))  # (B f, C, 1, h, w)
    sliced, vae.use_slicing = vae.use_slicing, False  # one by one saves nothing where gradients keep everything
    try:
        with backbone.single_frames(vae):
            pixels: torch.Tensor = vae.decode(single).sample  # (B f, 3, 1, H, W)
    finally:
        vae.use_slicing = sliced
    return torch.unflatten(pixels.squeeze(2), 0, latents.shape[:2])
