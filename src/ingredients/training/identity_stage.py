"""What the two stages of section 3.3 share: canvas, people, LoRA.

Legend: B batch, F latent frames, C channels, H/W latent grid, L video tokens, N identities.
"""

import dataclasses
from typing import Literal

import torch

from ingredients.data.batches import ClipBatch
from ingredients.data.identity_encoder import IdentityBatch
from ingredients.models import IngredientsTransformer3DModel, IngredientsTransformerOutput
from ingredients.models.id_router import Routing
from ingredients.training.diffusion_stage import DiffusionConfig, DiffusionStage, FrozenParts
from ingredients.training.identity_loss import IdentityLoss
from ingredients.training.lora import add_lora
from ingredients.training.stage import ParameterGroup, StepOutput

Tuning = Literal["lora", "full"]


@dataclasses.dataclass(slots=True, kw_only=True)
class IdentityConfig(DiffusionConfig):
    """Settings that both stages have."""

    tuning: Tuning = "lora"
    """How the base follows: by a LoRA, as in the paper, which keeps what a large base has learnt; or in full, for a
    small base that has still to learn most of it."""

    lora_rank: int = 64
    """Rank of the LoRA on the blocks' attention and feed-forward."""

    base_learning_rate_scale: float = 1.0
    """Learning rate of the LoRA, or of the base's own weights, against that of the stage's modules."""

    identity_drop: float = 0.0
    """Share of the samples that lose all identity features, so that the finished model can also tell what it would
    draw of nobody in particular: what `identity_guidance_scale` leads away from. The paper has none."""

    identity_loss_weight: float = 0.0
    """Weight of the identity loss; the paper has none."""

    identity_loss_max_timestep: int = 600
    """Noise level from which on a prediction is too blurred for the identity loss."""

    def __post_init__(self) -> None:
        DiffusionConfig.__post_init__(self)
        if self.lora_rank < 1:
            raise ValueError(f"lora_rank must be at least 1, not {self.lora_rank}.")


class IdentityStage(DiffusionStage):
    """A transformer with identity modules, of which a stage trains its own and tunes the base."""

    config: IdentityConfig
    with_canvases = True

    def __init__(
        self,
        transformer: IngredientsTransformer3DModel,
        parts: FrozenParts,
        config: IdentityConfig,
        module_parameters: dict[str, torch.nn.Parameter],
    ) -> None:
        super().__init__(transformer, parts, config)
        if parts.photo_encoder is None or parts.validation_photo_encoder is None:
            raise ValueError("the identity stages need the photo encoders")
        if config.tuning == "lora":
            self.base_parameters = add_lora(transformer, config.lora_rank)
        else:
            transformer.requires_grad_(False)
            self.base_parameters = {
                name: parameter for name, parameter in transformer.base_parameters() if name not in module_parameters
            }
        self.module_parameters = module_parameters
        self._identity_loss: IdentityLoss | None = None
        if config.identity_loss_weight > 0:
            if parts.recogniser is None:
                raise ValueError("the identity loss needs a recogniser")
            self._identity_loss = IdentityLoss(
                parts.vae, parts.recogniser, max_timestep=config.identity_loss_max_timestep
            )
        for parameter in (self.base_parameters | module_parameters).values():
            parameter.requires_grad_(True)

    def parameter_groups(self) -> list[ParameterGroup]:
        """The LoRA or the base's weights, and the modules that this stage trains beside them."""
        return [
            ParameterGroup(
                parameters=self.base_parameters,
                learning_rate_scale=self.config.base_learning_rate_scale,
                weight_decay=0.0 if self.config.tuning == "lora" else None,
            ),
            ParameterGroup(parameters=self.module_parameters),
        ]

    def draw_shown(self, batch: ClipBatch, generator: torch.Generator) -> torch.Tensor:
        """Which samples (B,) keep identity features."""
        return torch.rand(len(batch.captions), generator=generator) >= self.config.identity_drop

    def people(self, batch: ClipBatch, *, held_out: bool = False) -> IdentityBatch:
        """Features of the batch's photos."""
        encoder = self.parts.validation_photo_encoder if held_out else self.parts.photo_encoder
        assert encoder is not None
        return encoder(batch.photo_keys)

    def add_identity_loss(
        self,
        step: StepOutput,
        batch: ClipBatch,
        people: IdentityBatch,
        velocity: torch.Tensor,
        *,
        noise: torch.Tensor,
        timesteps: torch.Tensor,
        is_shown: torch.Tensor,
    ) -> StepOutput:
        """A step with the identity loss of its prediction, if there is one; samples count by their share of signal.

        Args:
            step: loss and metrics so far.
            batch: the clips.
            people: features of the photos.
            velocity: (B, F, C, H, W), predicted.
            noise: as `velocity`.
            timesteps: (B,).
            is_shown: (B,) bool, samples that were shown the people in one way or the other.
        """
        if self._identity_loss is None:
            return step
        loss, cosines = self._identity_loss(
            self.schedule.clean_latents(self.schedule.add_noise(batch.latents, noise, timesteps), velocity, timesteps),
            batch.face_landmarks,
            people.id_embeds[..., : self.transformer.config.id_recognition_dim],
            timesteps=timesteps,
            weight=self.schedule.signal[timesteps],
            counts=is_shown,
        )
        metrics = step.metrics | {"identity_loss": loss.detach()}
        if len(cosines):
            metrics["identity_cosine"] = cosines.mean()
        return StepOutput(loss=step.loss + self.config.identity_loss_weight * loss, metrics=metrics)

    def predict(
        self,
        batch: ClipBatch,
        noise: torch.Tensor,
        timesteps: torch.Tensor,
        *,
        people: IdentityBatch,
        id_mask: torch.Tensor,
        image_latents: torch.Tensor,
        routing: Routing,
        routing_indices: torch.Tensor | None = None,
    ) -> IngredientsTransformerOutput:
        """One forward of the conditioned transformer.

        Args:
            batch: the clips.
            noise: (B, F, C, H, W).
            timesteps: (B,).
            people: features of the photos.
            id_mask: (B, N), False also where the local features are dropped.
            image_latents: (B, F, C, H, W), zero where the canvas is dropped.
            routing: how tokens choose identities.
            routing_indices: (B, L), identities forced on the tokens.
        """
        features = self.transformer.prepare_identities(people.id_embeds, people.id_vit_hidden_states, id_mask)
        hidden_states = self.schedule.add_noise(batch.latents, noise, timesteps)
        output: IngredientsTransformerOutput = self.transformer(
            torch.cat([hidden_states, image_latents], dim=2),
            self.prompts(batch.captions),
            timesteps,
            image_rotary_emb=self.rotary_emb(batch.latents.shape[1]),
            identity_features=features,
            routing=routing,
            routing_indices=routing_indices,
        )
        return output
