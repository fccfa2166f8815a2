"""Which identity each video token shows: masks at the size of the token grid (Eq. 5 and section 4.3).

Legend: F frames, N identities, H/W pixels, f/h/w token grid, L = f * h * w video tokens.
"""

import numpy as np
import torch
import torch.nn.functional as F

from ingredients.core.arrays import BoolArray, Float32Array, Int64Array
from ingredients.core.token_time import token_frames

BACKGROUND = -1


def token_coverage(
    masks: BoolArray, *, grid: tuple[int, int], temporal_compression: int = 4, patch_size_t: int | None = None
) -> Float32Array:
    """Share of each token's pixels that each mask covers.

    Each identity's mask is resized by itself: averaging a map of labels would, between -1 and 1, invent identity 0.
    Time follows the causal VAE and the transformer's temporal patches (`core/token_time.py`).

    Args:
        masks: (F, N, H, W), F = 1 + k * temporal_compression.
        grid: (h, w), which must divide (H, W).
        temporal_compression: frames of a later latent frame.
        patch_size_t: latent frames of a frame of tokens.

    Returns:
        (N, f, h, w) in [0, 1].

    Raises:
        ValueError: if F or the size does not fit.
    """
    num_frames, num_identities, height, width = masks.shape
    rows, columns = grid
    if (num_frames - 1) % temporal_compression or height % rows or width % columns:
        raise ValueError(
            f"Masks of {num_frames} frames of {width}x{height} do not fit a grid of {columns}x{rows} tokens "
            f"and a temporal compression of {temporal_compression}."
        )
    cells = masks.reshape(num_frames, num_identities, rows, height // rows, columns, width // columns)
    frame_coverage = cells.mean(axis=(3, 5), dtype=np.float32)  # (F, N, h, w)
    groups = token_frames(num_frames, temporal_ratio=temporal_compression, patch_size_t=patch_size_t)
    coverage = np.stack([frame_coverage[each.start : each.stop].mean(axis=0) for each in groups])  # (f, N, h, w)
    return np.moveaxis(coverage, 1, 0)


def decide_routing_targets(coverage: Float32Array, *, threshold: float = 0.5) -> Int64Array:
    """The identity that covers most of each token, or `BACKGROUND` where it covers less than `threshold`.

    Args:
        coverage: (N, f, h, w).
        threshold: share of the token.

    Returns:
        (L,) in frame, row, column order.
    """
    winner = coverage.argmax(axis=0)
    targets = np.where(coverage.max(axis=0) >= threshold, winner, BACKGROUND)
    return targets.reshape(-1).astype(np.int64)


def trilinear_routing_targets(
    masks: BoolArray, *, grid: tuple[int, int], temporal_compression: int = 4, patch_size_t: int | None = None
) -> Int64Array:
    """The paper's resize (3.3): one map of labels, background -1, resized by trilinear interpolation and rounded.

    It is here to compare with. A label between two others stands where they meet: identity 0 on the border of identity
    1, identity 1 between 0 and 2; and latent frames are those of an even division of time, not the causal VAE's.

    Args:
        masks: (F, N, H, W), F = 1 + k * temporal_compression.
        grid: (h, w).
        temporal_compression: frames of a later latent frame.
        patch_size_t: latent frames of a frame of tokens.

    Returns:
        (L,) in frame, row, column order.
    """
    labels = np.where(masks.any(axis=1), masks.argmax(axis=1), BACKGROUND)  # (F, H, W)
    groups = token_frames(len(masks), temporal_ratio=temporal_compression, patch_size_t=patch_size_t)
    resized = F.interpolate(torch.from_numpy(labels)[None, None].float(), size=(len(groups), *grid), mode="trilinear")
    return resized.round().long().flatten().numpy()


def nearest_person_targets(
    targets: Int64Array,
    person_coverage: Float32Array,
    face_centres: Float32Array,
    *,
    temporal_compression: int = 4,
    patch_size_t: int | None = None,
) -> Int64Array:
    """Routing targets in which background tokens take the nearest person: for routing while aligning.

    A background token on a person's hair or clothes takes that person; any other the one with the closest face.

    Args:
        targets: (L,), as `decide_routing_targets` gives them.
        person_coverage: (N, f, h, w), of masks of whole people.
        face_centres: (F, N, 2), x and y in parts of the picture's width and height.
        temporal_compression: frames of a later latent frame.
        patch_size_t: latent frames of a frame of tokens.

    Returns:
        (L,), nowhere `BACKGROUND`.
    """
    num_frames, rows, columns = person_coverage.shape[1:]
    groups = token_frames(len(face_centres), temporal_ratio=temporal_compression, patch_size_t=patch_size_t)
    centres = np.stack([face_centres[each.start : each.stop].mean(axis=0) for each in groups])  # (f, N, 2)
    across = np.arange(columns) + 0.5
    down = np.arange(rows) + 0.5
    distance = np.hypot(
        across[None, None, None] - columns * centres[..., 0].T[:, :, None, None],
        down[None, None, :, None] - rows * centres[..., 1].T[:, :, None, None],
    )  # (N, f, h, w), in tokens
    nearest = np.where(
        person_coverage.max(axis=0) >= 0.25, person_coverage.argmax(axis=0), distance.argmin(axis=0)
    ).reshape(num_frames * rows * columns)
    return np.where(targets == BACKGROUND, nearest, targets).astype(np.int64)


def boxes_to_masks(boxes: Float32Array, *, height: int, width: int) -> BoolArray:
    """Masks (F, N, H, W) of boxes (F, N, 4): routing supervised by the detector's boxes, an ablation of section 4.3.

    A box that is NaN, a hidden face's, gives an empty mask.
    """
    left, top, right, bottom = (boxes[..., side, None, None] for side in range(4))
    across, down = np.arange(width)[None, None, None] + 0.5, np.arange(height)[None, None, :, None] + 0.5
    masks: BoolArray = (across >= left) & (across < right) & (down >= top) & (down < bottom)
    return masks
