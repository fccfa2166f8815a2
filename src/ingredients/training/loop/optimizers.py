"""Optimisers, AdamW with moments in 32 or 8 bit, or Muon for the hidden matrices beside AdamW; and their rates."""

import math
from collections.abc import Sequence
from typing import Literal

import torch

from ingredients.core.optional_dependencies import import_optional
from ingredients.pipelines.execution.execution import check_compiler
from ingredients.training.loop.muon import Muon
from ingredients.training.loop.stage import ParameterGroup

OptimizerName = Literal["adamw", "adamw8bit", "muon"]
ScheduleName = Literal["constant", "cosine", "cosine_with_restarts", "trapezoid"]


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

    With `adamw8bit`, both moments of every tensor of 4,096 numbers or more are kept in 8 bit, in blocks of 256
    (Dettmers et al. 2022, arXiv 2110.02861): a quarter of AdamW's memory.

    Raises:
        MissingDependencyError: if what `adamw8bit` needs is not installed.
        SpeedOptionError: if there is no compiler for it.
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
    if adamw_groups and name == "adamw8bit":
        adamw8bit = import_optional("torchao.optim", extra="train").AdamW8bit
        check_compiler(next(iter(groups[0].parameters.values())).device)
        optimizers.append(adamw8bit(adamw_groups, betas=betas, eps=1e-8))
    elif adamw_groups:
        optimizers.append(torch.optim.AdamW(adamw_groups, betas=betas, eps=1e-8, fused=True))
    if muon_groups:
        optimizers.append(Muon(muon_groups, dtype=muon_dtype))
    return optimizers


def scale_learning_rates(optimizers: Sequence[torch.optim.Optimizer], factor: float) -> None:
    """Sets each group's rate to its own times `factor`."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            rate = group["base_lr"] * factor
            if isinstance(group["lr"], torch.Tensor):  # what is compiled would be compiled again for another number
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate


@torch.no_grad()
def make_states(optimizers: Sequence[torch.optim.Optimizer]) -> None:
    """Makes the states that the first step would make, for what was saved to be copied into; no parameter changes."""
    scale_learning_rates(optimizers, 0.0)
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                parameter.grad = torch.zeros_like(parameter)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)


def learning_rate_factor(
    name: ScheduleName,
    *,
    step: int,
    progress: float,
    num_warmup_steps: int = 0,
    num_cycles: int = 1,
    final_factor: float = 0.0,
) -> float:
    """Factor on the learning rate at one step.

    Args:
        name: `cosine_with_restarts` is what the paper trains with (4.1); `trapezoid` is constant up to 60 % of the
            run and falls linearly from there.
        step: the step's number, from 0; the factor rises linearly over the first `num_warmup_steps` steps.
        progress: share of the run that is done, in [0, 1].
        num_warmup_steps: length of the rise.
        num_cycles: cycles of `cosine_with_restarts`.
        final_factor: what the fall ends at.
    """
    warmup = min(1.0, (step + 1) / num_warmup_steps) if num_warmup_steps else 1.0
    if name == "constant":
        return warmup
    if name == "trapezoid":
        fall = min(1.0, (1 - progress) / 0.4)
    else:
        cycles = num_cycles if name == "cosine_with_restarts" else 1
        within_cycle = 1.0 if progress >= 1 else progress * cycles % 1
        fall = 0.5 * (1 + math.cos(math.pi * within_cycle))
    return warmup * (final_factor + (1 - final_factor) * fall)
