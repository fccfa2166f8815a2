"""The processes that train together, by accelerate: one alone, or several under `torchrun`.

Gradients are those of the whole batch: a stage's losses sum to its loss over all processes, and what averages
gradients (DDP, FSDP) is given losses that are so many times larger.

Sharding is PyTorch's own `fully_shard`: accelerate's takes model and optimiser together and knows of `forward` alone,
and the people are prepared outside of it.
"""

import contextlib
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
import torch.distributed as dist
from accelerate import Accelerator
from accelerate.tracking import LOGGER_TYPE_TO_CLASS, get_available_trackers
from accelerate.utils import LoggerType, ProjectConfiguration
from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor, distribute_tensor

from ingredients.core.errors import MissingDependencyError, UserInputError
from ingredients.core.warnings_told import TrainingWarning
from ingredients.training.loop.settings import Parallel
from ingredients.training.loop.stage import Stage, StepOutput

TRACKERS_FOLDER = "trackers"


class MissingTrackerWarning(TrainingWarning):
    """Numbers go to the log alone."""


class Processes:
    """This process among those that train together.

    Args:
        trackers: accelerate's names of where numbers go beside the log, such as `tensorboard`.
        folder: where they keep their files.

    Raises:
        UserInputError: for a tracker that does not exist.
        MissingDependencyError: for one that is not installed; without `tensorboard`, only a warning is given.
    """

    def __init__(self, *, trackers: Sequence[str] = (), folder: Path | None = None) -> None:
        self.accelerator = Accelerator(
            cpu=not torch.cuda.is_available(),
            mixed_precision="no",  # the loop's own
            log_with=_installed(trackers) or None,
            project_config=ProjectConfiguration(
                project_dir=folder, logging_dir=None if folder is None else folder / TRACKERS_FOLDER
            ),
        )

    @property
    def device(self) -> torch.device:
        """Where this process computes."""
        return torch.device(self.accelerator.device)

    @property
    def index(self) -> int:
        """Which process this is."""
        return int(self.accelerator.process_index)

    @property
    def count(self) -> int:
        """How many there are."""
        return int(self.accelerator.num_processes)

    @property
    def is_main(self) -> bool:
        """Whether this one writes files."""
        return bool(self.accelerator.is_main_process)

    def sum(self, numbers: Mapping[str, float]) -> dict[str, float]:
        """Sums numbers over the processes, which all have the same names."""
        if self.count == 1 or not numbers:
            return dict(numbers)
        values = torch.tensor(list(numbers.values()), dtype=torch.float64, device=self.device)
        dist.all_reduce(values)
        return dict(zip(numbers, values.tolist(), strict=True))

    def read(self, *, summed: Sequence[torch.Tensor], alike: Sequence[torch.Tensor] = ()) -> list[float]:
        """Numbers of the device, for which this process waits once.

        Args:
            summed: scalars that are summed over the processes.
            alike: scalars that are the same in all of them.

        Returns:
            Those that were summed, then the others.
        """
        values = torch.stack([each.double() for each in (*summed, *alike)])
        if self.count > 1:
            dist.all_reduce(values[: len(summed)])
        return list(values.tolist())

    def gather(self, value: Any) -> list[Any]:
        """The values of all processes, in their order."""
        if self.count == 1:
            return [value]
        gathered: list[Any] = [None] * self.count
        dist.all_gather_object(gathered, value)
        return gathered

    def agree(self, value: float) -> float:
        """The main process's value: clocks differ."""
        return float(self.gather(value)[0])

    def wait(self) -> None:
        """Until all processes are here."""
        self.accelerator.wait_for_everyone()

    def open_trackers(self, run: str, *, step: int) -> None:
        """Numbers go to the trackers from now on; what they were told of later steps than `step` no longer counts."""
        self.accelerator.init_trackers(run, init_kwargs={"tensorboard": {"purge_step": step + 1}})

    def track(self, metrics: Mapping[str, float], *, step: int) -> None:
        """Tells the trackers."""
        self.accelerator.log(dict(metrics), step=step)

    def close_trackers(self) -> None:
        """They write what they have."""
        for tracker in self.accelerator.trackers:
            tracker.finish()

    def close(self) -> None:
        """Parts from the others: the last thing that a program does which `torchrun` started."""
        if dist.is_initialized():
            dist.destroy_process_group()

    def prepare(self, stage: Stage, parallel: Parallel) -> Callable[[Any, Mapping[str, float]], StepOutput]:
        """The stage's loss, as this process computes it; weights are placed, and sharded if asked for.

        Raises:
            UserInputError: if the stage's model cannot be sharded.
        """
        if self.count == 1:
            return stage.loss
        if parallel == "fsdp":
            _shard(stage.model)
            return stage.loss
        loss = self.accelerator.prepare_model(_LossModule(stage))
        loss.forward_sync_buffers = False  # buffers are tables of positions, which nothing changes
        return cast(Callable[[Any, Mapping[str, float]], StepOutput], loss)

    @contextlib.contextmanager
    def accumulating(self, loss: Any, *, is_last: bool) -> Iterator[None]:
        """Averages gradients in the last of a step's backward passes only."""
        if is_last or not isinstance(loss, torch.nn.parallel.DistributedDataParallel):
            yield
        else:
            with loss.no_sync():
                yield


