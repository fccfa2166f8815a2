"""Router fine-tuning: the second stage of section 3.3 (Eq. 5).

Legend: B batch, F latent frames, C channels, H/W latent grid, L video tokens, N identities.
"""

import dataclasses
from typing import Literal

import torch

from ingredients.data.batches import ClipBatch
from ingredients.data.routing_targets import BACKGROUND
from ingredients.models import IngredientsTransformer3DModel
from ingredients.training.diffusion_stage import FrozenParts
from ingredients.training.identity_stage import IdentityConfig, IdentityStage
from ingredients.training.losses import (
    balanced_routing_recall,
    diffusion_loss,
    routing_cross_entropy,
    routing_mse,
)
from ingredients.training.stage import StepOutput

RoutingLoss = Literal["cross_entropy", "mse", "none"]


@dataclasses.dataclass(slots=True, kw_only=True)
class RouterConfig(IdentityConfig):
    """Settings of the router stage."""

    routing_loss: RoutingLoss = "cross_entropy"
    """Supervision of the router; `none` leaves it to the diffusion loss through the mixture (Table 3)."""

    routing_loss_weight: float = 0.1
    """Lambda of Eq. 5, which the paper does not give."""

    canvas_drop: float = 0.2
    """Share of the samples without the canvas: the router must also work from local features alone."""

    lora_rank: int = 16
    """Rank of this stage's own LoRA; the alignment's is merged before."""


class RouterStage(IdentityStage):
    """Routers and a LoRA, everything else frozen; tokens mix identities by softmax, so that the router learns."""

    name = "route"
    config: RouterConfig

    def __init__(self, transformer: IngredientsTransformer3DModel, parts: FrozenParts, config: RouterConfig) -> None:
        super().__init__(transformer, parts, config, dict(transformer.router_parameters()))

    def training_step(self, generator: torch.Generator, *, progress: float) -> StepOutput:
        """Eq. 5: diffusion loss plus lambda times the routing loss."""
        self.refresh()
        batch = self.draw(generator, progress=progress)
        noise = torch.randn(batch.latents.shape, generator=generator)
        timesteps = self.schedule.draw_timesteps(len(batch.captions), generator)
        is_shown = self.draw_shown(batch, generator)
        has_canvas = is_shown & (torch.rand(len(batch.captions), generator=generator) >= self.config.canvas_drop)
        people = self.people(batch)
        output = self.predict(
            batch,
            noise,
            timesteps,
            people=people,
            id_mask=people.id_mask & is_shown[:, None],
            image_latents=self.canvas_latents(batch) * has_canvas[:, None, None, None, None],
            routing="softmax",
        )
        assert output.routing_logits is not None
        velocity = self.schedule.velocity(batch.latents, noise, timesteps)
        diffusion = diffusion_loss(output.sample, velocity, self.loss_weight(batch))
        routing_targets = batch.routing_targets.where(is_shown[:, None], BACKGROUND)
        routing = self.routing_loss(output.routing_logits, routing_targets)
        step = StepOutput(
            loss=diffusion + self.config.routing_loss_weight * routing,
            metrics={
                "diffusion_loss": diffusion.detach(),
                "routing_loss": routing.detach(),
                "num_clips": len(self.parts.pool),
            },
        )
        return self.add_identity_loss(
            step, batch, people, output.sample, noise=noise, timesteps=timesteps, is_shown=is_shown
        )

    def routing_loss(self, routing_logits: tuple[torch.Tensor, ...], routing_targets: torch.Tensor) -> torch.Tensor:
        """The chosen routing loss, a scalar."""
        if self.config.routing_loss == "none":
            return routing_logits[0].new_zeros(())
        if self.config.routing_loss == "mse":
            return routing_mse(routing_logits, routing_targets)
        return routing_cross_entropy(routing_logits, routing_targets)

    def validation_losses(self, batch: ClipBatch, noise: torch.Tensor, timesteps: torch.Tensor) -> dict[str, float]:
        """Diffusion loss under argmax, and each routed block's balanced recall with and without the canvas."""
        people = self.people(batch, held_out=True)
        canvas_latents = self.canvas_latents(batch)
        losses = {}
        for name, has_canvas in (("", 1), ("_local_only", 0)):
            output = self.predict(
                batch,
                noise,
                timesteps,
                people=people,
                id_mask=people.id_mask,
                image_latents=canvas_latents * has_canvas,
                routing="argmax",
            )
            assert output.routing_logits is not None
            velocity = self.schedule.velocity(batch.latents, noise, timesteps)
            losses[f"validation_loss{name}"] = float(diffusion_loss(output.sample, velocity))
            for block, logits in enumerate(output.routing_logits):
                losses[f"recall{name}_block{block}"] = balanced_routing_recall(logits, batch.routing_targets)
        return losses
