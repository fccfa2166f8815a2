"""What the bases, the alignment and the router stage have in common: noisy clips in, velocity out.

Legend: B batch, F latent frames, C channels, H/W latent grid, L video tokens, N identities, T text tokens.
"""

import copy
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from diffusers import AutoencoderKLCogVideoX
from transformers import PreTrainedTokenizerBase, T5EncoderModel

from ingredients.data.batches import ClipBatch, draw_batch
from ingredients.data.encode import encode_images
from ingredients.data.identity_encoder import PhotoEncoder
from ingredients.data.latent_pool import LatentPool
from ingredients.data.routing_targets import BACKGROUND, RoutingSupervision
from ingredients.faces.recogniser import ArcFaceRecogniser
from ingredients.models import IngredientsTransformer3DModel
from ingredients.models.rotary import video_rotary_emb
from ingredients.training.noise import NoiseSchedule, build_scheduler
from ingredients.training.text_encoder import tokenize
from ingredients.training.trainer import step_generator

VALIDATION_TIMESTEPS = (100, 300, 500, 700, 900)
TEXT_CACHE_SIZE = 20_000


@dataclasses.dataclass(slots=True, kw_only=True)
class DiffusionConfig:
    """Batches and loss of a diffusion stage."""

    batch_size: int = 16
    """Clips in a step."""

    image_batch_size: int = 32
    """Images in a step, while the run trains on images."""

    image_share: float = 0.0
    """Share of the run, at its start, that trains on the clips' first frames alone: a third of the tokens, and all
    that there is to learn about looks."""

    caption_drop: float = 0.1
    """Share of the captions that become empty, for guidance."""

    face_weight: float = 1.0
    """Weight of the places on faces in the diffusion loss, against 1 elsewhere."""

    supervision: RoutingSupervision = "segment"
    """Whether face tokens come from masks or from boxes (section 4.3)."""

    refresh_every: int = 50
    """Steps between two looks for new clips."""

    num_validation_batches: int = 4
    """Batches of the held-out loss."""

    def __post_init__(self) -> None:
        if not 0 <= self.image_share <= 1:
            raise ValueError(f"image_share must lie in [0, 1], not {self.image_share}.")


@dataclasses.dataclass(slots=True, kw_only=True, eq=False)
class FrozenParts:
    """All that diffusion training uses and leaves alone."""

    vae: AutoencoderKLCogVideoX
    text_encoder: T5EncoderModel
    tokenizer: PreTrainedTokenizerBase
    pool: LatentPool
    validation_pool: LatentPool
    photo_encoder: PhotoEncoder | None = None
    validation_photo_encoder: PhotoEncoder | None = None
    recogniser: ArcFaceRecogniser | None = None


