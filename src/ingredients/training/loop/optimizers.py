"""Optimisers, AdamW with moments in 32 or 8 bit, or Muon for the hidden matrices beside AdamW; and their rates."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch

from ingredients.core.optional_dependencies import import_optional
from ingredients.pipelines.execution.execution import check_compiler
from ingredients.training.loop.settings import OptimizerName, ScheduleName
from ingredients.training.loop.stage import ParameterGroup

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_NUM_ITERATIONS = 5


class Muon(torch.optim.Optimizer):
    """Momentum whose update of a matrix is replaced by the nearest matrix with orthonormal rows or columns.

    `torch.optim.Muon` orthogonalises in bfloat16, which a CPU without bfloat16 arithmetic emulates: 21 s a step for
    the small model's base against 0.7 s in float32. Where there is such arithmetic, bfloat16 takes half of float32's
    time.

    The update is scaled by 0.2 sqrt(max(rows, columns)), so that its size matches AdamW's and learning rates carry
    over (Jordan et al. 2024, "Muon"; scaling after Liu et al. 2025, arXiv 2502.16982).

    Args:
        groups: parameter groups; every parameter a matrix.
        lr: learning rate.
        momentum: the factor of the Nesterov momentum.
        weight_decay: decoupled.
        dtype: the type of the orthogonalisation; weights and momentum stay as they are.
    """

    def __init__(
        self,
        groups: Iterable[dict[str, Any]],
        lr: float = 3e-3,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.dtype = dtype
        super().__init__(groups, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.ndim != 2:
                    raise ValueError(f"Muon updates matrices only, got a parameter of shape {tuple(parameter.shape)}.")

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Updates every parameter that has a gradient."""
        assert closure is None
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if "momentum_buffer" not in state:
                    state["momentum_buffer"] = torch.zeros_like(parameter)
                buffer = state["momentum_buffer"]
                buffer.lerp_(parameter.grad, 1 - group["momentum"])
                update = orthogonalise(parameter.grad.lerp(buffer, group["momentum"]).to(self.dtype))
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.add_(update.to(parameter.dtype), alpha=-group["lr"] * 0.2 * max(parameter.shape) ** 0.5)


def orthogonalise(matrix: torch.Tensor) -> torch.Tensor:
    """About the nearest matrix with singular values 1, by five quintic Newton-Schulz iterations.

    Args:
        matrix: (rows, columns).

    Returns:
        (rows, columns), its singular values between about 0.7 and 1.2.
    """
    wide = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    wide = wide / wide.norm().clamp_min(1e-7)
    linear, cubic, quintic = _COEFFICIENTS
    for _ in range(_NUM_ITERATIONS):
        gram = wide @ wide.T
        wide = torch.addmm(wide, torch.addmm(gram, gram, gram, beta=cubic, alpha=quintic), wide, beta=linear)
    return wide.T if matrix.shape[0] > matrix.shape[1] else wide


def check_optimizer(name: OptimizerName, device: torch.device) -> None:
    """Says whether what an optimiser needs is there.

    Raises:
        MissingDependencyError: if what `adamw8bit` needs is not installed.
        SpeedOptionError: if there is no compiler for it.
    """
    if name == "adamw8bit":
        import_optional("torchao.optim", extra="train")
        check_compiler(device)


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
        check_optimizer(name, next(iter(groups[0].parameters.values())).device)
        adamw8bit = import_optional("torchao.optim", extra="train").AdamW8bit
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
