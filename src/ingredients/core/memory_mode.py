"""The names of the memory modes; what each does is in `pipelines/execution/memory_modes.py`."""

import enum


class MemoryMode(enum.StrEnum):
    """How much of a model is on the device at a time."""

    AUTO = "auto"
    """The fastest of the others that fits."""

    FULL = "full"
    """Everything, all the time."""

    BALANCED = "balanced"
    """Text encoder and transformer in turn."""

    LOW = "low"
    """One block of them after the other."""

    MINIMAL = "minimal"
    """One layer after the other, weights in 8 bit."""


MEMORY_LADDER = (MemoryMode.FULL, MemoryMode.BALANCED, MemoryMode.LOW, MemoryMode.MINIMAL)
"""From the fastest, which needs most, to the slowest."""


def next_lower(mode: MemoryMode, *, on_processor: bool) -> MemoryMode | None:
    """The next mode that needs less than `mode`; None below the last.

    Args:
        mode: one of `MEMORY_LADDER`.
        on_processor: whether the model runs on the processor, where low does what balanced does.
    """
    below = MEMORY_LADDER[MEMORY_LADDER.index(mode) + 1 :]
    if on_processor:
        below = tuple(each for each in below if each is not MemoryMode.LOW)
    return below[0] if below else None
