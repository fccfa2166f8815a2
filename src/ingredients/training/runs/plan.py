"""What a run would cost, worked out before it begins: `--dry-run`.

Legend: L video tokens, T text tokens, D width.
"""

import dataclasses
import math
from collections.abc import Iterable
from typing import Any, Literal

import torch

from ingredients.core.memory_mode import MemoryMode
from ingredients.core.progress import duration_in_words
from ingredients.core.warnings_told import Notice
from ingredients.data.latents import pictures_at_once
from ingredients.model_folders.sampling_settings import SamplingSettings
from ingredients.models.flops import training_flops
from ingredients.models.mixed_precision import resolve_precision
from ingredients.pipelines.execution.memory_estimate import (
    VideoDemand,
    decoding_bytes,
    denoising_bytes,
    differentiated_decoding_bytes,
    encoding_bytes,
    identity_bytes,
)
from ingredients.pipelines.execution.model_weights import ModelWeights, PartWeights
from ingredients.pipelines.video_shape import VideoShape
from ingredients.training.loop.throughput import PEAKS, PROCESSOR_CORE_FLOPS
from ingredients.training.runs.configuration import IdentityRunConfig
from ingredients.training.runs.kinds import RunKind
from ingredients.training.runs.planned_stage import PlannedStage, build_planned_stage

_BYTES_OF_WEIGHT, _BYTES_OF_GRADIENT, _BYTES_OF_AVERAGE = 4, 4, 4
_BYTES_OF_MOMENTS = {"adamw": 8, "adamw8bit": 2, "muon": 4}
"""Bytes of a trained number's moments, which is in float32."""

_BYTES_PER_TOKEN_AND_CHANNEL = 34
"""What a block's forward pass keeps of a token in 16 bit, a channel, with fused attention (Korthikanti et al. 2022,
"Reducing activation recomputation in large transformer models")."""

_NUM_GATHERED = 2
"""Units that FSDP holds whole: the one that is computed, and the next one."""

_ASSUMED_MFU = 0.4

