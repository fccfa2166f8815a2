"""What the pipeline returns.

Legend: B videos, F frames, H/W pixels, S denoising steps, J routed blocks, f/h/w the grid of video tokens.
"""

import dataclasses

import numpy as np
import torch
from diffusers.utils import BaseOutput
from PIL import Image

from ingredients.core.arrays import Float32Array, UInt8Array

Frames = Float32Array | torch.Tensor | list[list[Image.Image]]


@dataclasses.dataclass
class IngredientsPipelineOutput(BaseOutput):
    """Videos, and where each identity went."""

    frames: Frames
    """By `output_type`: "np" float32 (B, F, H, W, 3) in [0, 1]; "pt" (B, F, 3, H, W) in [0, 1]; "pil" a list of frames
    for each video; "latent" the denoised latents (B, f, C, h, w)."""

    routing_maps: torch.Tensor | None = None
    """(B, S, J, f, h, w) long, on the CPU: the identity with the largest routing logit (Eq. 3), for each denoising
    step and each routed block. Kept only when asked for, and only when the video has identities."""


def to_pixels(frames: object) -> UInt8Array:
    """Frames of output type "np", (..., H, W, 3) in 0..1, as uint8."""
    return np.clip(np.asarray(frames) * 255.0 + 0.5, 0, 255).astype(np.uint8)
