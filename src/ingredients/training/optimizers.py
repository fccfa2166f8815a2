"""Optimisers: AdamW for everything, or Muon for the hidden matrices and AdamW for the rest."""

from collections.abc import Sequence
from typing import Literal

import torch

from ingredients.training.muon import Muon
from ingredients.training.stage import ParameterGroup

OptimizerName = Literal["adamw", "muon"]


def build_optimizers(
    name: OptimizerName,
    groups: Sequence[ParameterGroup],
    *,
    learning_rate: float,
    muon_learning_rate: float,
    weight_decay: float,
    betas: tuple[float, float] = (0.9, 0.99),
    muon_dtype: torch.dtype = torch.float32,
) -> list[torch.optim.Optimizer]:
    """Builds the optimisers; each group keeps its own rate as `base_lr`, which the schedule multiplies.

    With `muon`, matrices inside `transformer_blocks` go to Muon (whose updates have orthonormal rows or columns,
    rescaled to AdamW's size), and embeddings, projections in and out, norms and biases to AdamW.
    """
    adamw_groups: list[dict[str, object]] = []
    muon_groups: list[dict[str, object]] = []
    for group in groups:
        decay = weight_decay if group.weight_decay is None else group.weight_decay
        hidden, matrices, vectors = [], [], []
        for parameter_name, parameter in group.parameters.items():
            if parameter.ndim < 2:
                vectors.append(parameter)
            elif name == "muon" and parameter.ndim == 2 and "transformer_blocks." in parameter_name:
                hidden.append(parameter)
            else:
                matrices.append(parameter)
        rate = learning_rate * group.learning_rate_scale
        muon_rate = muon_learning_rate * group.learning_rate_scale
        if hidden:
            muon_groups.append({"params": hidden, "lr": muon_rate, "base_lr": muon_rate, "weight_decay": decay})
        if matrices:
            adamw_groups.append({"params": matrices, "lr": rate, "base_lr": rate, "weight_decay": decay})
        if vectors:
            adamw_groups.append({"params": vectors, "lr": rate, "base_lr": rate, "weight_decay": 0.0})
    optimizers: list[torch.optim.Optimizer] = []
    if adamw_groups:
        optimizers.append(torch.optim.AdamW(adamw_groups, betas=betas, eps=1e-8, fused=True))
    if muon_groups:
        optimizers.append(Muon(muon_groups, dtype=muon_dtype))
    return optimizers
