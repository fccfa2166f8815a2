"""Diffusion as CogVideoX has it: noise levels, noisy latents and the velocity to be predicted.

Legend: B batch, F latent frames, C channels, H/W latent grid.
"""

import torch
from diffusers import CogVideoXDDIMScheduler, CogVideoXDPMScheduler


def build_scheduler() -> CogVideoXDPMScheduler:
    """CogVideoX's scheduler with zero terminal signal-to-noise ratio and v-prediction."""
    return CogVideoXDPMScheduler(
        beta_schedule="scaled_linear",
        beta_start=0.00085,
        beta_end=0.012,
        num_train_timesteps=1000,
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        snr_shift_scale=1.0,
        clip_sample=False,
        set_alpha_to_one=True,
    )


class NoiseSchedule:
    """Forward diffusion by a scheduler's noise levels, in float32."""

    def __init__(self, scheduler: CogVideoXDPMScheduler | CogVideoXDDIMScheduler) -> None:
        alphas_cumprod = scheduler.alphas_cumprod.float()
        self.signal = alphas_cumprod.sqrt()
        self.noise = (1 - alphas_cumprod).sqrt()

    @property
    def num_timesteps(self) -> int:
        """How many noise levels there are."""
        return len(self.signal)

    def timesteps(self, levels: torch.Tensor) -> torch.Tensor:
        """Timesteps (B,) of levels (B,) in [0, 1)."""
        return (levels * self.num_timesteps).long().clamp(max=self.num_timesteps - 1)

    def add_noise(self, latents: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        """Noisy latents (B, F, C, H, W) at `timesteps` (B,)."""
        return _at(self.signal, timesteps) * latents + _at(self.noise, timesteps) * noise

    def velocity(self, latents: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        """What v-prediction predicts (B, F, C, H, W) (Salimans and Ho 2022, "Progressive distillation")."""
        return _at(self.signal, timesteps) * noise - _at(self.noise, timesteps) * latents

    def clean_latents(self, noisy: torch.Tensor, velocity: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        """The latents (B, F, C, H, W) that a velocity predicts: the inverse of `velocity`."""
        return _at(self.signal, timesteps) * noisy - _at(self.noise, timesteps) * velocity


def _at(levels: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
    return levels.to(timesteps.device)[timesteps][:, None, None, None, None]
