"""CogVideoX as a backbone.

Legend: B batch, F latent frames, C channels, H/W latent grid, L video tokens (ordered frame, row, column),
E head width.
"""

import contextlib
from typing import Any

import torch
from diffusers import AutoencoderKLCogVideoX, CogVideoXDDIMScheduler, CogVideoXDPMScheduler
from diffusers.models.embeddings import get_3d_rotary_pos_embed

from ingredients.models.backbone import Backbone, Config, MemoryFactors
from ingredients.models.cogvideox_vae import single_frame_convolutions
from ingredients.models.noise_schedule import NoiseSchedule, SampleSchedule, VelocitySchedule
from ingredients.models.vae_ratios import spatial_ratio_of_vae, temporal_ratio_of_vae


class CogVideoX(Backbone):
    """Joint attention over text and video, a causal VAE with one scaling factor, v-prediction."""

    name = "CogVideoX"
    base_transformer = "CogVideoXTransformer3DModel"
    vae_class = AutoencoderKLCogVideoX
    scheduler_classes = (CogVideoXDPMScheduler, CogVideoXDDIMScheduler)
    memory = MemoryFactors(block=14, encoder=5, decoder=20, kept_by_decoder=86, frames_at_once=9)

    def spatial_ratio(self, vae_config: Config) -> int:
        """The ratio by the number of blocks."""
        return spatial_ratio_of_vae(vae_config)

    def temporal_ratio(self, vae_config: Config) -> int:
        """As the config says."""
        return temporal_ratio_of_vae(vae_config)

    def normalise(self, vae: AutoencoderKLCogVideoX, latents: torch.Tensor) -> torch.Tensor:
        """Times the scaling factor."""
        scaled: torch.Tensor = latents * vae.config.scaling_factor
        return scaled

    def denormalise(self, vae: AutoencoderKLCogVideoX, latents: torch.Tensor) -> torch.Tensor:
        """Divided by the scaling factor."""
        raw: torch.Tensor = latents / vae.config.scaling_factor
        return raw

    def normalise_image(self, vae: AutoencoderKLCogVideoX, latents: torch.Tensor) -> torch.Tensor:
        """As other latents, but for CogVideoX 1.5, whose image-to-video model reads them divided."""
        return (self.denormalise if vae.config.invert_scale_latents else self.normalise)(vae, latents)

    def single_frames(self, vae: AutoencoderKLCogVideoX) -> contextlib.AbstractContextManager[None]:
        """Convolutions in two dimensions, exact for single frames."""
        return single_frame_convolutions(vae)

    def positions(
        self, config: Any, *, num_frames: int, height: int, width: int, device: torch.device | str | None = None
    ) -> tuple[torch.Tensor, torch.Tensor] | None:
        """Rotary positions of a video on the base grid that a transformer was trained with.

        The token grid is laid over the base grid, as large as fits and centred, so that a video of another size spans
        the same positions. Without `rope_base_height` and `rope_base_width` the base grid is that of the sample size.
        A transformer with temporal patches (CogVideoX 1.5) counts its tokens from the corner instead.

        Args:
            config: the settings of an `IngredientsTransformer3DModel`.
            num_frames: F, of which temporal patches are whole.
            height: H.
            width: W.
            device: where the embeddings go.

        Returns:
            Cosines and sines (L, E), float32; None if the transformer takes none.
        """
        if not config.use_rotary_positional_embeddings:
            return None
        grid_height, grid_width = height // config.patch_size, width // config.patch_size
        base_height = config.rope_base_height or config.sample_height // config.patch_size
        base_width = config.rope_base_width or config.sample_width // config.patch_size
        if config.patch_size_t is not None:
            cosines, sines = get_3d_rotary_pos_embed(
                embed_dim=config.attention_head_dim,
                crops_coords=None,
                grid_size=(grid_height, grid_width),
                temporal_size=num_frames // config.patch_size_t,
                grid_type="slice",
                max_size=(max(base_height, grid_height), max(base_width, grid_width)),
                device=device,
            )
            return cosines, sines
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

    def make_scheduler(self) -> CogVideoXDPMScheduler:
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

    def noise_schedule(self, scheduler: CogVideoXDPMScheduler | CogVideoXDDIMScheduler) -> NoiseSchedule:
        """Variance is kept, and the velocity predicted, or the clean latents where the scheduler says so."""
        predicts_sample = scheduler.config.prediction_type == "sample"
        return (SampleSchedule if predicts_sample else VelocitySchedule)(scheduler.alphas_cumprod)

    def video_dim(self, config: Config) -> int:
        """Heads times their width."""
        return int(config["num_attention_heads"] * config["attention_head_dim"])

    def layer_flops(self, config: Config) -> int:
        """Four projections, and a feed-forward of four times the width."""
        return 2 * (4 + 8) * self.video_dim(config) ** 2


COGVIDEOX = CogVideoX()
