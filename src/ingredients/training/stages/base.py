"""Trains the bases that the paper takes from CogVideoX: text-to-video, and image-to-video on top of it.

Legend: B batch, F latent frames, C channels, H/W latent grid.
"""

from collections.abc import Mapping

import torch

from ingredients.data.batches import ClipBatch
from ingredients.models import IngredientsTransformer3DModel
from ingredients.training.loop.stage import ParameterGroup, StepOutput
from ingredients.training.stages.diffusion import DiffusionStage, FrozenParts, SumOf, first_frame_only, sum_of
from ingredients.training.stages.settings import BaseConfig, BaseTask


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

    def loss(self, batch: ClipBatch, counts: Mapping[str, float]) -> StepOutput:
        """Eq. 1 on clips and captions."""
        batch = batch.to(self.device)
        timesteps = self.timesteps(batch)
        noisy, target = self.noisy(batch, timesteps)
        prediction = self._predict(batch, noisy, timesteps, image_latents=self._first_frames(batch))
        losses = self.diffusion_losses(prediction, target, timesteps, self.loss_weight(batch))
        return StepOutput(loss=losses.sum() / counts["samples"], metrics={"num_frames": float(batch.latents.shape[1])})

    def _first_frames(self, batch: ClipBatch) -> torch.Tensor | None:
        """Noisy first latent frames (B, 1, C, H, W) that image-to-video starts from, some of them hidden."""
        if self.task == "t2v":
            return None
        latents = batch.latents[:, :1]
        strength = self.config.image_noise * batch.chances("image noise")
        latents = latents + strength[:, None, None, None, None] * batch.normal("image noise", latents.shape[1:])
        return latents * (batch.chances("image") >= self.config.image_drop)[:, None, None, None, None]

    def _predict(
        self,
        batch: ClipBatch,
        noisy: torch.Tensor,
        timesteps: torch.Tensor,
        *,
        image_latents: torch.Tensor | None,
    ) -> torch.Tensor:
        if image_latents is not None:
            placed = first_frame_only(
                image_latents, batch.latents.shape[1], num_padding_frames=batch.num_padding_frames
            )
            noisy = torch.cat([noisy, placed], dim=2)
        output = self.transformer(
            noisy, batch.prompt_embeds, timesteps, image_rotary_emb=self.rotary_emb(batch.latents)
        )
        prediction: torch.Tensor = output.sample
        return prediction

    def validation_losses(self, batch: ClipBatch, timesteps: torch.Tensor) -> dict[str, SumOf]:
        """The diffusion loss."""
        noisy, target = self.noisy(batch, timesteps)
        image_latents = batch.latents[:, :1] if self.task == "i2v" else None
        prediction = self._predict(batch, noisy, timesteps, image_latents=image_latents)
        return {"validation_loss": sum_of(self.diffusion_losses(prediction, target, timesteps))}
