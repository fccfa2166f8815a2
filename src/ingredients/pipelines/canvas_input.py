"""The forms in which a caller may hand over a canvas.

Legend: B canvases, H/W pixels.
"""

from typing import TypeAlias

import numpy as np
import torch
from PIL import Image

from ingredients.core.arrays import UInt8Array
from ingredients.core.errors import ShapeError

CanvasInput: TypeAlias = Image.Image | UInt8Array | torch.Tensor
"""A Pillow image; RGB pixels uint8 (H, W, 3) or (B, H, W, 3); or a tensor (B, 3, H, W) in [-1, 1]."""


def canvas_to_tensor(canvas: CanvasInput, *, height: int, width: int) -> torch.Tensor:
    """Turns a canvas, or one for each video, into what the VAE reads.

    Returns:
        (B, 3, H, W) float32 in [-1, 1].

    Raises:
        ShapeError: if it is not of the video's size.
    """
    if not isinstance(canvas, torch.Tensor):
        pixels = np.asarray(canvas.convert("RGB") if isinstance(canvas, Image.Image) else canvas)
        pixels = pixels[None] if pixels.ndim == 3 else pixels  # (B, H, W, 3)
        canvas = torch.from_numpy(pixels.astype(np.float32) / 127.5 - 1).permute(0, 3, 1, 2)
    if canvas.shape[1:] != (3, height, width):
        raise ShapeError(
            f"The canvas has shape {tuple(canvas.shape)}, but a video {height} high and {width} wide needs "
            f"(B, 3, {height}, {width}); make it with compose_canvas(crops, {height}, {width})."
        )
    return canvas.float()
