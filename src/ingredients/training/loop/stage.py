"""What a part of the system supplies to be trained by the one loop in `trainer.py`."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch

from ingredients.core.errors import UserInputError

Measured = torch.Tensor | float | tuple[torch.Tensor | float, torch.Tensor | float]
"""A number, or a sum and how many it is the sum of; detached, and left on the device until a line is logged."""


@dataclasses.dataclass(slots=True, kw_only=True, eq=False)
class StepOutput:
    """The loss of one backward pass, and what is worth logging about it."""

    loss: torch.Tensor
    """Scalar, in float32, to be minimised: this pass's share of the step's loss, so that the sum over passes and
    processes is the loss of the whole batch."""

    metrics: Mapping[str, Measured] = dataclasses.field(default_factory=dict)
    """Numbers by name; averaged over passes, processes and the steps between two lines of the log."""


@dataclasses.dataclass(slots=True, kw_only=True)
class ParameterGroup:
    """Parameters that share an optimiser's settings."""

    parameters: dict[str, torch.nn.Parameter]
    """Parameters by name."""

    learning_rate_scale: float = 1.0
    """Multiplies the trainer's learning rate."""

    weight_decay: float | None = None
    """Replaces the trainer's weight decay; None keeps it."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StepPosition:
    """Where a run stands, and which part of the step's work falls to this process."""

    step: int
    """Steps done before this one."""

    progress: float
    """Share of the run that is done, in [0, 1)."""

    seed: int
    """Seed of the run."""

    process_index: int = 0
    """Which process this is."""

    num_processes: int = 1
    """How many there are."""

    @property
    def generator(self) -> torch.Generator:
        """The generator of this step: a function of the seed and the step alone."""
        return step_generator(self.seed, self.step)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a step computes in one process: for throughput in the log."""

    num_samples: int
    """Samples."""

    num_tokens: int
    """Tokens of the transformer, text included."""

    flops: int
    """Floating-point operations of the forward and backward passes; recomputation does not count."""


class TrainingData(Protocol):
    """What a stage learns from, drawn while the step before it is computed."""

    def draw(self, position: StepPosition) -> Sequence[Any]:
        """This process's share of a step, as one batch for each backward pass."""
        ...

    def describe(self, batches: Sequence[Any]) -> str:
        """Names a step's samples, for reports of what went wrong with them."""
        ...

    def state(self) -> dict[str, Any]:
        """What a resumed run needs beside weights, as JSON."""
        ...

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Puts back what `state` gave.

        Raises:
            UserInputError: if it is of other data.
        """
        ...


class Stage(Protocol):
    """A model, its data and its loss.

    Everything random comes from the position or from the samples, never from a global generator: a resumed run then
    repeats an uninterrupted one bit for bit, and several processes do what one does.
    """

    @property
    def name(self) -> str:
        """Short name for the log and the progress bar."""
        ...

    @property
    def model(self) -> torch.nn.Module:
        """What is trained; wrapped where several processes train it."""
        ...

    @property
    def device(self) -> torch.device:
        """Where its losses are computed."""
        ...

    @property
    def dtype(self) -> torch.dtype:
        """Type of the matrices that stay frozen; what is trained is in float32."""
        ...

    @property
    def measures_first(self) -> bool:
        """Whether held-out data are measured before the first step, for the curves to begin with."""
        ...

    @property
    def data(self) -> TrainingData:
        """What it learns from."""
        ...

    def parameter_groups(self) -> list[ParameterGroup]:
        """Everything that this stage trains, and nothing else."""
        ...

    def counts(self, batches: Sequence[Any]) -> Mapping[str, float]:
        """What the losses are divided by; the trainer sums it over processes before any loss is computed."""
        ...

    def loss(self, batch: Any, counts: Mapping[str, float]) -> StepOutput:
        """The loss of one batch."""
        ...

    def work(self, batches: Sequence[Any]) -> Work | None:
        """What a step's batches cost; None if it is not counted."""
        ...

    def validate(self) -> Mapping[str, float]:
        """Measures the stage on held-out data with the weights that are loaded at the moment."""
        ...

    def export(self, folder: Path) -> None:
        """Writes what later stages load into `folder`, from the weights that are loaded at the moment."""
        ...


class StepPositions:
    """The `TrainingData` of a stage that draws its batches itself."""

    def draw(self, position: StepPosition) -> Sequence[StepPosition]:
        """The position is all that a step needs."""
        return [position]

    def describe(self, batches: Sequence[StepPosition]) -> str:
        """The step is its own name."""
        return f"the batch of step {batches[0].step + 1}"

    def state(self) -> dict[str, Any]:
        """No state: all follows from the position."""
        return {}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """No state is put back."""
        del state


class WholeStepStage:
    """Base of stages that draw a step's data as they compute its loss: the small parts, trained by one process."""

    @property
    def model(self) -> torch.nn.Module:
        """A part is never wrapped."""
        raise UserInputError("This part is trained by one process; start it without torchrun.")

    device = torch.device("cpu")
    """Where its losses are computed: a processor, until a stage that can moves to a GPU."""

    data = StepPositions()
    """Positions of steps, of which it draws batches."""

    def to(self, device: torch.device) -> None:
        """Moves to where the run computes; a stage that knows no other device stays on the processor."""

    @property
    def dtype(self) -> torch.dtype:
        """Single precision."""
        return torch.float32

    @property
    def measures_first(self) -> bool:
        """Measured at the end alone, unless asked for."""
        return False

    def training_step(self, generator: torch.Generator, *, progress: float) -> StepOutput:
        """Draws a batch and computes its loss."""
        raise NotImplementedError

    def counts(self, batches: Sequence[StepPosition]) -> Mapping[str, float]:
        """No counts: the loss is whole."""
        del batches
        return {}

    def loss(self, batch: StepPosition, counts: Mapping[str, float]) -> StepOutput:
        """The loss of a whole step."""
        del counts
        return self.training_step(batch.generator, progress=batch.progress)

    def work(self, batches: Sequence[StepPosition]) -> Work | None:
        """No work is counted."""
        del batches
        return None


def step_generator(seed: int, step: int) -> torch.Generator:
    """The generator of one step: a function of the seed and the step alone."""
    return torch.Generator().manual_seed((seed * 0x9E3779B97F4A7C15 + step * 0xBF58476D1CE4E5B9 + 1) % 2**63)
