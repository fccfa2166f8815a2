"""Resumable training checkpoints: safetensors files, each written under a temporary name and renamed.

checkpoints/step-00000200.safetensors   one for each of the last few, and the best
checkpoints/best.json                   which of them is the best, and by what

Tensors are named `parameters/NAME`, `averages/NAME` and `optimizer/INDEX/NAME/KEY`, with `KEY.PART` for a moment in
8 bit: its codes, their scales, and what the codes mean. The position of the run stands in the file's metadata as JSON,
beside a checksum of the tensors and of itself. Nothing is pickled. Sharded tensors are put together first, so that a
run can go on with another number of processes.
"""

import dataclasses
import json
import math
import os
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch.distributed.tensor import DTensor

from ingredients.core.config import config_from_dict, read_record
from ingredients.core.errors import OutputError, UserInputError
from ingredients.core.files import atomic_path, remove_leftovers
from ingredients.core.input_files import check_regular
from ingredients.core.json_yaml import BadFileError, NotPlainError, parse_json, write_json
from ingredients.core.ranges import Range, RangeChecked, Seed
from ingredients.training.loop.ema import ExponentialMovingAverage
from ingredients.training.loop.optimizers import make_states
from ingredients.training.loop.processes import placed_like, whole

CHECKPOINTS_FOLDER = "checkpoints"
BEST_NAME = "best.json"

_DIRECTIONS = {"validation_loss": -1.0, "recall": 1.0}
"""Beginnings of the measures that tell checkpoints apart, and whether less or more of them is better."""

_FORMAT = "ingredients-training-checkpoint-4"
_FORMAT_OF_TENSORS = "ingredients-training-checkpoint-3"
"""Format of earlier versions: the checksum is of the tensors alone."""

_NAME = re.compile(r"step-(\d{8,})\.safetensors")
_NotNegative = Annotated[int, Range(at_least=0)]


@dataclasses.dataclass(slots=True, kw_only=True)
class RunPosition(RangeChecked):
    """How far a run has come. Randomness is derived from the seed and the samples, so there is no other state."""

    step: _NotNegative = 0
    """Steps done, those that were left out included."""

    seconds: Annotated[float, Range(at_least=0)] = 0.0
    """Training time spent, over all the pieces of the run."""

    seed: Seed = 0
    """The run's seed."""

    optimizer: str = "adamw"
    """The optimiser by which it is trained: another one cannot go on with its state."""

    stage: dict[str, Any] = dataclasses.field(default_factory=dict)
    """The stage's own state."""

    recent_losses: list[float] = dataclasses.field(default_factory=list)
    """Losses of the last steps, by which jumps are told."""

    num_skipped: _NotNegative = 0
    """Steps left out in a row."""

    sums: dict[str, tuple[float, float]] = dataclasses.field(default_factory=dict)
    """What was measured since the last line of the log: sums, and of how many."""

    measured: dict[str, float | None] | None = None
    """What held-out data say about the averaged weights, if they were asked at this step, None for what is no number;
    the first one tells checkpoints apart if it is one of `_DIRECTIONS`."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainedState:
    """All tensors that a run changes."""

    parameters: Mapping[str, torch.nn.Parameter]
    """What is trained, by name."""

    optimizers: Sequence[torch.optim.Optimizer]
    """The optimizers, in a fixed order."""

    ema: ExponentialMovingAverage
    """The moving averages."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Best:
    """What `best.json` holds."""

    step: _NotNegative
    """After which it was written."""

    measure: str
    """The measure by which it is the best."""

    value: float
    """What that said."""


