"""The backbones that there are."""

from typing import Any, TypeAlias

from diffusers import AutoencoderKLCogVideoX, CogVideoXDDIMScheduler, CogVideoXDPMScheduler

from ingredients.models.backbone import Backbone
from ingredients.models.cogvideox import COGVIDEOX

BACKBONES: tuple[Backbone, ...] = (COGVIDEOX,)

VideoVae: TypeAlias = AutoencoderKLCogVideoX
"""The VAE of any of them, a union once there are several."""

VideoScheduler: TypeAlias = CogVideoXDPMScheduler | CogVideoXDDIMScheduler
"""A scheduler that a model folder of any of them may come with."""


def backbone_of_vae(vae: Any) -> Backbone:
    """The backbone that a VAE belongs to.

    Raises:
        ValueError: if it belongs to none that is known.
    """
    for backbone in BACKBONES:
        if isinstance(vae, backbone.vae_class):
            return backbone
    raise ValueError(f"A {type(vae).__name__} is the VAE of no backbone that is known.")
