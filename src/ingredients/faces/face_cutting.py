"""Cuts faces out of frames: for the recogniser so that gradients flow back to the pixels, for judges as they are.

Legend: M faces, H/W pixels, S side of a crop.
"""

import numpy as np
import torch
import torch.nn.functional as F

from ingredients.core.arrays import Float32Array, UInt8Array
from ingredients.faces.alignment import ARCFACE_TEMPLATE, similarity_transform


def cut_faces(frames: torch.Tensor, landmarks: torch.Tensor, *, size: int) -> torch.Tensor:
    """The crops (M, 3, S, S) that the recogniser reads, cut so that gradients flow; what lies outside is grey.

    Args:
        frames: (M, 3, H, W).
        landmarks: (M, 5, 2) continuous pixels, x then y.
        size: S.
    """
    height, width = frames.shape[-2:]
    template = np.asarray(ARCFACE_TEMPLATE, np.float32) * np.float32(size)
    to_crop = torch.from_numpy(np.stack([similarity_transform(points, template) for points in landmarks.numpy()]))
    linear = torch.linalg.inv(to_crop[..., :2])  # (M, 2, 2), from pixels of the crop to pixels of the frame
    middles = torch.arange(size) + 0.5
    points = torch.stack([middles.expand(size, size), middles[:, None].expand(size, size)], dim=-1)  # (S, S, 2)
    # Sums of products, for autocast would take a matrix product to bfloat16, half a pixel off.
    from_offset = points - to_crop[:, None, None, :, 2]  # (M, S, S, 2)
    positions = (linear[:, None, None] * from_offset[..., None, :]).sum(dim=-1)
    grid = positions * 2 / torch.tensor([width, height]) - 1  # (M, S, S, 2)
    return F.grid_sample(frames.float(), grid.to(frames.device), mode="bilinear", align_corners=False)


def cut_windows(frames: UInt8Array, centres: Float32Array, *, half: float, size: int) -> UInt8Array:
    """Cuts an upright square of the same size out of each picture; what lies outside of it is grey.

    Pictures are softened to the crops' resolution first, or thin brows would come and go.

    Args:
        frames: (M, H, W, 3) RGB.
        centres: (M, 2) pixels, x then y.
        half: half the square's side, in pixels.
        size: S.

    Returns:
        (M, S, S, 3).
    """
    pictures = torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2).float()  # (M, 3, H, W)
    rows, columns = pictures.shape[-2:]
    if (factor := 2 * half / size) > 1.5:
        shrunk = [max(round(side / factor * 1.2), 2) for side in (rows, columns)]
        pictures = F.interpolate(pictures, size=shrunk, mode="bilinear", antialias=True, align_corners=False)
    steps = half * ((torch.arange(size, dtype=torch.float32) + 0.5) / size * 2 - 1)  # (S,)
    middles = torch.from_numpy(np.asarray(centres, np.float32))
    across = (middles[:, :1] + steps) / columns * 2 - 1  # (M, S)
    down = (middles[:, 1:] + steps) / rows * 2 - 1
    grid = torch.stack([across[:, None].expand(-1, size, -1), down[:, :, None].expand(-1, -1, size)], dim=-1)
    crops = F.grid_sample(pictures - 128.0, grid, align_corners=False) + 128.0
    return np.asarray(crops.clamp(0, 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy())
