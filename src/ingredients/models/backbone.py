"""What a backbone is to everything around it: the video model that identities are added to.

The identities themselves know no backbone (`identity_layer`, `identity_model`). Whatever else differs from one video
model to the next stands behind this description: how its VAE compresses and scales, where its tokens are, what noise
it was trained with, what a step costs, and what its parts are called in a model folder. Another backbone is a file
beside `cogvideox`, and a line in `backbones`.

Legend: B batch, F latent frames, C channels, H/W latent grid, L video tokens, T text tokens, D video width.
"""

import abc
import contextlib
import dataclasses
from collections.abc import Mapping
from typing import Any

import torch

from ingredients.models.noise_schedule import NoiseSchedule

Config = Mapping[str, Any]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class MemoryFactors:
    """What a backbone's activations take at their largest, counted in tensors of one kind (docs/performance.md)."""

    block: int
    """Activations (L + T, D) of a block at once, most of them of the rotary positions."""

    encoder: int
    """Activations of the VAE's encoder at the size of the pictures."""

    decoder: int
    """Activations of the VAE's decoder at the size of the pictures."""

    kept_by_decoder: int
    """The same of what the decoder keeps of single frames for a backward pass."""

    frames_at_once: int
    """Frames that the VAE decodes together at most."""


class Backbone(abc.ABC):
    """A video model of one kind; its methods hold for every size of it."""

    name: str
    """What people call it."""

    base_transformer: str
    """Class of its transformer without identities, as `config.json` of a model folder names it."""

    vae_class: type[Any]
    """Class of its VAE."""

    scheduler_classes: tuple[type[Any], ...]
    """Classes of the schedulers that a model folder may come with; the first is the usual one."""

    memory: MemoryFactors
    """What its activations take."""

    @abc.abstractmethod
    def spatial_ratio(self, vae_config: Config) -> int:
        """Pixels along one side of a latent cell."""

    @abc.abstractmethod
    def temporal_ratio(self, vae_config: Config) -> int:
        """Frames in a latent frame, but for the first, which is one frame alone."""

    @abc.abstractmethod
    def normalise(self, vae: Any, latents: torch.Tensor) -> torch.Tensor:
        """What the VAE encoded (B, C, F, H, W), as the transformer reads it."""

    @abc.abstractmethod
    def denormalise(self, vae: Any, latents: torch.Tensor) -> torch.Tensor:
        """What the transformer makes (B, C, F, H, W), as the VAE decodes it."""

    def normalise_image(self, vae: Any, latents: torch.Tensor) -> torch.Tensor:
        """What the VAE encoded of a picture that a video is conditioned on, as the transformer reads it."""
        return self.normalise(vae, latents)

    @abc.abstractmethod
    def single_frames(self, vae: Any) -> contextlib.AbstractContextManager[None]:
        """Lets the VAE take pictures (B, C, 1, H, W) at their own price while the block runs."""

    @abc.abstractmethod
    def positions(
        self, config: Config, *, num_frames: int, height: int, width: int, device: torch.device | str | None = None
    ) -> tuple[torch.Tensor, torch.Tensor] | None:
        """Positions of the video tokens of latents (F, H, W), as the transformer's `forward` takes them.

        Args:
            config: the settings of the transformer.
            num_frames: F.
            height: H.
            width: W.
            device: where they go.
        """

    @abc.abstractmethod
    def make_scheduler(self) -> Any:
        """The scheduler whose noise its models are trained with."""

    @abc.abstractmethod
    def noise_schedule(self, scheduler: Any) -> NoiseSchedule:
        """Noise levels of a scheduler, and what the transformer predicts at them."""

    @abc.abstractmethod
    def video_dim(self, config: Config) -> int:
        """D."""

    @abc.abstractmethod
    def layer_flops(self, config: Config) -> int:
        """FLOPs of the linear layers of one block for one token; where they are frozen, one product less each."""

    def block_flops(self, config: Config, *, num_video_tokens: int, num_text_tokens: int) -> int:
        """FLOPs of one block for one sample: linear layers, and attention of all tokens to all."""
        num_tokens = num_video_tokens + num_text_tokens
        attention = 4 * num_tokens * self.video_dim(config)
        return num_tokens * (self.layer_flops(config) + attention)
