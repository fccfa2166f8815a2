"""Router fine-tuning: the second stage of section 3.3 (Eq. 5).

Legend: B batch, F latent frames, C channels, H/W latent grid, L video tokens, N identities.
"""

import warnings
from collections.abc import Mapping, Sequence

import torch

from ingredients.core.errors import UserInputError
from ingredients.core.warnings_told import TrainingWarning
from ingredients.data.batches import ClipBatch
from ingredients.data.routing_targets import BACKGROUND
from ingredients.models import IngredientsTransformer3DModel
from ingredients.models.id_router import with_nobody
from ingredients.training.loop.stage import StepOutput
from ingredients.training.stages.diffusion import FrozenParts, SumOf, sum_of
from ingredients.training.stages.identity import IdentityStage
from ingredients.training.stages.losses import (
    routing_cross_entropy,
    routing_mse,
    routing_recalls,
)
from ingredients.training.stages.settings import RouterConfig

IGNORED = BACKGROUND


class RouterStage(IdentityStage):
    """Routers and a LoRA, everything else frozen; tokens mix identities by softmax, so that the router learns."""

    name = "route"
    config: RouterConfig

    def __init__(self, transformer: IngredientsTransformer3DModel, parts: FrozenParts, config: RouterConfig) -> None:
        if (config.background == "class") != transformer.config.route_background:
            fitting, other = ("ignored", "true") if config.background == "class" else ("class", "false")
            raise UserInputError(
                f"stage.background is {config.background}, but the transformer was aligned with route_background="
                f"{transformer.config.route_background}; set stage.background={fitting}, or align a base with "
                f"model.transformer.route_background={other}."
            )
        super().__init__(transformer, parts, config, {name for name, _ in transformer.router_parameters()})
        if not self.reads_canvas:
            warnings.warn(
                "The canvas has no effect in this model, whose image channels are zero: its alignment kept a "
                "text-to-video base's as they were; align it anew with stage.train_patch_embed=true.",
                TrainingWarning,
                stacklevel=2,
            )

    def counts(self, batches: Sequence[ClipBatch]) -> Mapping[str, float]:
        """Samples, people, and the tokens that the routing loss looks at."""
        num_tokens = sum(int((self._targets(batch) != IGNORED).sum()) for batch in batches)
        return {**super().counts(batches), "face_tokens": float(num_tokens)}

    def loss(self, batch: ClipBatch, counts: Mapping[str, float]) -> StepOutput:
        """Eq. 5: diffusion loss plus lambda times the routing loss."""
        batch = batch.to(self.device)
        timesteps = self.timesteps(batch)
        noisy, target = self.noisy(batch, timesteps)
        is_shown = self.is_shown(batch)
        has_canvas = is_shown & (batch.chances("canvas") >= self.config.canvas_drop)
        output = self.predict(
            batch,
            noisy,
            timesteps,
            id_mask=batch.people.id_mask & is_shown[:, None],
            image_latents=self.shown_canvas(batch, has_canvas),
            routing="softmax",
        )
        assert output.routing_logits is not None
        losses = self.diffusion_losses(output.sample, target, timesteps, self.loss_weight(batch))
        diffusion = losses.sum() / counts["samples"]
        targets = self._targets(batch)
        routing = self.routing_loss(output.routing_logits, targets, num_tokens=counts["face_tokens"])
        num_tokens = (targets != IGNORED).sum()
        step = StepOutput(
            loss=diffusion + self.config.routing_loss_weight * routing,
            metrics={
                "diffusion_loss": (losses.detach().sum(), float(len(batch))),
                "routing_loss": (routing.detach() * counts["face_tokens"], num_tokens),
            },
        )
        return self.add_identity_loss(
            step, batch, output.sample, timesteps, is_shown=is_shown, num_people=counts["people"]
        )

    def routing_loss(
        self, routing_logits: tuple[torch.Tensor, ...], targets: torch.Tensor, *, num_tokens: float
    ) -> torch.Tensor:
        """The chosen routing loss, a scalar; `targets` (B, L) as `_targets` gives them."""
        if self.config.routing_loss == "none":
            return routing_logits[0].new_zeros(())
        if self.config.background == "class":
            routing_logits = tuple(with_nobody(logits) for logits in routing_logits)
        loss = routing_mse if self.config.routing_loss == "mse" else routing_cross_entropy
        return loss(routing_logits, targets, num_face_tokens=num_tokens)

    def _targets(self, batch: ClipBatch) -> torch.Tensor:
        """Targets (B, L) of the routing loss, `IGNORED` where nobody is shown.

        The background is ignored, too, or a class of its own behind the identities. Where it is ignored, so is a clip
        of one person: there is nobody else to choose, its loss is 0, and its tokens in the denominator would make
        lambda smaller the more such clips there are.
        """
        targets = batch.routing_targets
        if self.config.background == "class":
            num_identities = batch.people.id_mask.shape[1]
            targets = torch.where(targets == BACKGROUND, num_identities, targets)
        else:
            has_choice = batch.people.id_mask.sum(dim=1) > 1
            targets = targets.where(has_choice[:, None], IGNORED)
        return targets.where(self.is_shown(batch)[:, None], IGNORED)

    @torch.no_grad()
    def validate(self) -> Mapping[str, float]:
        """Held-out losses and recalls; first the recall by which the best checkpoint is chosen.

        It is balanced over people and averaged over timesteps and the last half of the routed blocks, with the
        canvas. The diffusion loss hardly moves in this stage (Figure 6) and would choose by chance.
        """
        measured = super().validate()
        num_blocks = len(self.transformer.routed_blocks)
        names = [f"recall_block{block}" for block in range(num_blocks // 2, num_blocks)]
        recalls = [measured[name] for name in names if name in measured]  # none without clips of several people
        return ({"recall": sum(recalls) / len(recalls)} if recalls else {}) | dict(measured)

    def validation_losses(self, batch: ClipBatch, timesteps: torch.Tensor) -> dict[str, SumOf]:
        """Diffusion loss under argmax, and each routed block's balanced recall with and without the canvas."""
        canvas_latents = self.canvas_latents(batch)
        noisy, target = self.noisy(batch, timesteps)
        losses: dict[str, SumOf] = {}
        for name, has_canvas in (("", 1), ("_local_only", 0)):
            output = self.predict(
                batch,
                noisy,
                timesteps,
                id_mask=batch.people.id_mask,
                image_latents=canvas_latents * has_canvas,
                routing="argmax",
            )
            assert output.routing_logits is not None
            losses[f"validation_loss{name}"] = sum_of(self.diffusion_losses(output.sample, target, timesteps))
            for block, logits in enumerate(output.routing_logits):
                recalls = routing_recalls(logits, batch.routing_targets)
                losses[f"recall{name}_block{block}"] = sum(recalls), len(recalls)
        return losses
