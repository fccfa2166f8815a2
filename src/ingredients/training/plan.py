"""What a run would cost, worked out before it begins: `--dry-run`.

Legend: L video tokens, T text tokens, D width.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import torch

from ingredients.models.flops import training_flops
from ingredients.training.diffusion_stage import DiffusionStage
from ingredients.training.runs import RunConfig, RunConfigT, RunKind, build_stage
from ingredients.training.throughput import PEAKS

_BYTES_OF_WEIGHT, _BYTES_OF_GRADIENT, _BYTES_OF_AVERAGE = 4, 4, 4
_BYTES_OF_MOMENTS = {"adamw": 8, "adamw8bit": 2, "muon": 4}
"""Of a trained number, which is in float32."""

_BYTES_PER_TOKEN_AND_CHANNEL = 34
"""What a block's forward pass keeps of a token in 16 bit, a channel, with fused attention (Korthikanti et al. 2022,
"Reducing activation recomputation in large transformer models")."""

_ASSUMED_MFU = 0.4

_GROUPS = (
    ("LoRA", ".lora_"),
    ("multi-scale projector", "multi_scale_projector."),
    ("identity cross-attentions", ".id_attn."),
    ("routers", ".id_router."),
    ("patch embedding", "patch_embed."),
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RunPlan:
    """What `--dry-run` prints."""

    stage: str
    """Its name."""

    trained: dict[str, int]
    """Numbers that are trained, by what they belong to."""

    num_frozen: int
    """Numbers of the transformer that stay as they are."""

    bytes: dict[str, float]
    """Memory of one process by what it is for, estimated."""

    num_clips: int
    """To learn from."""

    num_steps: int
    """Optimiser steps."""

    minutes: float | None
    """Limit of the training time."""

    batch_size: int
    """Clips of a step."""

    num_tokens: int
    """Of a clip, text included."""

    step_flops: float
    """Of a step, forward and backward."""

    def to_text(self) -> str:
        """The plan, to read."""
        lines = [f"stage {self.stage}", "", "trained:"]
        lines += [f"  {name:28} {number:>14,}" for name, number in self.trained.items()]
        lines += [
            f"  {'together':28} {sum(self.trained.values()):>14,}",
            f"  {'frozen':28} {self.num_frozen:>14,}",
            "",
            "memory of one process, estimated (GB):",
        ]
        lines += [f"  {name:28} {size / 1e9:>14.2f}" for name, size in self.bytes.items()]
        lines += [f"  {'together':28} {sum(self.bytes.values()) / 1e9:>14.2f}", "", "work:"]
        ends = f" or {self.minutes:g} minutes, whichever comes first" if self.minutes is not None else ""
        epochs = self.num_steps * self.batch_size / self.num_clips
        lines += [
            f"  {self.num_clips:,} clips, {self.num_tokens:,} tokens each",
            f"  {self.num_steps:,} steps of {self.batch_size} clips, {epochs:.1f} epochs{ends}",
            f"  {self.step_flops / 1e12:.3g} TFLOP a step",
            f"  time, if {_ASSUMED_MFU:.0%} of the peak is reached:",
        ]
        for name, peak in PEAKS.items():
            hours = self.num_steps * self.step_flops / (peak * _ASSUMED_MFU) / 3600
            lines.append(f"    {'one ' + name:26} {_duration(hours):>14}")
        return "\n".join(lines)


def plan_run(kind: RunKind[RunConfigT], config: RunConfigT, *, notice: Callable[[str], None] | None = None) -> RunPlan:
    """Builds a run's stage without its weights and works out what it would cost; errors as `train_run`."""
    stage, parts = build_stage(kind, config, device=torch.device("meta"), notice=notice)
    shape = max(parts.clips.buckets(), key=lambda each: each[0] * each[2] * each[3])
    transformer_config = stage.transformer.config
    num_video_tokens = (
        shape[0] * (shape[2] // transformer_config.patch_size) * (shape[3] // transformer_config.patch_size)
    )
    num_text_tokens = parts.clips.empty_prompt_embeds.shape[0]
    num_people = max(len(entry.person_ids) for entry in parts.clips.entries)
    flops = training_flops(
        transformer_config,
        num_video_tokens=num_video_tokens,
        num_text_tokens=num_text_tokens,
        num_identities=num_people,
        is_base_frozen=stage.is_base_frozen,
    )
    trained = {name: each.numel() for group in stage.parameter_groups() for name, each in group.parameters.items()}
    all_numbers = sum(parameter.numel() for parameter in stage.transformer.parameters())
    return RunPlan(
        stage=kind.name,
        trained=_by_group(trained),
        num_frozen=all_numbers - sum(trained.values()),
        bytes=_memory(stage, config, num_video_tokens + num_text_tokens, num_trained=sum(trained.values())),
        num_clips=len(parts.clips),
        num_steps=config.trainer.num_steps,
        minutes=config.trainer.minutes,
        batch_size=config.stage.batch_size,
        num_tokens=num_video_tokens + num_text_tokens,
        step_flops=float(flops * config.stage.batch_size),
    )


def _by_group(trained: dict[str, int]) -> dict[str, int]:
    groups: dict[str, int] = {}
    for name, number in trained.items():
        group = next((group for group, part in _GROUPS if part in name), "base")
        groups[group] = groups.get(group, 0) + number
    return groups


def _memory(stage: DiffusionStage, config: RunConfig, num_tokens: int, *, num_trained: int) -> dict[str, float]:
    transformer: Any = stage.transformer
    frozen = sum(each.numel() * each.element_size() for each in transformer.parameters() if not each.requires_grad)
    vae = sum(each.numel() * each.element_size() for each in stage.parts.vae.parameters())
    channels = transformer.config.num_attention_heads * transformer.config.attention_head_dim
    samples = config.stage.micro_batch_size or config.stage.batch_size
    precision = 4 if config.trainer.precision == "float32" else 2  # `auto` on a GPU, where memory is the question
    block = samples * num_tokens * channels * _BYTES_PER_TOKEN_AND_CHANNEL * precision / 2
    kept = samples * num_tokens * channels * precision
    num_blocks = transformer.config.num_layers
    activations = num_blocks * kept + block if config.stage.gradient_checkpointing else num_blocks * block
    each = _BYTES_OF_WEIGHT + _BYTES_OF_GRADIENT + _BYTES_OF_MOMENTS[config.trainer.optimizer]
    each += _BYTES_OF_AVERAGE if config.trainer.ema_decay > 0 else 0
    return {
        "frozen weights": float(frozen),
        "VAE": float(vae),
        "what is trained": float(num_trained * each),
        "activations": float(activations),
    }


def _duration(hours: float) -> str:
    if hours >= 48:
        return f"{hours / 24:.1f} days"
    return f"{hours:.1f} hours" if hours >= 1 else f"{hours * 60:.1f} minutes"
