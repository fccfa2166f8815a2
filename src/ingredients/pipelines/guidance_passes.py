"""The passes of a step through the transformer: as one batch, or one after the other.

One after the other takes the memory of one pass, and gives the same numbers but for the order in which sums are
rounded.

Legend: B videos, P passes, f/h/w grid of latents, C channels, T text tokens, D text width, L video tokens.
"""

from collections.abc import Iterable
from typing import Any

import torch

from ingredients.models.identity_features import IdentityFeatures
from ingredients.models.transformer_ingredients import IngredientsTransformer3DModel, IngredientsTransformerOutput
from ingredients.pipelines.guidance import Guidance

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
        identity_features: of P B rows, or None.
        routing_indices: (P B, L), or None.
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
                **shared,
            )
        return output
    samples = []
    for rows, (name, has_people) in zip(
        _rows_of_passes(hidden_states.shape[0], len(guidance.passes)), _contexts(guidance), strict=True
    ):
        with transformer.cache_context(name):
            output = transformer(
                hidden_states=hidden_states[rows],
                encoder_hidden_states=encoder_hidden_states[rows],
                timestep=timestep[rows],
                identity_features=None
                if identity_features is None or not has_people
                else identity_features.rows(rows),
                routing_indices=None if routing_indices is None else routing_indices[rows],
                **shared,
            )
        samples.append(output.sample)
    return IngredientsTransformerOutput(sample=torch.cat(samples), routing_logits=output.routing_logits)


def _rows_of_passes(num_rows: int, num_passes: int) -> Iterable[slice]:
    num_videos = num_rows // num_passes
    return [slice(first, first + num_videos) for first in range(0, num_rows, num_videos)]


def _contexts(guidance: Guidance) -> Iterable[tuple[str, bool]]:
    """Of each pass, a name for what a step cache remembers of it, and whether it sees the people."""
    return [(f"prompt {each.has_prompt}, people {each.has_people}", each.has_people) for each in guidance.passes]
