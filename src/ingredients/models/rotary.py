"""Rotary position embeddings of the video tokens.

Legend: F latent frames, H/W latent grid, L video tokens (ordered frame, row, column), E head width.
"""

from typing import Any

import torch
from diffusers.models.embeddings import get_3d_rotary_pos_embed


def video_rotary_emb(
    config: Any, *, num_frames: int, height: int, width: int, device: torch.device | str | None = None
) -> tuple[torch.Tensor, torch.Tensor] | None:
    """Positions of a video on the base grid that a transformer was trained with.

    The token grid is laid over the base grid, as large as fits and centred, so that a video of another size spans the
    same positions. Without `rope_base_height` and `rope_base_width` the base grid is that of the sample size.

    Args:
        config: Of an `IngredientsTransformer3DModel`.
        num_frames: F.
        height: H.
        width: W.
        device: Where the embeddings go.

    Returns:
        Cosines and sines (L, E), float32; None if the transformer takes none.
    """
    if not config.use_rotary_positional_embeddings:
        return None
    grid_height, grid_width = height // config.patch_size, width // config.patch_size
    base_height = config.rope_base_height or config.sample_height // config.patch_size
    base_width = config.rope_base_width or config.sample_width // config.patch_size
    scale = min(base_height / grid_height, base_width / grid_width)
    span_height, span_width = round(grid_height * scale), round(grid_width * scale)
    top, left = round((base_height - span_height) / 2), round((base_width - span_width) / 2)
    cosines, sines = get_3d_rotary_pos_embed(
        embed_dim=config.attention_head_dim,
        crops_coords=((top, left), (top + span_height, left + span_width)),
        grid_size=(grid_height, grid_width),
        temporal_size=num_frames,
        device=device,
    )
    return cosines, sines