class PromptEncoder:
    """Encodes captions by the frozen text encoder, and remembers them: the world has a few thousand."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, text_encoder: T5EncoderModel, max_length: int) -> None:
        self.tokenizer = tokenizer
        self.text_encoder = text_encoder
        self.max_length = max_length
        self._embeds: dict[str, torch.Tensor] = {}

    @torch.no_grad()
    def __call__(self, captions: Sequence[str]) -> torch.Tensor:
        """Prompt embeddings (B, T, D)."""
        unknown = sorted({caption for caption in captions if caption not in self._embeds})
        if unknown:
            if len(self._embeds) > TEXT_CACHE_SIZE:
                self._embeds.clear()
                unknown = sorted(set(captions))
            embeds = self.text_encoder(tokenize(self.tokenizer, unknown, max_length=self.max_length))[0]
            self._embeds.update(zip(unknown, embeds.unbind(), strict=True))
        return torch.stack([self._embeds[caption] for caption in captions])


class DiffusionStage:
    """Base of the diffusion stages; each adds its conditions and its trainable parameters."""

    with_canvases = False

    def __init__(
        self, transformer: IngredientsTransformer3DModel, parts: FrozenParts, config: DiffusionConfig
    ) -> None:
        self.transformer = transformer
        self.parts = parts
        self.config = config
        self.schedule = NoiseSchedule(build_scheduler())
        self.prompts = PromptEncoder(parts.tokenizer, parts.text_encoder, transformer.config.max_text_seq_length)
        for module in (parts.vae, parts.text_encoder):
            module.requires_grad_(False).eval()
        self._step = 0
        self._rotary_emb: dict[int, tuple[torch.Tensor, torch.Tensor] | None] = {}

    def draw(self, generator: torch.Generator, *, progress: float, pool: LatentPool | None = None) -> ClipBatch:
        """Draws a batch of images or clips, as the run's progress has it; held-out ones from `pool`."""
        is_image = progress < self.config.image_share
        return draw_batch(
            pool or self.parts.pool,
            self.config.image_batch_size if is_image else self.config.batch_size,
            generator,
            caption_drop=self.config.caption_drop if pool is None else 0.0,
            with_canvases=self.with_canvases,
            canvas_size=(
                self.transformer.config.sample_height * self.compression,
                self.transformer.config.sample_width * self.compression,
            ),
            supervision=self.config.supervision,
            num_latent_frames=1 if is_image else None,
        )

    @property
    def compression(self) -> int:
        """Pixels of a latent each way."""
        return int(2 ** (len(self.parts.vae.config.block_out_channels) - 1))

    def refresh(self) -> None:
        """Looks for new clips now and then."""
        if self._step % self.config.refresh_every == 0:
            self.parts.pool.refresh()
        self._step += 1

    def rotary_emb(self, num_frames: int) -> tuple[torch.Tensor, torch.Tensor] | None:
        """Positions of `num_frames` latent frames of the model's size."""
        if num_frames not in self._rotary_emb:
            config = self.transformer.config
            self._rotary_emb[num_frames] = video_rotary_emb(
                config, num_frames=num_frames, height=config.sample_height, width=config.sample_width
            )
        return self._rotary_emb[num_frames]

    def canvas_latents(self, batch: ClipBatch) -> torch.Tensor:
        """Latents of the canvases in the first latent frame, zeros in the others (3.2): (B, F, C, H, W)."""
        assert batch.canvases is not None
        return first_frame_only(encode_images(self.parts.vae, batch.canvases), batch.latents.shape[1])

    def loss_weight(self, batch: ClipBatch) -> torch.Tensor | None:
        """Weights (B, F, 1, H, W) of mean 1 that favour faces, or None."""
        if self.config.face_weight == 1:
            return None
        num_frames, _, height, width = batch.latents.shape[1:]
        patch = self.transformer.config.patch_size
        is_face = (batch.routing_targets != BACKGROUND).float()
        weight = 1 + (self.config.face_weight - 1) * is_face
        weight = torch.unflatten(weight, 1, (num_frames, 1, height // patch, width // patch))
        weight = weight.repeat_interleave(patch, dim=-2).repeat_interleave(patch, dim=-1)
        normalised: torch.Tensor = weight / weight.mean()
        return normalised

    def export(self, folder: Path) -> None:
        """Writes `transformer/`, adapters merged, into the folder."""
        merged_transformer(self.transformer).save_pretrained(folder / "transformer")

    @torch.no_grad()
    def validate(self) -> Mapping[str, float]:
        """Held-out loss by timestep."""
        self.transformer.eval()
        losses: dict[str, list[float]] = {}
        for index in range(self.config.num_validation_batches):
            generator = step_generator(2**32, index)
            batch = self.draw(generator, progress=1.0, pool=self.parts.validation_pool)
            noise = torch.randn(batch.latents.shape, generator=generator)
            for timestep in VALIDATION_TIMESTEPS:
                timesteps = torch.full((len(batch.captions),), timestep)
                for name, value in self.validation_losses(batch, noise, timesteps).items():
                    losses.setdefault(f"{name}_t{timestep}", []).append(value)
        self.transformer.train()
        means = {name: sum(values) / len(values) for name, values in losses.items()}
        by_kind: dict[str, list[float]] = {}
        for name, value in means.items():
            by_kind.setdefault(name.rsplit("_t", 1)[0], []).append(value)
        return {kind: sum(values) / len(values) for kind, values in by_kind.items()} | means

    def validation_losses(self, batch: ClipBatch, noise: torch.Tensor, timesteps: torch.Tensor) -> dict[str, float]:
        """What `validate` measures on one held-out batch at one timestep."""
        raise NotImplementedError


def first_frame_only(latents: torch.Tensor, num_frames: int) -> torch.Tensor:
    """Puts latents (B, 1, C, H, W) in the first of `num_frames` frames, zeros in the others."""
    zeros = latents.new_zeros(latents.shape[0], num_frames - 1, *latents.shape[2:])
    return torch.cat([latents, zeros], dim=1)


def merged_transformer(transformer: IngredientsTransformer3DModel) -> IngredientsTransformer3DModel:
    """A copy with its LoRA merged into the weights; without adapters, the transformer itself."""
    if not getattr(transformer, "peft_config", None):
        return transformer
    merged = copy.deepcopy(transformer)
    merged.fuse_lora()
    merged.unload_lora()
    return merged
