"""What the bases, the alignment and the router stage have in common: noisy clips in, velocity or clean latents out.

Legend: B batch, F latent frames, C channels, H/W latent grid, L video tokens, N identities, T text tokens.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch

from ingredients.core.files import atomic_folder
from ingredients.core.protocols import DifferentiableRecogniser
from ingredients.data.batches import ClipBatch
from ingredients.data.encoded_clips import EncodedClips
from ingredients.data.latents import encode_canvases
from ingredients.data.routing_targets import BACKGROUND
from ingredients.models import IngredientsTransformer3DModel
from ingredients.models.backbones import VideoVae, backbone_of_vae
from ingredients.models.flops import training_flops
from ingredients.models.mixed_precision import mixed_precision, precision_of_weights
from ingredients.pipelines.execution.execution import check_compiler
from ingredients.training.loop.stage import ParameterGroup, StepOutput, Work
from ingredients.training.stages.clip_data import ClipData
from ingredients.training.stages.lora import exported_transformer
from ingredients.training.stages.losses import diffusion_losses
from ingredients.training.stages.settings import DiffusionConfig

VALIDATION_TIMESTEPS = (100, 300, 500, 700, 900)

SumOf = tuple[float, int]
"""A sum, and of how many."""


@dataclasses.dataclass(slots=True, kw_only=True, eq=False)
class FrozenParts:
    """All that diffusion training uses and leaves alone."""

    vae: VideoVae
    """The VAE that encodes canvases, and decodes for the identity loss."""

    clips: EncodedClips | None
    """Clips to learn from; None in a plan for clips that are not there yet."""

    validation_clips: EncodedClips | None = None
    """Clips that are held out; None: nothing is measured."""

    scheduler: Any = None
    """The scheduler whose noise levels are trained on; None makes the usual one of the VAE's backbone."""

    recogniser: DifferentiableRecogniser | None = None
    """The recogniser of the identity loss."""

    def __post_init__(self) -> None:
        """Makes the scheduler, if none is given."""
        if self.scheduler is None:
            self.scheduler = backbone_of_vae(self.vae).make_scheduler()