class Checkpoints:
    """The checkpoints of a run's folder.

    Args:
        folder: the folder of the run.
        keep: how many of the newest are kept; the best is kept beside them.
    """

    def __init__(self, folder: Path, *, keep: int) -> None:
        self.folder = folder / CHECKPOINTS_FOLDER
        self.keep = keep

    def paths(self) -> list[Path]:
        """The checkpoints that are there, oldest first."""
        return sorted(path for path in self.folder.glob("step-*.safetensors") if _NAME.fullmatch(path.name))

    def clear(self) -> None:
        """Removes all of them: a run starts anew."""
        for path in self.paths():
            path.unlink()
        (self.folder / BEST_NAME).unlink(missing_ok=True)

    def save(self, position: RunPosition, state: TrainedState, *, is_main: bool) -> None:
        """Writes a checkpoint, notes it if it is the best, and removes those that are no longer kept.

        Every process must call it, for each holds a part of sharded tensors; the main one writes.

        Raises:
            OutputError: if it cannot be written, or holds what is no number; older ones stay.
        """
        tensors = {name: tensor for name, tensor in _named_tensors(state) if is_main}
        if not is_main:
            return
        path = self.folder / f"step-{position.step:08d}.safetensors"
        if (broken := _first_broken(tensors)) is not None:
            raise OutputError(f"{path} was not written, because {broken} holds what is no number.")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"The folder {self.folder} cannot be made ({error.strerror}).") from error
        text = json.dumps(dataclasses.asdict(position), allow_nan=False)
        metadata = {"format": _FORMAT, "position": text, "checksum": _checksum(tensors, text)}
        with atomic_path(path) as temporary:
            try:
                save_file(tensors, temporary, metadata=metadata)
            except SafetensorError as error:  # it hides the system's error in its text
                raise OSError(str(error)) from error
            _flush(temporary)
        self.tidy(position)

    def tidy(self, position: RunPosition) -> None:
        """What follows the writing of a checkpoint; a run that is resumed does it again, for it may have been cut off.

        Raises:
            OutputError: if the best cannot be noted.
        """
        remove_leftovers(self.folder)
        measure, value = next(iter((position.measured or {}).items()), ("", None))
        goodness = _goodness(measure, value)
        noted = self._noted()
        before = _goodness(measure, noted.value) if noted is not None and noted.measure == measure else None
        if goodness is not None and (before is None or goodness > before):
            best_now = {"step": position.step, "measure": measure, "value": value}
            write_json(self.folder / BEST_NAME, best_now, indent=None)
        best = self.best()
        kept = {*self.paths()[-self.keep :], *([] if best is None else [best[0]])}
        for path in self.paths():
            if path not in kept:
                path.unlink()

    def best(self) -> tuple[Path, float] | None:
        """The best checkpoint and what it measured, if one was measured and is there."""
        noted = self._noted()
        return None if noted is None else (self._path(noted.step), noted.value)

    def _noted(self) -> _Best | None:
        """What is noted of the best; None if nothing is that can be read, or it is not there any more."""
        try:
            noted = read_record(_Best, self.folder / BEST_NAME, remedy="delete it")
        except BadFileError:
            return None
        return noted if self._path(noted.step).exists() else None

    def _path(self, step: int) -> Path:
        return self.folder / f"step-{step:08d}.safetensors"


def _goodness(measure: str, value: float | None) -> float | None:
    """A number that is larger for a better checkpoint; None for what tells none from another."""
    sign = next((sign for name, sign in _DIRECTIONS.items() if measure.startswith(name)), None)
    return sign * value if sign is not None and value is not None and math.isfinite(value) else None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Checkpoint:
    """One that was read."""

    path: Path
    """The file."""

    position: RunPosition
    """Where the run stood."""

    tensors: Mapping[str, torch.Tensor]
    """All of its tensors, whole, by the names above."""

    @property
    def averages(self) -> dict[str, torch.Tensor]:
        """The moving averages, by the names of their parameters."""
        prefix = "averages/"
        return {key.removeprefix(prefix): each for key, each in self.tensors.items() if key.startswith(prefix)}

    def restore(self, state: TrainedState) -> None:
        """Puts its tensors in their places.

        Raises:
            UserInputError: if the model has other parameters.
        """
        self._check_parameters(state.parameters)
        with torch.no_grad():
            for name, parameter in state.parameters.items():
                parameter.copy_(placed_like(parameter, self.tensors[f"parameters/{name}"]))
        state.ema.load(self.averages)
        make_states(state.optimizers)
        saved_states = {key.rpartition("/")[0] for key in self.tensors}
        for prefix, optimizer, parameter in _parameters_of_optimizers(state):
            if prefix not in saved_states:  # it never had a gradient
                del optimizer.state[parameter]
                continue
            for key, tensor in _parts_of_state(optimizer.state[parameter]):
                tensor.copy_(placed_like(tensor, self.tensors[f"{prefix}/{key}"]))

    def _check_parameters(self, parameters: Mapping[str, torch.nn.Parameter]) -> None:
        shapes = {name: parameter.shape for name, parameter in parameters.items()}
        saved_shapes = {
            key.removeprefix("parameters/"): tensor.shape
            for key, tensor in self.tensors.items()
            if key.startswith("parameters/")
        }
        differing = sorted(name for name in {*shapes, *saved_shapes} if shapes.get(name) != saved_shapes.get(name))
        if differing:
            raise UserInputError(
                f"{self.path} holds other parameters than this stage trains (first difference: {differing[0]}); "
                "start without --resume."
            )


