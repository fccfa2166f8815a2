"""Which memory mode is used, and why."""

import dataclasses

import torch

from ingredients.core.memory_mode import MEMORY_LADDER, MemoryMode
from ingredients.pipelines.execution.memory_estimate import VideoDemand, estimate_needs, with_margin
from ingredients.pipelines.execution.model_weights import ModelWeights


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class MemoryPlan:
    """A memory mode and the reason for it."""

    mode: MemoryMode
    """One of `MEMORY_LADDER`."""

    reason: str | None = None
    """A sentence, where there is something to say."""


def plan_memory(
    memory: MemoryMode,
    model: ModelWeights,
    demand: VideoDemand,
    *,
    device: torch.device,
    free: int | None = None,
) -> MemoryPlan:
    """Chooses a mode where `auto` is asked for; any other is taken as it is.

    Args:
        memory: what is asked for.
        model: what is to run.
        demand: what it is to make.
        device: where.
        free: bytes that are free there; None asks the device.

    Raises:
        OutOfMemoryError: if it is hopeless on the processor.
    """
    on_processor = device.type == "cpu"
    if on_processor:
        demand.shape(model).check_memory(min(estimate_needs(model, demand).values()))
    if memory is not MemoryMode.AUTO:
        return MemoryPlan(mode=memory, reason=_what_a_processor_does(memory) if on_processor else None)
    if free is None and not on_processor:
        free = free_device_memory(device)
    if on_processor or free is None:
        return MemoryPlan(mode=MemoryMode.FULL)
    return choose_mode(estimate_needs(model, demand), free)


def choose_mode(needs: dict[MemoryMode, int], free: int) -> MemoryPlan:
    """The fastest mode that fits into `free` bytes with a margin; the last one if none does."""
    for mode in MEMORY_LADDER:
        if with_margin(needs[mode]) <= free:
            reason = (
                f"The memory mode is {mode}, which needs about {gigabytes(needs[mode])} of the device's "
                f"{gigabytes(free)} that are free"
            )
            faster = MEMORY_LADDER[: MEMORY_LADDER.index(mode)]
            if faster:
                reason += f"; {faster[-1]} would be faster, but needs {gigabytes(with_margin(needs[faster[-1]]))} free"
            return MemoryPlan(mode=mode, reason=f"{reason}.")
    least = MEMORY_LADDER[-1]
    return MemoryPlan(
        mode=least,
        reason=f"The memory mode is {least}, and even that needs about {gigabytes(needs[least])}, but only "
        f"{gigabytes(free)} of the device are free: fewer frames or a smaller size need less.",
    )


def free_device_memory(device: torch.device) -> int | None:
    """Bytes that can be had on an accelerator; None if it does not tell."""
    if device.type != "cuda":
        return None
    free, _ = torch.cuda.mem_get_info(device)
    return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)


def gigabytes(num_bytes: int) -> str:
    """For people: 19.1 GB."""
    return f"{num_bytes / 1e9:.1f} GB"


def _what_a_processor_does(memory: MemoryMode) -> str | None:
    if memory is MemoryMode.FULL:
        return None
    does = "decodes large frames in tiles"
    if memory is MemoryMode.MINIMAL:
        does += " and keeps the transformer's weights in 8 bit"
    return f"On the processor there is nowhere to move parts of the model, so the memory mode {memory} {does}."
