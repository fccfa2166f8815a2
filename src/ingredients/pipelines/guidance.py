"""Guidance: what a step predicts with and without prompt, people and attention, and how the predictions are combined.

With prompt scale s and identity scale i, for a prompt T, people I and nothing 0 in their place:

    v = v(0, 0) + i (v(0, I) - v(0, 0)) + s (v(T, I) - v(0, I))

i = 1 is the published guidance, in which both passes see the people (two conditions as in Brooks et al. 2023,
"InstructPix2Pix", Eq. 3). Larger values lead away from people in general, towards these. i = s needs no v(0, I) and
costs no more than the published one.

Perturbed-attention guidance (Ahn et al. 2024, arXiv 2403.17377) adds p (v(T, I) - v*(T, I)), where in v* each video
token of the middle block sees itself alone: what falls apart there is what tokens have to agree on, and the step leads
away from it. It helps a model most that has learnt too little to draw coherently; the paper has none.

The passes of a step run as one batch, or one after the other in the memory of one, with the same numbers but for the
order in which sums are rounded.

Legend: B videos, P passes, f/h/w grid of latents, C channels, T text tokens, D text width, L video tokens.
"""

import dataclasses
import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch

from ingredients.model_folders.sampling_settings import SamplingSettings
from ingredients.models.identity_features import IdentityFeatures
from ingredients.models.transformer_ingredients import IngredientsTransformer3DModel, IngredientsTransformerOutput
from ingredients.pipelines.guidance_passes import EVERYTHING, NOBODY, PEOPLE, PERTURBED, GuidancePass, plan_passes


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Guidance:
    """The passes of each step. The last one sees everything."""

    identity_scale: float
    """Weight of the people against nobody in particular; 1 does without."""

    perturbed_scale: float = 0.0
    """Weight of everything against everything with perturbed attention; 0 does without."""

    passes: tuple[GuidancePass, ...]
    """The predictions, in the order of the batch."""

    @property
    def uses_negative_prompt(self) -> bool:
        """Whether any pass goes without the prompt."""
        return not all(each.has_prompt for each in self.passes)

    @property
    def shows_people(self) -> list[bool]:
        """For each pass, whether it sees the people."""
        return [each.has_people for each in self.passes]

    def perturbed_rows(self, num_videos: int, device: torch.device) -> torch.Tensor | None:
        """Which rows (P B,) of the passes of B videos are perturbed; None where none is."""
        is_perturbed = [each.is_perturbed for each in self.passes]
        if not any(is_perturbed):
            return None
        return torch.tensor(is_perturbed, device=device).repeat_interleave(num_videos)

    def coefficients(self, prompt_scale: float) -> list[float]:
        """Weights (P) of the passes' predictions, which sum to 1."""
        prompt_scale = max(prompt_scale, 1.0)
        weights = {
            NOBODY: 1 - self.identity_scale,
            PEOPLE: self.identity_scale - prompt_scale,
            PERTURBED: -self.perturbed_scale,
            EVERYTHING: prompt_scale + self.perturbed_scale,
        }
        return [weights[each] for each in self.passes]

    def combine(self, predictions: torch.Tensor, prompt_scale: float) -> torch.Tensor:
        """The guided prediction (B, f, C, h, w) of the passes' (P B, f, C, h, w)."""
        parts = predictions.chunk(len(self.passes))
        if len(parts) == 1:
            return predictions
        if self.passes == (PEOPLE, EVERYTHING):
            negative, positive = parts  # the published order of operations, to the last bit
            return negative + prompt_scale * (positive - negative)
        combined = torch.zeros_like(parts[0])
        for weight, part in zip(self.coefficients(prompt_scale), parts, strict=True):
            combined = combined + weight * part
        return combined


def plan_guidance(sampling: SamplingSettings, *, varies: bool = False) -> Guidance:
    """The passes that the scales of these settings need, and how they are weighed; arguments as of `plan_passes`."""
    return Guidance(
        identity_scale=sampling.identity_guidance_scale,
        perturbed_scale=sampling.perturbed_attention_scale,
        passes=plan_passes(sampling, varies=varies),
    )


def for_passes(shown: torch.Tensor, shows: Sequence[bool]) -> torch.Tensor:
    """What is seen (B, ...) in some passes, zeros in the others: (P B, ...)."""
    return torch.cat([shown if is_shown else torch.zeros_like(shown) for is_shown in shows])


BATCHED_CONTEXT = "cond_uncond"
"""Diffusers' name for what a step cache remembers of a batch of all passes."""


def run_passes(
    transformer: IngredientsTransformer3DModel,
    guidance: Guidance,
    *,
    split: bool,
    hidden_states: torch.Tensor,
    encoder_hidden_states: torch.Tensor,
    timestep: torch.Tensor,
    identity_features: IdentityFeatures | None,
    routing_indices: torch.Tensor | None,
    routing_bias: torch.Tensor | None = None,
    perturbed: torch.Tensor | None = None,
    **shared: Any,
) -> IngredientsTransformerOutput:
    """Predicts all passes of a step.

    Args:
        transformer: predicts.
        guidance: its passes.
        split: one after the other, each with a step cache's memory of its own.
        hidden_states: (P B, f, C, h, w), as the next three in the order of the passes.
        encoder_hidden_states: (P B, T, D).
        timestep: (P B,).
        identity_features: features of P B rows, or None.
        routing_indices: (P B, L), or None.
        routing_bias: (P B, L, N), or None.
        perturbed: (P B,), as `Guidance.perturbed_rows` says it, or None.
        **shared: other arguments of the transformer, the same in all passes.

    Returns:
        Predictions (P B, f, C, h, w); routing logits, if split those of the last pass, which sees everything.
    """
    if not split or len(guidance.passes) == 1:
        with transformer.cache_context(BATCHED_CONTEXT):
            output: IngredientsTransformerOutput = transformer(
                hidden_states=hidden_states,
                encoder_hidden_states=encoder_hidden_states,
                timestep=timestep,
                identity_features=identity_features,
                routing_indices=routing_indices,
                routing_bias=routing_bias,
                perturbed=perturbed,
                **shared,
            )
        return output
    samples = []
    for rows, each in zip(_rows_of_passes(hidden_states.shape[0], len(guidance.passes)), guidance.passes, strict=True):
        with transformer.cache_context(each.name):
            output = transformer(
                hidden_states=hidden_states[rows],
                encoder_hidden_states=encoder_hidden_states[rows],
                timestep=timestep[rows],
                identity_features=None
                if identity_features is None or not each.has_people
                else identity_features.rows(rows),
                routing_indices=None if routing_indices is None else routing_indices[rows],
                routing_bias=None if routing_bias is None else routing_bias[rows],
                perturbed=None if perturbed is None or not each.is_perturbed else perturbed[rows],
                **shared,
            )
        samples.append(output.sample)
    return IngredientsTransformerOutput(sample=torch.cat(samples), routing_logits=output.routing_logits)


def _rows_of_passes(num_rows: int, num_passes: int) -> Iterable[slice]:
    num_videos = num_rows // num_passes
    return [slice(first, first + num_videos) for first in range(0, num_rows, num_videos)]


def dynamic_guidance(guidance_scale: float, timestep: float, num_inference_steps: int) -> float:
    """CogVideoX's formula, which mixes up steps and timesteps and is kept so that its videos can be reproduced."""
    phase = ((num_inference_steps - timestep) / num_inference_steps) ** 5.0
    return 1 + guidance_scale * ((1 - math.cos(math.pi * phase)) / 2)
