"""Baselines of Table 1 that are tuned for each pair of people: textual inversion, and a LoRA.

Both start from the text-to-video base and see nothing but the two photos: each person's photo alone, and both side by
side, with captions in which a placeholder stands for each person. Textual inversion learns the placeholders' word
embeddings (Gal et al. 2022, arXiv 2208.01618), everything else frozen; the LoRA learns a low-rank change of the
transformer, the placeholders being fixed. Then the prompt, with the placeholders behind it, makes the video.

Legend: N people, V vectors of a placeholder, D text width, T text tokens, H/W pixels, C channels, h/w latent grid.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase, T5EncoderModel

from ingredients.core.arrays import UInt8Array
from ingredients.data.latents import encode_images
from ingredients.faces.canvas import compose_canvas
from ingredients.models import IngredientsTransformer3DModel
from ingredients.models.backbones import VideoVae
from ingredients.models.noise_schedule import NoiseSchedule
from ingredients.pipelines.video_shape import VideoGeometry
from ingredients.training.loop.stage import ParameterGroup, StepOutput, WholeStepStage
from ingredients.training.stages.lora import add_lora
from ingredients.training.stages.losses import diffusion_losses

TuningMethod = Literal["textual_inversion", "lora"]


@dataclasses.dataclass(slots=True, kw_only=True)
class PairTuningConfig:
    """How a pair is tuned for."""

    method: TuningMethod = "textual_inversion"
    """What is learnt."""

    num_vectors: int = 2
    """V: word embeddings that stand for a person."""

    lora_rank: int = 8
    """Rank of the LoRA."""

    batch_size: int = 6
    """Pictures of a step, drawn from the three that there are."""

    def __post_init__(self) -> None:
        if min(self.num_vectors, self.lora_rank, self.batch_size) < 1:
            raise ValueError("num_vectors, lora_rank and batch_size must be at least 1.")


class PlaceholderPrompts:
    """Encodes prompts behind which placeholders stand for people.

    Args:
        tokenizer: the tokenizer of the text encoder.
        text_encoder: frozen; gradients reach the placeholders through it.
        max_length: T.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, text_encoder: T5EncoderModel, *, max_length: int) -> None:
        self.tokenizer = tokenizer
        self.text_encoder = text_encoder.requires_grad_(False).eval()
        self.max_length = max_length

    def __call__(self, prompts: Sequence[str], placeholders: Sequence[torch.Tensor]) -> torch.Tensor:
        """Prompt embeddings (B, T, D) of prompts, each followed by its placeholders (people * V, D)."""
        words = self.text_encoder.get_input_embeddings()
        rows = []
        for prompt, vectors in zip(prompts, placeholders, strict=True):
            room = self.max_length - len(vectors) - 1
            ids = self.tokenizer(prompt, add_special_tokens=False).input_ids[:room]
            end = [self.tokenizer.eos_token_id]
            padding = [self.tokenizer.pad_token_id] * (room - len(ids))
            rows.append(torch.cat([words(torch.tensor(ids)), vectors, words(torch.tensor(end + padding))]))
        embeds: torch.Tensor = self.text_encoder(inputs_embeds=torch.stack(rows)).last_hidden_state
        return embeds


class PairTuningStage(WholeStepStage):
    """Tunes for one pair of people; a stage of the one training loop.

    Args:
        transformer: a text-to-video base; changed in place.
        vae: frozen.
        prompts: encodes captions with placeholders.
        photos: the aligned crops (N, S, S, 3) of the people, as the canvas shows them.
        config: the settings of the tuning.
        schedule: the noise that the base was trained with, and what it predicts.
        seed: the seed of the placeholders' start.
    """

    name = "pair"

    def __init__(
        self,
        transformer: IngredientsTransformer3DModel,
        vae: VideoVae,
        prompts: PlaceholderPrompts,
        photos: UInt8Array,
        config: PairTuningConfig,
        *,
        schedule: NoiseSchedule,
        seed: int = 0,
    ) -> None:
        self.transformer = transformer
        self.prompts = prompts
        self.config = config
        self.schedule = schedule
        shape = VideoGeometry.of(transformer.backbone, transformer.config, vae.config).own_shape
        everybody = tuple(range(len(photos)))
        self.pictures = [*((person,) for person in everybody), everybody]
        canvases = [compose_canvas(photos[list(people)], shape.height, shape.width) for people in self.pictures]
        patch = transformer.config.patch_size_t or 1  # a still picture is as many latent frames as a token joins
        self.latents = encode_images(vae, np.stack(canvases)).float().repeat(1, patch, 1, 1, 1)
        transformer.requires_grad_(False)
        generator = torch.Generator().manual_seed(seed)
        words = prompts.text_encoder.get_input_embeddings().weight
        start = torch.randn(len(photos), config.num_vectors, words.shape[1], generator=generator) * words.std()
        self.placeholders = torch.nn.Parameter(start + words.mean(dim=0))
        self._lora: dict[str, torch.nn.Parameter] = {}
        if config.method == "lora":
            self.placeholders.requires_grad_(False)
            self._lora = add_lora(transformer, config.lora_rank)

    def parameter_groups(self) -> list[ParameterGroup]:
        """The placeholders, or the LoRA."""
        trained = self._lora or {"placeholders": self.placeholders}
        return [ParameterGroup(parameters=trained, weight_decay=0.0)]

    def training_step(self, generator: torch.Generator, *, progress: float) -> StepOutput:
        """Eq. 1 on the photos."""
        del progress
        drawn = torch.randint(len(self.pictures), (self.config.batch_size,), generator=generator).tolist()
        latents = self.latents[drawn]
        noise = self.transformer.draw_noise(latents.shape, generator=generator)
        timesteps = self.schedule.timesteps(torch.rand(len(drawn), generator=generator))
        prompt_embeds = self.prompt_embeds(
            [_CAPTIONS[min(len(self.pictures[picture]), 2) - 1] for picture in drawn],
            [self.pictures[picture] for picture in drawn],
        )
        config = self.transformer.config
        prediction = self.transformer(
            self.schedule.add_noise(latents, noise, timesteps),
            prompt_embeds,
            timesteps,
            image_rotary_emb=self.transformer.backbone.positions(
                config, num_frames=latents.shape[1], height=config.sample_height, width=config.sample_width
            ),
        ).sample
        losses = diffusion_losses(prediction, self.schedule.target(latents, noise, timesteps))
        return StepOutput(loss=(losses * self.schedule.loss_weight(timesteps)).mean())

    def prompt_embeds(self, prompts: Sequence[str], people: Sequence[Sequence[int]] | None = None) -> torch.Tensor:
        """Embeddings (B, T, D) of prompts about people; about all of them, without `people`."""
        everybody = range(len(self.placeholders))
        placeholders = [self.placeholders[list(each)].flatten(0, 1) for each in people or [everybody] * len(prompts)]
        return self.prompts(prompts, placeholders)

    def validate(self) -> Mapping[str, float]:
        """Nothing: there is nothing but the photos."""
        return {}

    def export(self, folder: Path) -> None:
        """Nothing: the stage's own weights make the videos."""


_CAPTIONS = ("A person in a room.", "Two people in a room.")
"""Captions of a photo alone, and of several side by side."""
