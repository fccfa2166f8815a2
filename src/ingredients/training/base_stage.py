"""Trains the bases that the paper takes from CogVideoX: text-to-video, and image-to-video on top of it.

Legend: B batch, F latent frames, C channels, H/W latent grid.
"""

import dataclasses
from typing import Literal

import torch

from ingredients.data.batches import ClipBatch
from ingredients.models import IngredientsTransformer3DModel
from ingredients.training.diffusion_stage import DiffusionConfig, DiffusionStage, FrozenParts, first_frame_only
from ingredients.training.losses import diffusion_loss
from ingredients.training.stage import ParameterGroup, StepOutput

BaseTask = Literal["t2v", "i2v"]


@dataclasses.dataclass(slots=True, kw_only=True)
class BaseConfig(DiffusionConfig):
    """Settings of base training."""

    image_noise: float = 0.1
    """Largest standard deviation of the noise put on the first frame that image-to-video starts from."""

    image_drop: float = 0.1
    """Share of the samples whose first frame is hidden, so that zero image latents mean: nothing given."""


class BaseStage(DiffusionStage):
    """All of a CogVideoX without identity modules, on clips and captions.

    Image-to-video gets the clip's first latent frame beside the noise, in the first of the image latents' frames: the
    place where the later stages put the canvas.
    """

    config: BaseConfig

    def __init__(
        self,
        transformer: IngredientsTransformer3DModel,
        parts: FrozenParts,
        config: BaseConfig,
        task: BaseTask,
    ) -> None:
        super().__init__(transformer, parts, config)
        has_image_latents = transformer.config.in_channels > transformer.config.out_channels
        if has_image_latents != (task == "i2v"):
            raise ValueError(
                f"{task} does not fit a transformer with {transformer.config.in_channels} input channels."
            )
        self.task = task
        self.name = f"base-{task}"

    def parameter_groups(self) -> list[ParameterGroup]:
        """The whole transformer."""
        return [ParameterGroup(parameters=dict(self.transformer.named_parameters()))]

    def training_step(self, generator: torch.Generator, *, progress: float) -> StepOutput:
        """Diffusion loss of a batch."""
        self.refresh()
        batch = self.draw(generator, progress=progress)
        noise = torch.randn(batch.latents.shape, generator=generator)
        timesteps = self.schedule.draw_timesteps(len(batch.captions), generator)
        prediction = self._predict(batch, noise, timesteps, generator)
        velocity = self.schedule.velocity(batch.latents, noise, timesteps)
        return StepOutput(
            loss=diffusion_loss(prediction, velocity, self.loss_weight(batch)),
            metrics={"num_frames": batch.latents.shape[1], "num_clips": len(self.parts.pool)},
        )

    def _predict(
        self, batch: ClipBatch, noise: torch.Tensor, timesteps: torch.Tensor, generator: torch.Generator | None
    ) -> torch.Tensor:
        hidden_states = self.schedule.add_noise(batch.latents, noise, timesteps)
        if self.task == "i2v":
            image_latents = batch.latents[:, :1]
            if generator is not None:
                draws = torch.rand(2, len(batch.captions), 1, 1, 1, 1, generator=generator)
                image_noise = torch.randn(image_latents.shape, generator=generator)
                image_latents = image_latents + self.config.image_noise * draws[0] * image_noise
                image_latents = image_latents * (draws[1] >= self.config.image_drop)
            image_latents = first_frame_only(image_latents, batch.latents.shape[1])
            hidden_states = torch.cat([hidden_states, image_latents], dim=2)
        output = self.transformer(
            hidden_states,
            self.prompts(batch.captions),
            timesteps,
            image_rotary_emb=self.rotary_emb(batch.latents.shape[1]),
        )
        prediction: torch.Tensor = output.sample
        return prediction

    def validation_losses(self, batch: ClipBatch, noise: torch.Tensor, timesteps: torch.Tensor) -> dict[str, float]:
        """The diffusion loss."""
        prediction = self._predict(batch, noise, timesteps, None)
        return {
            "validation_loss": float(
                diffusion_loss(prediction, self.schedule.velocity(batch.latents, noise, timesteps))
            )
        }
