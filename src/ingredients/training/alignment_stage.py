"""Facial embedding alignment: the first stage of section 3.3.

Legend: B batch, F latent frames, C channels, H/W latent grid, L video tokens, N identities.
"""

import dataclasses
from typing import Literal

import torch

from ingredients.data.batches import ClipBatch
from ingredients.models import IngredientsTransformer3DModel
from ingredients.models.id_router import Routing
from ingredients.training.diffusion_stage import FrozenParts
from ingredients.training.identity_stage import IdentityConfig, IdentityStage
from ingredients.training.losses import diffusion_loss
from ingredients.training.stage import StepOutput

AlignmentRouting = Literal["targets", "uniform", "router"]
KEPT_GLOBAL, KEPT_LOCAL, KEPT_BOTH = range(3)


@dataclasses.dataclass(slots=True, kw_only=True)
class AlignmentConfig(IdentityConfig):
    """Settings of the alignment stage."""

    alignment_routing: AlignmentRouting = "targets"
    """By what tokens choose identities while the router is untrained: the true masks, a uniform mixture, or the
    router's softmax."""

    kept_shares: tuple[float, float, float] = (1 / 3, 1 / 3, 1 / 3)
    """Dropping regularisation: shares of the samples that keep the global features only, the local only, both."""

    train_patch_embed: bool = True
    """Whether the patch embedding learns too: its image channels have seen first frames, never canvases."""

    def __post_init__(self) -> None:
        IdentityConfig.__post_init__(self)
        if min(self.kept_shares) < 0 or abs(sum(self.kept_shares) - 1) > 1e-6:
            raise ValueError(f"kept_shares must be shares that sum to 1, not {self.kept_shares}.")


class AlignmentStage(IdentityStage):
    """Multi-scale projector and LoRA by the diffusion loss, with dropping regularisation."""

    name = "align"
    config: AlignmentConfig

    def __init__(
        self, transformer: IngredientsTransformer3DModel, parts: FrozenParts, config: AlignmentConfig
    ) -> None:
        trained = dict(transformer.projector_parameters())
        if config.train_patch_embed:
            trained |= {
                name: parameter
                for name, parameter in transformer.named_parameters()
                if name.startswith("patch_embed.proj.")
            }
        super().__init__(transformer, parts, config, trained)

    def training_step(self, generator: torch.Generator, *, progress: float) -> StepOutput:
        """Eq. 1 with global features, local features, or both, drawn per sample."""
        self.refresh()
        batch = self.draw(generator, progress=progress)
        noise = torch.randn(batch.latents.shape, generator=generator)
        timesteps = self.schedule.draw_timesteps(len(batch.captions), generator)
        kept = draw_kept_features(len(batch.captions), self.config.kept_shares, generator)
        is_shown = self.draw_shown(batch, generator)
        people = self.people(batch)
        routing, routing_indices = self._routing(batch)
        keeps_local, keeps_global = is_shown & (kept != KEPT_GLOBAL), is_shown & (kept != KEPT_LOCAL)
        output = self.predict(
            batch,
            noise,
            timesteps,
            people=people,
            id_mask=people.id_mask & keeps_local[:, None],
            image_latents=self.canvas_latents(batch) * keeps_global[:, None, None, None, None],
            routing=routing,
            routing_indices=routing_indices,
        )
        velocity = self.schedule.velocity(batch.latents, noise, timesteps)
        sample_losses = (output.sample.detach().float() - velocity).square().mean(dim=(1, 2, 3, 4))
        metrics: dict[str, torch.Tensor | float] = {"num_clips": len(self.parts.pool)}
        for index, name in enumerate(("global", "local", "both")):
            chosen = is_shown & (kept == index)
            if bool(chosen.any()):
                metrics[f"loss_{name}"] = sample_losses[chosen].mean()
        step = StepOutput(loss=diffusion_loss(output.sample, velocity, self.loss_weight(batch)), metrics=metrics)
        return self.add_identity_loss(
            step, batch, people, output.sample, noise=noise, timesteps=timesteps, is_shown=is_shown
        )

    def _routing(self, batch: ClipBatch) -> tuple[Routing, torch.Tensor | None]:
        if self.config.alignment_routing == "targets":
            return "argmax", batch.nearest_targets
        return ("uniform" if self.config.alignment_routing == "uniform" else "softmax"), None

    def validation_losses(self, batch: ClipBatch, noise: torch.Tensor, timesteps: torch.Tensor) -> dict[str, float]:
        """Diffusion loss with global features only, local only, both, and neither."""
        people = self.people(batch, held_out=True)
        canvas_latents = self.canvas_latents(batch)
        velocity = self.schedule.velocity(batch.latents, noise, timesteps)
        routing, routing_indices = self._routing(batch)
        losses = {}
        for name, has_global, has_local in (("both", 1, 1), ("global", 1, 0), ("local", 0, 1), ("none", 0, 0)):
            output = self.predict(
                batch,
                noise,
                timesteps,
                people=people,
                id_mask=people.id_mask & bool(has_local),
                image_latents=canvas_latents * has_global,
                routing=routing,
                routing_indices=routing_indices,
            )
            step = StepOutput(loss=diffusion_loss(output.sample, velocity))
            losses[f"validation_loss_{name}"] = float(step.loss)
            if has_global or has_local:
                step = self.add_identity_loss(
                    step,
                    batch,
                    people,
                    output.sample,
                    noise=noise,
                    timesteps=timesteps,
                    is_shown=torch.ones(len(batch.captions), dtype=torch.bool),
                )
                if "identity_cosine" in step.metrics:
                    losses[f"validation_identity_cosine_{name}"] = float(step.metrics["identity_cosine"])
        return losses


def draw_kept_features(
    batch_size: int, shares: tuple[float, float, float], generator: torch.Generator
) -> torch.Tensor:
    """Which features each sample keeps (B,): `KEPT_GLOBAL`, `KEPT_LOCAL` or `KEPT_BOTH`."""
    return torch.multinomial(torch.tensor(shares), batch_size, replacement=True, generator=generator)
