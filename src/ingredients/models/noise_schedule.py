"""Forward diffusion: noise levels, noisy latents, and what a transformer predicts at them.

Legend: B batch, F latent frames, C channels, H/W latent grid.
"""

import abc
from collections.abc import Sequence

import torch
from diffusers.utils.torch_utils import randn_tensor


class NoiseSchedule(abc.ABC):
    """How latents become noise, in float32, and what is learnt of it."""

    @property
    @abc.abstractmethod
    def num_timesteps(self) -> int:
        """How many noise levels there are."""

    @abc.abstractmethod
    def add_noise(self, latents: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        """Noisy latents (B, F, C, H, W) at `timesteps` (B,)."""

    @abc.abstractmethod
    def target(self, latents: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        """What the transformer should predict (B, F, C, H, W)."""

    @abc.abstractmethod
    def clean_latents(self, noisy: torch.Tensor, prediction: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        """The latents (B, F, C, H, W) that a prediction means: the inverse of `target`."""

    @abc.abstractmethod
    def signal_share(self, timesteps: torch.Tensor) -> torch.Tensor:
        """How much of the noisy latents is signal at `timesteps` (B,), 0 to 1."""

    def timesteps(self, levels: torch.Tensor) -> torch.Tensor:
        """Timesteps (B,) of levels (B,) in [0, 1)."""
        return (levels * self.num_timesteps).long().clamp(max=self.num_timesteps - 1)


class VelocitySchedule(NoiseSchedule):
    """Diffusion that keeps the variance, and v-prediction (Salimans and Ho 2022, "Progressive distillation").

    Args:
        alphas_cumprod: (timesteps,), share of the signal's variance at each noise level.
    """

    def __init__(self, alphas_cumprod: torch.Tensor) -> None:
        alphas_cumprod = alphas_cumprod.float()
        self.signal = alphas_cumprod.sqrt()
        self.noise = (1 - alphas_cumprod).sqrt()

    @property
    def num_timesteps(self) -> int:
        """As many as there are levels."""
        return len(self.signal)

    def add_noise(self, latents: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        """Signal and noise at the level's shares."""
        return _at(self.signal, timesteps) * latents + _at(self.noise, timesteps) * noise

    def target(self, latents: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        """The velocity."""
        return _at(self.signal, timesteps) * noise - _at(self.noise, timesteps) * latents

    def clean_latents(self, noisy: torch.Tensor, prediction: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        """The latents that a velocity means."""
        return _at(self.signal, timesteps) * noisy - _at(self.noise, timesteps) * prediction

    def signal_share(self, timesteps: torch.Tensor) -> torch.Tensor:
        """The signal's factor."""
        return self.signal.to(timesteps.device)[timesteps]


def draw_noise(
    shape: Sequence[int],
    *,
    sharing: float,
    generator: torch.Generator | list[torch.Generator] | None,
    device: torch.device | None = None,
    dtype: torch.dtype | None = None,
) -> torch.Tensor:
    """Noise of which a part is the same in all frames; each value is a standard normal one all the same.

    Frames that look alike are then alike under noise as well, so that a network that treats each by itself still makes
    one video of them: the mixed noise of Ge et al. 2023, "Preserve Your Own Correlation" (arXiv 2305.10474), 4.1.

    Args:
        shape: (..., F, C, H, W).
        sharing: the share of the variance that is common to all frames, 0 to 1.
        generator: the generator of the values, for all videos or one for each.
        device: where they go; None: the processor.
        dtype: their type; None: single precision.
    """
    noise: torch.Tensor = randn_tensor(tuple(shape), generator=generator, device=device, dtype=dtype)
    if sharing == 0:
        return noise
    common = randn_tensor((*shape[:-4], 1, *shape[-3:]), generator=generator, device=device, dtype=dtype)
    mixed: torch.Tensor = (1 - sharing) ** 0.5 * noise + sharing**0.5 * common
    return mixed


def _at(levels: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
    return levels.to(timesteps.device)[timesteps][:, None, None, None, None]
