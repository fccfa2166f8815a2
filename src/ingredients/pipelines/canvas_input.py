"""The forms in which a caller may hand over a canvas.

Legend: B canvases, H/W pixels.
"""

from collections.abc import Sequence
from typing import TypeAlias, cast

import numpy as np
import torch
from PIL import Image

from ingredients.core.arrays import Float32Array, UInt8Array
from ingredients.core.errors import ArgumentError, ShapeError
from ingredients.media.photos import read_photo

CanvasImage: TypeAlias = Image.Image | UInt8Array | Float32Array
CanvasInput: TypeAlias = CanvasImage | torch.Tensor | Sequence[CanvasImage]
"""A Pillow image, read as its file is; RGB pixels (H, W, 3) or (B, H, W, 3), uint8, or floating-point numbers in
[0, 1] as diffusers has them; a list of such images; or a tensor (B, 3, H, W), uint8 or in [-1, 1]."""

_ROUNDING = 1e-2
"""By which half precision may leave a range."""


def canvas_to_tensor(canvas: CanvasInput, *, height: int, width: int) -> torch.Tensor:
    """Turns a canvas, or one for each video, into what the VAE reads.

    Returns:
        (B, 3, H, W) float32 in [-1, 1].

    Raises:
        ShapeError: if it is not of the video's size.
        ArgumentError: if its values are not in the range of its kind.
        PhotoError: if it is a Pillow image that cannot be read.
    """
    if isinstance(canvas, torch.Tensor):
        values = canvas / 127.5 - 1 if canvas.dtype == torch.uint8 else canvas
        _check_range(values, low=-1, expected="a tensor must be uint8, or lie in [-1, 1]")
    else:
        images = cast(list[CanvasImage], list(canvas) if isinstance(canvas, list | tuple) else [canvas])
        values = torch.cat([_image_to_tensor(image) for image in images])
    if values.shape[1:] != (3, height, width):
        raise ShapeError(
            f"The canvas has shape {tuple(values.shape)}, but a video {height} high and {width} wide needs "
            f"(B, 3, {height}, {width}); make it with compose_canvas(crops, {height}, {width})."
        )
    return values.float()


def _image_to_tensor(image: CanvasImage) -> torch.Tensor:
    """(B, 3, H, W) in [-1, 1] of an image, or of B."""
    pixels = read_photo(image, "canvas") if isinstance(image, Image.Image) else np.asarray(image)
    pixels = pixels[None] if pixels.ndim == 3 else pixels  # (B, H, W, 3)
    if pixels.dtype == np.uint8:
        values = torch.from_numpy(pixels.astype(np.float32) / 127.5 - 1)
    else:
        values = torch.from_numpy(pixels.astype(np.float32))
        _check_range(values, low=0, expected="an array must be uint8, or lie in [0, 1]")
        values = values * 2 - 1
    return values.permute(0, 3, 1, 2) if values.ndim == 4 else values


def _check_range(values: torch.Tensor, *, low: float, expected: str) -> None:
    smallest, largest = (float(each) for each in values.float().aminmax())
    if not low - _ROUNDING <= smallest <= largest <= 1 + _ROUNDING:  # NaN neither
        raise ArgumentError(f"The values of the canvas go from {smallest:g} to {largest:g}: {expected}.")