_GROUPS = (
    ("LoRA", ".lora_"),
    ("multi-scale projector", "multi_scale_projector."),
    ("identity cross-attentions", ".id_attn."),
    ("routers", ".id_router."),
    ("patch embedding", "patch_embed."),
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PlannedPhase:
    """The part of a run that trains on images, or on clips."""

    samples: Literal["images", "clips"]
    """What is trained on."""

    num_steps: int
    """Optimiser steps."""

    batch_size: int
    """Samples of a step."""

    num_tokens: int
    """Tokens of a sample, text included."""

    step_flops: float
    """Operations of a step, forward and backward."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RunPlan:
    """What `--dry-run` prints."""

    stage: str
    """Its name."""

    notes: tuple[str, ...]
    """What was assumed, a sentence each."""

    trained: dict[str, int]
    """Numbers that are trained, by what they belong to."""

    num_frozen: int
    """Numbers of the transformer that stay as they are."""

    num_processes: int
    """How many processes share the work."""

    held: dict[str, float]
    """Bytes of one process that are always taken, by what they are for, estimated."""

    in_turns: dict[str, float]
    """Bytes that are taken by one after the other, of which the most counts, estimated."""

    num_clips: int | None
    """The clips to learn from, if that is known."""

    phases: tuple[PlannedPhase, ...]
    """The phases, in their order."""

    minutes: float | None
    """Limit of the training time."""

    @property
    def num_bytes(self) -> float:
        """Memory of one process at its busiest."""
        return sum(self.held.values()) + max(self.in_turns.values())

    @property
    def flops(self) -> float:
        """Operations of the run."""
        return sum(phase.num_steps * phase.step_flops for phase in self.phases)

    def to_text(self, *, has_gpu: bool) -> str:
        """The plan, to read; the times of what is there come first."""
        lines = [f"stage {self.stage}", *(f"Note: {note}" for note in self.notes), "", "trained:"]
        lines += [f"  {name:28} {number:>14,}" for name, number in self.trained.items()]
        lines += [
            f"  {'together':28} {sum(self.trained.values()):>14,}",
            f"  {'frozen':28} {self.num_frozen:>14,}",
            "",
            f"memory of {'the process' if self.num_processes == 1 else f'each of {self.num_processes} processes'}, "
            "estimated:",
        ]
        lines += [f"  {name:28} {_size_in_words(size):>14}" for name, size in self.held.items()]
        lines.append("  and in turns, of which the most counts:")
        lines += [f"    {name:26} {_size_in_words(size):>14}" for name, size in self.in_turns.items()]
        lines += [f"  {'together, at the busiest':28} {_size_in_words(self.num_bytes):>14}", "", "work:"]
        lines += [
            f"  {phase.num_steps:,} steps of {phase.batch_size} {phase.samples}, {phase.num_tokens:,} tokens each, "
            f"{_flops_in_words(phase.step_flops)} a step"
            for phase in self.phases
        ]
        if self.num_clips is not None:
            num_samples = sum(phase.num_steps * phase.batch_size for phase in self.phases)
            lines.append(f"  {self.num_clips:,} clips, {num_samples / self.num_clips:.1f} epochs")
        if self.minutes is not None:
            lines.append(f"  {self.minutes:g} minutes at most")
        gpus, processor = self._gpu_lines(), self._processor_lines()
        return "\n".join(lines + (gpus + processor if has_gpu else processor + gpus))

    def _processor_lines(self) -> list[str]:
        cores = "one core" if self.num_processes == 1 else f"{self.num_processes} cores"
        return [
            "  time, at the rate that was measured with AVX-512 in float32:",
            f"    {cores + ' of an Intel Xeon':26} {self._duration(PROCESSOR_CORE_FLOPS):>14}",
        ]

    def _gpu_lines(self) -> list[str]:
        lines = [f"  time, if {_ASSUMED_MFU:.0%} of the peak is reached:"]
        for name, peak in PEAKS.items():
            gpus = f"one {name}" if self.num_processes == 1 else f"{self.num_processes} x {name}"
            lines.append(f"    {gpus:26} {self._duration(peak * _ASSUMED_MFU):>14}")
        return lines

    def _duration(self, flops_per_second: float) -> str:
        """The time in words, if each process reaches so much."""
        return duration_in_words(self.flops / (self.num_processes * flops_per_second))


def plan_run(
    kind: RunKind,
    config: IdentityRunConfig,
    *,
    num_processes: int = 1,
    notice: Notice | None = None,
) -> RunPlan:
    """Builds a run's stage without its weights and works out what it would cost; errors as `train_run`."""
    planned = build_planned_stage(kind, config, notice=notice)
    stage = planned.stage
    resolve_precision(config.trainer.precision, torch.device("cpu"), stage.dtype)  # refuses what the run refuses
    trained = {name: each.numel() for group in stage.parameter_groups() for name, each in group.parameters.items()}
    all_numbers = sum(parameter.numel() for parameter in stage.transformer.parameters())
    phases = _phases(planned, config)
    return RunPlan(
        stage=kind.name,
        notes=planned.notes,
        trained=_by_group(trained),
        num_frozen=all_numbers - sum(trained.values()),
        num_processes=num_processes,
        held=_held_bytes(planned, config, num_trained=sum(trained.values()), num_processes=num_processes),
        in_turns=_bytes_in_turns(planned, config, phases, num_processes=num_processes),
        num_clips=planned.clips.number,
        phases=phases,
        minutes=config.trainer.minutes,
    )


def _by_group(trained: dict[str, int]) -> dict[str, int]:
    groups: dict[str, int] = {}
    for name, number in trained.items():
        group = next((group for group, part in _GROUPS if part in name), "base")
        groups[group] = groups.get(group, 0) + number
    return groups


def _phases(planned: PlannedStage, config: IdentityRunConfig) -> tuple[PlannedPhase, ...]:
    num_image_steps = math.ceil(config.stage.image_share * config.trainer.num_steps)
    phases = (
        _phase(planned, config, "images", num_image_steps, config.stage.image_batch_size),
        _phase(planned, config, "clips", config.trainer.num_steps - num_image_steps, config.stage.batch_size),
    )
    return tuple(phase for phase in phases if phase.num_steps)


def _phase(
    planned: PlannedStage,
    config: IdentityRunConfig,
    samples: Literal["images", "clips"],
    num_steps: int,
    batch_size: int,
) -> PlannedPhase:
    clips, bucket = planned.clips, planned.clips.bucket
    num_frames = 1 if samples == "images" else bucket.num_frames
    if samples == "clips" and config.stage.clip_frames is not None:
        num_frames = min(num_frames, (config.stage.clip_frames - 1) * planned.geometry.temporal_ratio + 1)
    shape = VideoShape(height=bucket.height, width=bucket.width, num_frames=num_frames)
    num_video_tokens = math.prod(planned.geometry.token_grid(shape))
    flops = training_flops(
        planned.stage.transformer.backbone,
        planned.stage.transformer.config,
        num_video_tokens=num_video_tokens,
        num_text_tokens=clips.num_text_tokens,
        num_identities=clips.num_people,
        is_base_frozen=planned.stage.is_base_frozen,
    )
    return PlannedPhase(
        samples=samples,
        num_steps=num_steps,
        batch_size=batch_size,
        num_tokens=num_video_tokens + clips.num_text_tokens,
        step_flops=float(flops * batch_size),
    )


def _held_bytes(
    planned: PlannedStage, config: IdentityRunConfig, *, num_trained: int, num_processes: int
) -> dict[str, float]:
    transformer: Any = planned.stage.transformer
    is_sharded = num_processes > 1 and config.trainer.parallel == "fsdp"
    num_shards = num_processes if is_sharded else 1
    each = _BYTES_OF_WEIGHT + _BYTES_OF_GRADIENT + _BYTES_OF_MOMENTS[config.trainer.optimizer]
    each += _BYTES_OF_AVERAGE if config.trainer.ema_decay > 0 else 0
    frozen = _num_bytes(each for each in transformer.parameters() if not each.requires_grad)
    held = {
        "frozen weights": frozen / num_shards,
        "VAE": float(_num_bytes(planned.stage.parts.vae.parameters())),
        "what is trained": num_trained * each / num_shards,
    }
    if is_sharded:
        units = [*transformer.transformer_blocks, transformer.multi_scale_projector]
        held["units put together"] = float(_NUM_GATHERED * max(_num_bytes(unit.parameters()) for unit in units))
    elif num_processes > 1:
        held["gradients to be averaged"] = float(num_trained * _BYTES_OF_GRADIENT)
    return held


def _bytes_in_turns(
    planned: PlannedStage, config: IdentityRunConfig, phases: tuple[PlannedPhase, ...], *, num_processes: int
) -> dict[str, float]:
    """Bytes of a step, of the canvases that are encoded before it, of a look at held-out clips and of a sample."""
    clips, stage = planned.clips, config.stage
    at_once = stage.micro_batch_size or math.inf
    in_step = {phase: int(min(at_once, -(-phase.batch_size // num_processes))) for phase in phases}
    height, width = clips.bucket.height, clips.bucket.width
    model, vae = _weights(planned)
    num_pictures = min(pictures_at_once(height, width), max(in_step.values()))
    in_turns = {
        "a step": float(max(_step_bytes(planned, config, phase, number) for phase, number in in_step.items())),
        "canvases": float(encoding_bytes(vae, num_pictures=num_pictures, height=height, width=width)),
    }
    if stage.identity_loss_weight > 0:
        in_turns["a step"] += differentiated_decoding_bytes(
            vae, num_pictures=max(in_step.values()), height=height, width=width
        )
    if clips.has_held_out:
        demand = VideoDemand(
            height=height,
            width=width,
            num_frames=clips.bucket.num_frames,
            num_people=clips.num_people,
            sampling={"guidance_scale": 1.0},
        )
        num_held_out = int(min(at_once, stage.batch_size))
        in_turns["held-out clips"] = float(num_held_out * denoising_bytes(model, demand))
        if config.trainer.sample_every is not None:
            demand = dataclasses.replace(demand, sampling={"guidance_scale": config.samples.guidance_scale})
            denoising = identity_bytes(model, demand) + denoising_bytes(model, demand)
            in_turns["a sample"] = float(max(denoising, decoding_bytes(vae, demand, MemoryMode.MINIMAL)))
    return in_turns


def _step_bytes(planned: PlannedStage, config: IdentityRunConfig, phase: PlannedPhase, num_samples: int) -> float:
    """What is kept of a forward pass for the backward pass: of each block its inputs, or all."""
    transformer = planned.stage.transformer.config
    width: int = transformer.num_attention_heads * transformer.attention_head_dim
    precision = 4 if config.trainer.precision == "float32" else 2  # `auto` as on a GPU, where memory is the question
    inputs = num_samples * phase.num_tokens * width * precision
    block = inputs * _BYTES_PER_TOKEN_AND_CHANNEL / 2
    num_blocks: int = transformer.num_layers
    return num_blocks * inputs + block if config.stage.gradient_checkpointing else num_blocks * block


def _weights(planned: PlannedStage) -> tuple[ModelWeights, ModelWeights]:
    """The model as the transformer computes outside of steps, and as the VAE does; captions are encoded already."""
    nothing = PartWeights(total=0, outside=0, largest_block=0, largest_layer=0)
    model = ModelWeights(
        backbone=planned.stage.transformer.backbone,
        text_encoder=nothing,
        transformer=nothing,
        vae=0,
        element_size=planned.stage.dtype.itemsize,
        transformer_config=planned.stage.transformer.config,
        vae_config=planned.stage.parts.vae.config,
        sampling=SamplingSettings(),
    )
    return model, dataclasses.replace(model, element_size=planned.stage.parts.vae.dtype.itemsize)


def _num_bytes(parameters: Iterable[torch.nn.Parameter]) -> int:
    return sum(each.numel() * each.element_size() for each in parameters)


def _size_in_words(num_bytes: float) -> str:
    return f"{num_bytes / 1e9:.1f} GB" if num_bytes >= 1e9 else f"{num_bytes / 1e6:.0f} MB"


def _flops_in_words(flops: float) -> str:
    return f"{flops / 1e15:.1f} PFLOP" if flops >= 1e15 else f"{flops / 1e12:.3g} TFLOP"
