"""Pictures as the face networks take them."""

from collections.abc import Sequence

import numpy as np
import torch

from ingredients.core.arrays import UInt8Array


def to_pixel_values(pictures: UInt8Array | Sequence[UInt8Array]) -> torch.Tensor:
    """RGB uint8 (..., H, W, 3) to float32 (..., 3, H, W) in [-1, 1]."""
    return torch.from_numpy(np.array(pictures)).movedim(-1, -3).float() / 127.5 - 1.0


def crops_to_pixel_values(crops: UInt8Array) -> torch.Tensor:
    """RGB crops (B, S, S, 3) to (B, 3, S, S) in [-1, 1], channels last in memory, as convolutions like them."""
    return to_pixel_values(crops).contiguous(memory_format=torch.channels_last)
