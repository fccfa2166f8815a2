"""Resumable training checkpoints: one safetensors file, written under a temporary name and renamed.

Tensors are named `parameters/NAME`, `averages/NAME` and `optimizer/INDEX/NAME/KEY`; the optimiser's numbers and the
position of the run stand in the file's metadata as JSON. Nothing is pickled.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from ingredients.core.errors import UserInputError
from ingredients.core.files import atomic_path
from ingredients.training.ema import ExponentialMovingAverage

_FORMAT = "ingredients-training-checkpoint-1"


@dataclasses.dataclass(slots=True, kw_only=True)
class RunPosition:
    """How far a run has come. Randomness is derived from the seed and the step, so there is no other state."""

    step: int = 0
    """Optimiser steps done."""

    seconds: float = 0.0
    """Training time spent, over all the pieces of the run."""

    seed: int = 0
    """The run's seed."""


def save_checkpoint(
    path: Path,
    *,
    position: RunPosition,
    parameters: Mapping[str, torch.nn.Parameter],
    optimizers: Sequence[torch.optim.Optimizer],
    ema: ExponentialMovingAverage,
) -> None:
    """Writes the state of a run to `path`, atomically."""
    names = {id(parameter): name for name, parameter in parameters.items()}
    tensors = {f"parameters/{name}": parameter.detach().contiguous() for name, parameter in parameters.items()}
    tensors |= {f"averages/{name}": average.contiguous() for name, average in ema.averages.items()}
    for index, optimizer in enumerate(optimizers):
        for parameter, state in optimizer.state.items():
            for key, value in state.items():
                tensors[f"optimizer/{index}/{names[id(parameter)]}/{key}"] = torch.as_tensor(value).contiguous()
    metadata = {"format": _FORMAT, "position": json.dumps(dataclasses.asdict(position))}
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, metadata=metadata)


def load_checkpoint(
    path: Path,
    *,
    parameters: Mapping[str, torch.nn.Parameter],
    optimizers: Sequence[torch.optim.Optimizer],
    ema: ExponentialMovingAverage,
) -> RunPosition:
    """Puts the state that `save_checkpoint` wrote back in place, and says where the run stands.

    Raises:
        UserInputError: if the file is of another kind, or of a model with other parameters.
    """
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
        if metadata.get("format") != _FORMAT:
            raise UserInputError(f"{path} is no training checkpoint of this version; start without --resume.")
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - safe_open is no mapping
    saved = {key.removeprefix("parameters/") for key in tensors if key.startswith("parameters/")}
    if saved != parameters.keys():
        difference = sorted(saved ^ parameters.keys())
        raise UserInputError(
            f"{path} holds other parameters than this stage trains (first difference: {difference[0]}); "
            "start without --resume."
        )
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(tensors[f"parameters/{name}"])
    ema.load({name: tensors[f"averages/{name}"] for name in parameters})
    for index, optimizer in enumerate(optimizers):
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                name = next(name for name, candidate in parameters.items() if candidate is parameter)
                prefix = f"optimizer/{index}/{name}/"
                state: dict[str, Any] = {
                    key.removeprefix(prefix): _laid_out_as(parameter, value)
                    for key, value in tensors.items()
                    if key.startswith(prefix)
                }
                if state:
                    optimizer.state[parameter] = state
    return RunPosition(**json.loads(metadata["position"]))


def _laid_out_as(parameter: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """An optimiser's tensor in its parameter's memory format, which fused kernels take for granted."""
    return torch.empty_like(parameter).copy_(value) if value.shape == parameter.shape else value