def read_checkpoint(path: Path, *, remedy: str = "delete it and resume again") -> Checkpoint:
    """Reads a checkpoint, and compares it with its checksum; no number in it may be none.

    Raises:
        UserInputError: if the file is damaged or of another kind.
    """

    def damaged(reason: object) -> UserInputError:
        return UserInputError(f"The checkpoint {path} is damaged ({reason}); {remedy}.")

    try:
        check_regular(path)
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") not in (_FORMAT, _FORMAT_OF_TENSORS):
                raise UserInputError(f"{path} is no training checkpoint of this version; {remedy}.")
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - safe_open is no mapping
    except (OSError, SafetensorError) as error:
        raise damaged(error) from error
    text = str(metadata.get("position", ""))
    if metadata.get("checksum") != _checksum(tensors, text if metadata["format"] == _FORMAT else ""):
        raise damaged("its checksum does not match")
    if (broken := _first_broken(tensors)) is not None:
        raise damaged(f"{broken} holds what is no number")
    try:
        position = _parse_position(path, text)
    except (NotPlainError, UserInputError) as error:
        raise damaged(error) from error
    return Checkpoint(path=path, position=position, tensors=tensors)


def is_checkpoint(path: Path) -> bool:
    """Whether a file is a training checkpoint, of this version or an earlier one, as far as its head says."""
    try:
        check_regular(path)
        with safe_open(path, framework="pt") as file:
            return str((file.metadata() or {}).get("format")) in (_FORMAT, _FORMAT_OF_TENSORS)
    except (OSError, SafetensorError):
        return False


def read_position(path: Path) -> RunPosition:
    """How far a checkpoint is, without reading its tensors.

    Raises:
        UserInputError: as `read_checkpoint`, as far as can be seen.
    """
    if not is_checkpoint(path):
        return read_checkpoint(path).position  # which says what is wrong with it
    with safe_open(path, framework="pt") as file:
        text = str(file.metadata().get("position", ""))
    try:
        return _parse_position(path, text)
    except (NotPlainError, UserInputError) as error:
        raise UserInputError(f"The checkpoint {path} is damaged ({error}); delete it and resume again.") from error


def _parse_position(path: Path, text: str) -> RunPosition:
    try:
        position = config_from_dict(RunPosition, parse_json(text), where="")
    except (NotPlainError, UserInputError) as error:
        raise NotPlainError(f"its position cannot be read: {error}") from error
    if (named := _NAME.fullmatch(path.name)) is not None and int(named[1]) != position.step:
        raise NotPlainError(f"it is of step {position.step}")
    return position


def _named_tensors(state: TrainedState) -> Iterator[tuple[str, torch.Tensor]]:
    for name, parameter in state.parameters.items():
        yield f"parameters/{name}", _on_processor(parameter)
    for name, average in state.ema.averages.items():
        saved = _on_processor(average)
        yield f"averages/{name}", saved if state.ema.decay else saved.clone()  # else it is the parameter itself
    for prefix, optimizer, parameter in _parameters_of_optimizers(state):
        for key, tensor in _parts_of_state(optimizer.state.get(parameter, {})):
            yield f"{prefix}/{key}", _on_processor(tensor)


def _parameters_of_optimizers(
    state: TrainedState,
) -> Iterator[tuple[str, torch.optim.Optimizer, torch.nn.Parameter]]:
    names = {id(parameter): name for name, parameter in state.parameters.items()}
    for index, optimizer in enumerate(state.optimizers):
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                yield f"optimizer/{index}/{names[id(parameter)]}", optimizer, parameter


def _parts_of_state(state: Mapping[str, torch.Tensor]) -> Iterator[tuple[str, torch.Tensor]]:
    """An optimiser's tensors for one parameter; those in 8 bit in the parts that make them up."""
    for key, tensor in state.items():
        flatten = getattr(tensor, "__tensor_flatten__", None)
        if flatten is None or isinstance(tensor, DTensor):
            yield key, tensor
        else:
            yield from ((f"{key}.{part}", getattr(tensor, part)) for part in flatten()[0])


def _on_processor(tensor: torch.Tensor) -> torch.Tensor:
    return whole(tensor.detach()).cpu().contiguous()


def _first_broken(tensors: Mapping[str, torch.Tensor]) -> str | None:
    """The name of a tensor with an entry that is not finite."""
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and tensor.numel() and not tensor.float().norm(torch.inf).isfinite():
            return name
    return None


def _checksum(tensors: Mapping[str, torch.Tensor], position: str) -> str:
    """A checksum of position, names and bytes: safetensors itself notices a short file, but no byte that changed."""
    checksum = zlib.crc32(position.encode())
    for name in sorted(tensors):
        checksum = zlib.crc32(name.encode(), checksum)
        checksum = zlib.crc32(tensors[name].flatten().view(torch.uint8).numpy().data, checksum)
    return f"{checksum:08x}"


def _flush(path: Path) -> None:
    """Until the disk has it: a checkpoint that is renamed before may be empty after a power cut."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
