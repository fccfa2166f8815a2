"""From pixels to latents, as the transformer reads them, and back; and the canvas in latents.

The canvas is composed before the VAE, as in the paper, or each face is encoded by itself and joined after it; Table 2
compares the two. Joined after the VAE, a face is encoded without its neighbours, and the rest is zero.

Legend: B batch, F frames, f latent frames, N people, S side of a crop or slot, H/W pixels, C channels,
h/w latent grid.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import torch

from ingredients.core.arrays import UInt8Array
from ingredients.faces.canvas import canvas_slots, compose_canvas
from ingredients.models.backbones import VideoVae, backbone_of_vae

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


CanvasPlacement = Literal["before", "after"]

_PIXELS_AT_ONCE = 480 * 720
"""Pixels of the pictures that the VAE encodes together: one as large as the published model's, or many small ones."""

EncodePictures = Callable[[torch.Tensor], torch.Tensor]
"""Pictures (B, 3, H, W) in [-1, 1] to scaled latents (B, C, h, w)."""


@torch.no_grad()
def encode_canvases(
    vae: VideoVae,
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
        height: the height of the video.
        width: the width of the video.
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
