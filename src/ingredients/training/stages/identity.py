"""What the two stages of section 3.3 share: canvas, people, LoRA.

Legend: B batch, F latent frames, C channels, H/W latent grid, L video tokens, N identities.
"""

import torch

from ingredients.core.errors import UserInputError
from ingredients.data.batches import ClipBatch
from ingredients.models import IngredientsTransformer3DModel, IngredientsTransformerOutput
from ingredients.models.id_router import Routing
from ingredients.training.loop.stage import ParameterGroup, StepOutput
from ingredients.training.stages.diffusion import DiffusionStage, FrozenParts
from ingredients.training.stages.identity_loss import IdentityLoss
from ingredients.training.stages.lora import add_lora
from ingredients.training.stages.settings import IdentityConfig


class IdentityStage(DiffusionStage):
    """A transformer with identity modules, of which a stage trains its own and tunes the base.

    Args:
        transformer: one with identity modules; changed in place.
        parts: frozen.
        config: the settings of the stage.
        module_parameters: names of what the stage trains beside the base.
    """

    config: IdentityConfig
    shows_people = True

    def __init__(
        self,
        transformer: IngredientsTransformer3DModel,
        parts: FrozenParts,
        config: IdentityConfig,
        module_parameters: set[str],
    ) -> None:
        super().__init__(transformer, parts, config)
        if config.tuning == "lora":
            self.base_parameters = set(add_lora(transformer, config.lora_rank, modules=config.lora_modules))
        else:
            transformer.requires_grad_(False)
            self.base_parameters = {name for name, _ in transformer.base_parameters()} - module_parameters
        self.module_parameters = module_parameters
        self._identity_loss: IdentityLoss | None = None
        if config.identity_loss_weight > 0:
            if parts.recogniser is None:
                raise UserInputError(
                    "The identity loss needs a recogniser through which gradients flow, which this model lacks; set "
                    "stage.identity_loss_weight=0."
                )
            self._identity_loss = IdentityLoss(
                parts.vae, parts.recogniser, max_timestep=config.identity_loss_max_timestep
            )
        for name, parameter in transformer.named_parameters():
            is_trained = name in self.base_parameters | module_parameters
            if is_trained:
                parameter.requires_grad_(True)
            if is_trained or parameter.ndim < 2:  # norms compute in float32, and need little memory
                parameter.data = parameter.data.float()

    @property
    def reads_canvas(self) -> bool:
        """Whether the image channels of the patch embedding, its second half, hold anything; without weights, yes."""
        weight = self.transformer.patch_embed.proj.weight
        return weight.is_meta or bool(weight[:, weight.shape[1] // 2 :].any())

    def parameter_groups(self) -> list[ParameterGroup]:
        """The LoRA or the base's weights, and the modules that this stage trains beside them."""
        parameters = dict(self.transformer.named_parameters())
        return [
            ParameterGroup(
                parameters={name: parameters[name] for name in sorted(self.base_parameters)},
                learning_rate_scale=self.config.base_learning_rate_scale,
                weight_decay=0.0 if self.config.tuning == "lora" else None,
            ),
            ParameterGroup(parameters={name: parameters[name] for name in sorted(self.module_parameters)}),
        ]

    def shown_canvas(self, batch: ClipBatch, shows: torch.Tensor) -> torch.Tensor:
        """Latents (B, F, C, H, W) of the canvases with the noise of training, zero where `shows` (B,) is False."""
        latents = self.canvas_latents(batch, shows)
        if self.config.image_noise > 0:
            strength = self.config.image_noise * batch.chances("image noise")[:, None, None, None]
            noise = strength * batch.normal("image noise", latents.shape[2:])
            copies = 1 + batch.num_padding_frames  # of one picture
            latents[:, :copies] += noise.unsqueeze(1)
        return latents * shows[:, None, None, None, None]

    def is_shown(self, batch: ClipBatch) -> torch.Tensor:
        """Which samples (B,) keep identity features."""
        return batch.chances("identity") >= self.config.identity_drop

    def add_identity_loss(
        self,
        step: StepOutput,
        batch: ClipBatch,
        prediction: torch.Tensor,
        timesteps: torch.Tensor,
        *,
        is_shown: torch.Tensor,
        num_people: float,
        share: float | None = None,
    ) -> StepOutput:
        """A step with the identity loss of its prediction, if there is one; samples count by their share of signal.

        Args:
            step: loss and metrics so far.
            batch: the clips.
            prediction: (B, F, C, H, W).
            timesteps: (B,).
            is_shown: (B,) bool, samples that were shown the people in one way or the other.
            num_people: the number in the whole batch.
            share: the share of the samples that are looked at and stand for all; None takes the settings'.
        """
        if self._identity_loss is None:
            return step
        noisy = self.schedule.add_noise(batch.latents, batch.noise, timesteps)
        share = self.config.identity_loss_share if share is None else share
        is_looked_at = is_shown & (batch.chances("identity loss") < share)
        loss, cosines = self._identity_loss(
            self.schedule.clean_latents(noisy, prediction, timesteps),
            batch.face_landmarks,
            batch.people.id_embeds[..., : self.transformer.config.id_recognition_dim],
            timesteps=timesteps,
            weight=self.schedule.signal_share(timesteps) / share,
            counts=is_looked_at,
            num_people=num_people,
        )
        metrics = {**step.metrics, "identity_cosine": (cosines.sum(), float(len(cosines)))}
        return StepOutput(loss=step.loss + self.config.identity_loss_weight * loss, metrics=metrics)

    def predict(
        self,
        batch: ClipBatch,
        noisy: torch.Tensor,
        timesteps: torch.Tensor,
        *,
        id_mask: torch.Tensor,
        image_latents: torch.Tensor,
        routing: Routing,
        routing_indices: torch.Tensor | None = None,
    ) -> IngredientsTransformerOutput:
        """One forward of the conditioned transformer.

        Args:
            batch: the clips.
            noisy: (B, F, C, H, W), the noisy latents.
            timesteps: (B,).
            id_mask: (B, N), False also where the local features are dropped.
            image_latents: (B, F, C, H, W), zero where the canvas is dropped.
            routing: how tokens choose identities.
            routing_indices: (B, L), identities forced on the tokens.
        """
        features = self.transformer.prepare_identities(
            batch.people.id_embeds,
            batch.people.id_vit_hidden_states,
            id_mask,
            phrase_tokens=batch.phrase_tokens,
            form="plain",
        )
        output: IngredientsTransformerOutput = self.transformer(
            torch.cat([noisy, image_latents], dim=2),
            batch.prompt_embeds,
            timesteps,
            image_rotary_emb=self.rotary_emb(batch.latents),
            identity_features=features,
            routing=routing,
            routing_indices=routing_indices,
        )
        return output


def unseen_canvas(what: str) -> UserInputError:
    """The error for a transformer whose image channels are zero and stay so: no canvas would ever have an effect."""
    return UserInputError(
        f"{what} has no image channels yet: they begin at zero, and with stage.train_patch_embed=false they stay so, "
        "and no canvas has an effect; set stage.train_patch_embed=true, or begin with an image-to-video base."
    )