class DiffusionStage:
    """Base of the diffusion stages; each adds its conditions and its trainable parameters."""

    name: str
    shows_people: ClassVar[bool] = False

    def __init__(
        self, transformer: IngredientsTransformer3DModel, parts: FrozenParts, config: DiffusionConfig
    ) -> None:
        self.transformer = transformer
        self.parts = parts
        self.config = config
        self.schedule = transformer.backbone.noise_schedule(parts.scheduler)
        if config.noise_sharing is not None:
            transformer.register_to_config(noise_sharing=config.noise_sharing)
        is_half = any(parameter.dtype == torch.bfloat16 for parameter in transformer.parameters())
        self.dtype = torch.bfloat16 if is_half else torch.float32
        parts.vae.requires_grad_(False).eval()
        parts.vae.to(self.device)
        if parts.recogniser is not None:
            parts.recogniser.to(self.device)
        if config.gradient_checkpointing:
            transformer.enable_gradient_checkpointing()
        if config.compile:
            check_compiler(self.device)
            transformer.compile_repeated_blocks()
        self.data = ClipData(
            parts.clips,
            parts.validation_clips,
            config,
            vit_dim=transformer.config.id_vit_dim if transformer.config.identity_modules else None,
            patch_size_t=transformer.config.patch_size_t,
            noise_sharing=transformer.config.noise_sharing,
        )
        self._rotary_emb: dict[tuple[int, ...], tuple[torch.Tensor, torch.Tensor] | None] = {}

    @property
    def model(self) -> torch.nn.Module:
        """The transformer."""
        return self.transformer

    @property
    def device(self) -> torch.device:
        """The transformer's device."""
        device: torch.device = next(self.transformer.parameters()).device
        return device

    @property
    def measures_first(self) -> bool:
        """The loss hardly moves later on: where it began says what was learnt."""
        return True

    def parameter_groups(self) -> list[ParameterGroup]:
        """What the stage trains."""
        raise NotImplementedError

    def counts(self, batches: Sequence[ClipBatch]) -> Mapping[str, float]:
        """Samples, people and face tokens."""
        return {
            "samples": float(sum(len(batch) for batch in batches)),
            "people": float(sum(batch.num_people for batch in batches)),
            "face_tokens": float(sum(batch.num_face_tokens for batch in batches)),
        }

    def loss(self, batch: ClipBatch, counts: Mapping[str, float]) -> StepOutput:
        """The loss of one batch."""
        raise NotImplementedError

    @property
    def is_base_frozen(self) -> bool:
        """Whether the base's own weights, those of a LoRA apart, stay as they are."""
        return not any(
            parameter.requires_grad and ".lora_" not in name
            for name, parameter in self.transformer.named_parameters()
            if ".attn1." in name
        )

    def work(self, batches: Sequence[ClipBatch]) -> Work | None:
        """Passes through the blocks."""
        is_base_frozen = self.is_base_frozen
        num_samples, num_tokens, flops = 0, 0, 0
        for batch in batches:
            num_text_tokens, num_video_tokens = batch.prompt_embeds.shape[1], batch.routing_targets.shape[1]
            num_samples += len(batch)
            num_tokens += len(batch) * (num_text_tokens + num_video_tokens)
            flops += len(batch) * training_flops(
                self.transformer.backbone,
                self.transformer.config,
                num_video_tokens=num_video_tokens,
                num_text_tokens=num_text_tokens,
                num_identities=batch.people.id_mask.shape[1] if self.shows_people else 0,
                is_base_frozen=is_base_frozen,
            )
        return Work(num_samples=num_samples, num_tokens=num_tokens, flops=flops)

    def timesteps(self, batch: ClipBatch) -> torch.Tensor:
        """Noise levels (B,) that are trained on, by the settings' shift."""
        shift = self.config.timestep_shift
        return self.schedule.timesteps(shift * batch.levels / (1 + (shift - 1) * batch.levels))

    def noisy(self, batch: ClipBatch, timesteps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Noisy latents, and what is to be predicted of them: each (B, F, C, H, W)."""
        return (
            self.schedule.add_noise(batch.latents, batch.noise, timesteps),
            self.schedule.target(batch.latents, batch.noise, timesteps),
        )

    def diffusion_losses(
        self,
        prediction: torch.Tensor,
        target: torch.Tensor,
        timesteps: torch.Tensor,
        weight: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """The losses (B,) of predictions, as `losses.diffusion_losses` has them, weighed by the noise level."""
        return diffusion_losses(prediction, target, weight) * self.schedule.loss_weight(timesteps)

    def rotary_emb(self, latents: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor] | None:
        """Positions of latents (B, F, C, H, W)."""
        num_frames, _, height, width = latents.shape[1:]
        key = (num_frames, height, width)
        if key not in self._rotary_emb:
            self._rotary_emb[key] = self.transformer.backbone.positions(
                self.transformer.config, num_frames=num_frames, height=height, width=width, device=latents.device
            )
        return self._rotary_emb[key]

    def canvas_latents(self, batch: ClipBatch, shows: torch.Tensor | None = None) -> torch.Tensor:
        """Latents of the canvases in the first latent frame, zeros in the others (3.2): (B, F, C, H, W).

        Args:
            batch: the clips.
            shows: (B,) bool, whose canvas is shown, by default everybody's; the others are zero and not encoded.
        """
        num_frames, _, height, width = batch.latents.shape[1:]
        compression = self.transformer.backbone.spatial_ratio(self.parts.vae.config)
        shown = range(len(batch)) if shows is None else shows.nonzero()[:, 0].tolist()
        latents = torch.zeros_like(batch.latents[:, :1], dtype=torch.float32)
        if shown:
            latents[shown] = encode_canvases(
                self.parts.vae,
                [batch.canvas_crops[index] for index in shown],
                height=height * compression,
                width=width * compression,
                placement=self.transformer.config.canvas_placement,
            ).float()
        return first_frame_only(latents, num_frames, num_padding_frames=batch.num_padding_frames)

    def loss_weight(self, batch: ClipBatch) -> torch.Tensor | None:
        """Weights (B, F, 1, H, W) of mean 1 in each sample that favour faces, or None."""
        if self.config.face_weight == 1:
            return None
        num_frames, _, height, width = batch.latents.shape[1:]
        patch, patch_t = self.transformer.config.patch_size, self.transformer.config.patch_size_t or 1
        is_face = (batch.routing_targets != BACKGROUND).float()
        weight = 1 + (self.config.face_weight - 1) * is_face
        weight = weight / weight.mean(dim=1, keepdim=True)
        weight = torch.unflatten(weight, 1, (num_frames // patch_t, 1, height // patch, width // patch))
        return (
            weight.repeat_interleave(patch_t, dim=1).repeat_interleave(patch, dim=-2).repeat_interleave(patch, dim=-1)
        )

    def export(self, folder: Path) -> None:
        """Writes `transformer/`, adapters merged, into the folder; every process must call it."""
        transformer = exported_transformer(self.transformer)
        if transformer is not None:
            with atomic_folder(folder / "transformer") as temporary:
                transformer.save_pretrained(temporary)

    @torch.no_grad()
    def validate(self) -> Mapping[str, float]:
        """Held-out loss by timestep: the mean over the batches, each weighed by its clips."""
        if self.data.held_out is None:
            return {}
        self.transformer.eval()
        batches: dict[str, list[SumOf]] = {}
        for pieces in self.data.held_out_batches():
            sums: dict[str, list[SumOf]] = {}
            num_clips = sum(len(piece) for piece in pieces)
            for batch in (piece.to(self.device) for piece in pieces):
                for timestep in VALIDATION_TIMESTEPS:
                    timesteps = torch.full((len(batch),), timestep, device=self.device)
                    with mixed_precision(precision_of_weights(self.dtype), self.device):
                        measured = self.validation_losses(batch, timesteps)
                    for name, losses in measured.items():
                        sums.setdefault(f"{name}_t{timestep}", []).append(losses)
            for name, mean in _means(sums).items():
                batches.setdefault(name, []).append((mean * num_clips, num_clips))
        self.transformer.train()
        means = _means(batches)
        by_kind: dict[str, list[float]] = {}
        for name, value in means.items():
            by_kind.setdefault(name.rsplit("_t", 1)[0], []).append(value)
        return {kind: sum(values) / len(values) for kind, values in by_kind.items()} | means

    def validation_losses(self, batch: ClipBatch, timesteps: torch.Tensor) -> dict[str, SumOf]:
        """What `validate` measures on held-out clips at one timestep: sums, for they may be a part of a batch."""
        raise NotImplementedError


def sum_of(losses: torch.Tensor) -> SumOf:
    """Losses (B,) of samples, as a sum."""
    return losses.mean().item() * len(losses), len(losses)


def _means(sums: Mapping[str, Sequence[SumOf]]) -> dict[str, float]:
    """The mean of each that is a sum of anything at all."""
    numbers = {name: sum(number for _, number in parts) for name, parts in sums.items()}
    return {name: sum(total for total, _ in sums[name]) / number for name, number in numbers.items() if number}


def first_frame_only(latents: torch.Tensor, num_frames: int, *, num_padding_frames: int = 0) -> torch.Tensor:
    """Puts latents (B, 1, C, H, W) in the first of `num_frames` frames and its copies, zeros in the others."""
    shown = latents.expand(-1, 1 + num_padding_frames, -1, -1, -1)
    zeros = latents.new_zeros(latents.shape[0], num_frames - shown.shape[1], *latents.shape[2:])
    return torch.cat([shown, zeros], dim=1)
