"""Facial embedding alignment: the first stage of section 3.3.

Legend: B batch, F latent frames, C channels, H/W latent grid, L video tokens, N identities.
"""

from collections.abc import Mapping

import torch

from ingredients.data.batches import ClipBatch
from ingredients.models import IngredientsTransformer3DModel
from ingredients.models.id_router import Routing
from ingredients.training.loop.stage import Measured, StepOutput
from ingredients.training.stages.diffusion import FrozenParts, SumOf, sum_of
from ingredients.training.stages.identity import IdentityStage, unseen_canvas
from ingredients.training.stages.settings import AlignmentConfig

KEPT_GLOBAL, KEPT_LOCAL, KEPT_BOTH = range(3)


class AlignmentStage(IdentityStage):
    """Multi-scale projector and LoRA by the diffusion loss, with dropping regularisation."""

    name = "align"
    config: AlignmentConfig

    def __init__(
        self, transformer: IngredientsTransformer3DModel, parts: FrozenParts, config: AlignmentConfig
    ) -> None:
        trained = {name for name, _ in transformer.projector_parameters()}
        if config.alignment_routing == "router":
            trained |= {name for name, _ in transformer.router_parameters()}
        if config.train_patch_embed:
            trained |= {name for name, _ in transformer.named_parameters() if name.startswith("patch_embed.proj.")}
        super().__init__(transformer, parts, config, trained)
        if not self.reads_canvas and not transformer.patch_embed.proj.weight.requires_grad:
            raise unseen_canvas("The transformer")

    def loss(self, batch: ClipBatch, counts: Mapping[str, float]) -> StepOutput:
        """Eq. 1 with global features, local features, or both, drawn per sample."""
        batch = batch.to(self.device)
        timesteps = self.timesteps(batch)
        noisy, target = self.noisy(batch, timesteps)
        kept = draw_kept_features(batch.chances("kept features"), self.config.kept_shares)
        is_shown = self.is_shown(batch)
        routing, routing_indices = self._routing(batch)
        keeps_local, keeps_global = is_shown & (kept != KEPT_GLOBAL), is_shown & (kept != KEPT_LOCAL)
        output = self.predict(
            batch,
            noisy,
            timesteps,
            id_mask=batch.people.id_mask & keeps_local[:, None],
            image_latents=self.shown_canvas(batch, keeps_global),
            routing=routing,
            routing_indices=routing_indices,
        )
        losses = self.diffusion_losses(output.sample, target, timesteps, self.loss_weight(batch))
        plain_losses = self.diffusion_losses(output.sample.detach(), target, timesteps)
        metrics: dict[str, Measured] = {}
        for index, name in enumerate(("global", "local", "both")):
            chosen = is_shown & (kept == index)
            metrics[f"loss_{name}"] = (plain_losses.where(chosen, 0).sum(), chosen.sum())
        step = StepOutput(loss=losses.sum() / counts["samples"], metrics=metrics)
        return self.add_identity_loss(
            step, batch, output.sample, timesteps, is_shown=is_shown, num_people=counts["people"]
        )

    def _routing(self, batch: ClipBatch) -> tuple[Routing, torch.Tensor | None]:
        if self.config.alignment_routing == "targets":
            return "argmax", batch.nearest_targets
        return ("uniform" if self.config.alignment_routing == "uniform" else "softmax"), None

    def validation_losses(self, batch: ClipBatch, timesteps: torch.Tensor) -> dict[str, SumOf]:
        """Diffusion loss with global features only, local only, both, and neither."""
        canvas_latents = self.canvas_latents(batch)
        noisy, target = self.noisy(batch, timesteps)
        routing, routing_indices = self._routing(batch)
        everybody = torch.ones(len(batch), dtype=torch.bool, device=self.device)
        losses: dict[str, SumOf] = {}
        for name, has_global, has_local in (("both", 1, 1), ("global", 1, 0), ("local", 0, 1), ("none", 0, 0)):
            output = self.predict(
                batch,
                noisy,
                timesteps,
                id_mask=batch.people.id_mask & bool(has_local),
                image_latents=canvas_latents * has_global,
                routing=routing,
                routing_indices=routing_indices,
            )
            diffusion = self.diffusion_losses(output.sample, target, timesteps)
            losses[f"validation_loss_{name}"] = sum_of(diffusion)
            if has_global or has_local:
                step = self.add_identity_loss(
                    StepOutput(loss=diffusion.mean()),
                    batch,
                    output.sample,
                    timesteps,
                    is_shown=everybody,
                    num_people=batch.num_people,
                    share=1.0,
                )
                cosines = step.metrics.get("identity_cosine")
                if isinstance(cosines, tuple):
                    losses[f"validation_identity_cosine_{name}"] = float(cosines[0]), int(cosines[1])
        return losses


def draw_kept_features(chances: torch.Tensor, shares: tuple[float, float, float]) -> torch.Tensor:
    """Which features each sample keeps (B,): `KEPT_GLOBAL`, `KEPT_LOCAL` or `KEPT_BOTH`, of uniform numbers (B,)."""
    ends = torch.tensor(shares, device=chances.device).cumsum(0)
    last = max(index for index, share in enumerate(shares) if share > 0)
    return torch.bucketize(chances, ends, right=True).clamp(max=last)
