"""What a part of the system supplies to be trained by the one loop in `trainer.py`."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import torch


@dataclasses.dataclass(slots=True, kw_only=True, eq=False)
class StepOutput:
    """One step's loss, and what is worth logging about it."""

    loss: torch.Tensor
    """Scalar, in float32, to be minimised."""

    metrics: dict[str, torch.Tensor | float] = dataclasses.field(default_factory=dict)
    """Detached numbers by name, averaged over the steps between two lines of the log."""


@dataclasses.dataclass(slots=True, kw_only=True)
class ParameterGroup:
    """Parameters that share an optimiser's settings."""

    parameters: dict[str, torch.nn.Parameter]
    """Parameters by name."""

    learning_rate_scale: float = 1.0
    """Multiplies the trainer's learning rate."""

    weight_decay: float | None = None
    """Replaces the trainer's weight decay; None keeps it."""


class Stage(Protocol):
    """A model, its data and its loss.

    A step must draw everything random from the generator it is given, which the trainer derives from the seed and the
    step's number: a resumed run then repeats an uninterrupted one bit for bit, without any saved generator state.
    """

    @property
    def name(self) -> str:
        """Short name for the log and the progress bar."""
        ...

    def parameter_groups(self) -> list[ParameterGroup]:
        """Everything that this stage trains, and nothing else."""
        ...

    def training_step(self, generator: torch.Generator, *, progress: float) -> StepOutput:
        """Draws a batch and computes its loss; `progress` is the share of the run that is done, in [0, 1)."""
        ...

    def validate(self) -> Mapping[str, float]:
        """Measures the stage on held-out data with the weights that are loaded at the moment."""
        ...

    def export(self, folder: Path) -> None:
        """Writes what later stages load into `folder`, from the weights that are loaded at the moment."""
        ...
