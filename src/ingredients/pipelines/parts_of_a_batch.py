"""A guided batch in parts, for devices on which it does not fit at once."""

from typing import Any

import torch

from ingredients.models.identity_features import IdentityFeatures
from ingredients.models.transformer_ingredients import IngredientsTransformer3DModel, IngredientsTransformerOutput


def predict_in_parts(
    transformer: IngredientsTransformer3DModel,
    num_parts: int,
    *,
    hidden_states: torch.Tensor,
    encoder_hidden_states: torch.Tensor,
    timestep: torch.Tensor,
    identity_features: IdentityFeatures | None,
    routing_indices: torch.Tensor | None,
    **shared: Any,
) -> IngredientsTransformerOutput:
    """The transformer's prediction for a batch, `num_parts` equal parts of its rows one after the other.

    Rows do not see each other, so the parts change nothing but the order of sums in the kernels. Each part has a step
    cache of its own.

    Args:
        transformer: predicts.
        num_parts: 1 for the whole batch at once.
        hidden_states: (B, ...), as the next four of the transformer's `forward`.
        encoder_hidden_states: (B, T, D).
        timestep: (B,).
        identity_features: with B rows.
        routing_indices: (B, L).
        **shared: arguments that are the same for all rows.
    """
    rows = zip(
        hidden_states.chunk(num_parts),
        encoder_hidden_states.chunk(num_parts),
        timestep.chunk(num_parts),
        [None] * num_parts if identity_features is None else identity_features.chunk(num_parts),
        [None] * num_parts if routing_indices is None else routing_indices.chunk(num_parts),
        strict=True,
    )
    outputs: list[IngredientsTransformerOutput] = []
    for part, (states, text, timesteps, identities, indices) in enumerate(rows):
        with transformer.cache_context("cond_uncond" if num_parts == 1 else f"pass_{part}"):
            outputs.append(
                transformer(
                    hidden_states=states,
                    encoder_hidden_states=text,
                    timestep=timesteps,
                    identity_features=identities,
                    routing_indices=indices,
                    **shared,
                )
            )
    if num_parts == 1:
        return outputs[0]
    logits = [output.routing_logits for output in outputs]
    complete = [each for each in logits if each is not None]
    return IngredientsTransformerOutput(
        sample=torch.cat([output.sample for output in outputs]),
        routing_logits=tuple(torch.cat(block) for block in zip(*complete, strict=True))
        if len(complete) == num_parts
        else None,
    )