class _LossModule(torch.nn.Module):
    """A stage's loss as a module's forward, which is what DDP wraps."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self.model = stage.model
        self._loss = stage.loss

    def forward(self, batch: Any, counts: Mapping[str, float]) -> StepOutput:
        return self._loss(batch, counts)


def check_trackers(trackers: Sequence[str]) -> None:
    """Says whether numbers can go to these trackers; `tensorboard` may be missing.

    Raises:
        UserInputError: for a tracker that does not exist.
        MissingDependencyError: for one that is not installed.
    """
    unknown = [name for name in trackers if name not in LOGGER_TYPE_TO_CLASS]
    if unknown:
        raise UserInputError(
            f"There is no tracker {unknown[0]!r}; trainer.trackers can name {', '.join(LOGGER_TYPE_TO_CLASS)}."
        )
    for name in _missing(trackers):
        if name != "tensorboard":
            raise MissingDependencyError(
                f"The tracker {name} is not installed; install it with: pip install {name}, or leave it out of "
                "trainer.trackers."
            )


def _missing(trackers: Sequence[str]) -> list[str]:
    available = {str(tracker) for tracker in get_available_trackers()}
    return [name for name in trackers if name in map(str, LoggerType) and name not in available]


def _installed(trackers: Sequence[str]) -> list[str]:
    check_trackers(trackers)
    missing = _missing(trackers)
    if missing:
        warnings.warn(
            "TensorBoard is not installed, so the numbers are in the log alone; it comes with: "
            'pip install "ingredients[train]"',
            MissingTrackerWarning,
            stacklevel=3,
        )
    return [name for name in trackers if name not in missing]


def _shard(model: torch.nn.Module) -> None:
    blocks = getattr(model, "transformer_blocks", None)
    if blocks is None:
        raise UserInputError("Only a transformer is trained in shards; use parallel=ddp.")
    projector = getattr(model, "multi_scale_projector", None)
    for unit in [*blocks, *([] if projector is None else [projector]), model]:
        # The root, too: what it left put together after a measurement would be the averaged weights for ever.
        fully_shard(unit, reshard_after_forward=True)
    for unit in [*blocks, model]:
        register_fsdp_forward_method(unit, "prepare_identities")
    # A block gives a part of a larger tensor, which would do harm only where it were changed in place.
    warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view tensor", category=UserWarning)


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor put together from its shards, on every process; one that is whole, as it is."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def local(tensor: torch.Tensor) -> torch.Tensor:
    """The part of a tensor that this process holds; one that is whole, as it is."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def placed_like(like: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """`value`, which is whole, with the device, the memory format and the shards of `like`."""
    if isinstance(like, DTensor):
        return distribute_tensor(value.to(like.device), like.device_mesh, like.placements)
    return torch.empty_like(like, dtype=value.dtype).copy_(value)
