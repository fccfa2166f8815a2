"""Cuts faces out of frames for the recogniser so that gradients flow from its embeddings back to the pixels.

Legend: M faces, H/W pixels, S side of a crop.
"""

import numpy as np
import torch
import torch.nn.functional as F

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
