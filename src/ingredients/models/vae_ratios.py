"""How much CogVideoX's VAE compresses, by its configuration; nothing here needs PyTorch."""

from collections.abc import Mapping
from typing import Any


def spatial_ratio_of_vae(config: Mapping[str, Any]) -> int:
    """Pixels along one side of a latent cell: every block but the last halves height and width."""
    return int(2 ** (len(config["block_out_channels"]) - 1))


def temporal_ratio_of_vae(config: Mapping[str, Any]) -> int:
    """Frames in a latent frame, but for the first, which is one frame alone."""
    return int(config["temporal_compression_ratio"])
