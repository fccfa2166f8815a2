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
    def prediction_of(self, noisy: torch.Tensor, clean: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        """The prediction (B, F, C, H, W) that means clean latents: the inverse of `clean_latents`."""

    def loss_weight(self, timesteps: torch.Tensor) -> torch.Tensor:
        """What the squared error of a prediction counts for at `timesteps` (B,): 1 at all of them."""
        return torch.ones(timesteps.shape, device=timesteps.device)

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

    def prediction_of(self, noisy: torch.Tensor, clean: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        """The velocity between them; there must be some noise."""
        return (_at(self.signal, timesteps) * noisy - clean) / _at(self.noise, timesteps)

    def signal_share(self, timesteps: torch.Tensor) -> torch.Tensor:
        """The signal's factor."""
        return self.signal.to(timesteps.device)[timesteps]


class SampleSchedule(VelocitySchedule):
    """The same noise, with the clean latents themselves as what is predicted.

    A velocity is half noise, which has as many dimensions as a patch has numbers: a transformer that is narrower than
    its patch cannot carry it. Clean latents have few (Li and He 2025, "Back to Basics: Let Denoising Generative Models
    Denoise", arXiv 2511.13720).
    """

    MOST_WEIGHT = 5.0
    """What an error counts for at most, as gamma in Hang et al. 2023 (arXiv 2303.09556)."""

    def target(self, latents: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        """The latents."""
        del noise, timesteps
        return latents

    def clean_latents(self, noisy: torch.Tensor, prediction: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        """The prediction itself."""
        del noisy, timesteps
        return prediction

    def prediction_of(self, noisy: torch.Tensor, clean: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        """The clean latents themselves."""
        del noisy, timesteps
        return clean

    def loss_weight(self, timesteps: torch.Tensor) -> torch.Tensor:
        """One over the noise's variance, which makes it the error of the velocity, up to `MOST_WEIGHT`."""
        return (1 / self.noise.to(timesteps.device)[timesteps].square()).clamp(max=self.MOST_WEIGHT)


def draw_noise(
    shape: Sequence[int],
    *,
    sharing: float,
    patch_size_t: int | None = None,
    generator: torch.Generator | list[torch.Generator] | None,
    device: torch.device | None = None,
    dtype: torch.dtype | None = None,
) -> torch.Tensor:
    """Noise of which a part is the same in all frames of tokens; each value is a standard normal one all the same.

    Frames that look alike are then alike under noise as well, so that a network that treats each by itself still makes
    one video of them: the mixed noise of Ge et al. 2023, "Preserve Your Own Correlation" (arXiv 2305.10474), 4.1. The
    frames that one token joins keep noise of their own each: it makes one picture of them anyway.

    Args:
        shape: (..., F, C, H, W).
        sharing: the share of the variance that is common to all frames of tokens, 0 to 1.
        patch_size_t: latent frames of a frame of tokens; F is a multiple of it.
        generator: the generator of the values, for all videos or one for each.
        device: where they go; None: the processor.
        dtype: their type; None: single precision.
    """
    noise: torch.Tensor = randn_tensor(tuple(shape), generator=generator, device=device, dtype=dtype)
    if sharing == 0:
        return noise
    patch = patch_size_t or 1
    common = randn_tensor((*shape[:-4], patch, *shape[-3:]), generator=generator, device=device, dtype=dtype)
    common = torch.cat([common] * (shape[-4] // patch), dim=-4)
    mixed: torch.Tensor = (1 - sharing) ** 0.5 * noise + sharing**0.5 * common
    return mixed


def _at(levels: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
    return levels.to(timesteps.device)[timesteps][:, None, None, None, None]
