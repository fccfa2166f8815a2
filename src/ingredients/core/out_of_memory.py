"""Running out of memory ends with one sentence that says what to try."""

import contextlib
from collections.abc import Iterator

import torch

from ingredients.core.errors import OutOfMemoryError
from ingredients.core.memory_mode import MemoryMode, next_lower

_SIGNS = ("out of memory", "can't allocate memory", "not enough memory")
"""What PyTorch says in a plain RuntimeError: of page-locked memory, and of the processor's own."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory was all that was missing, on a device or in the machine."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error).lower() for sign in _SIGNS)


@contextlib.contextmanager
def explained_out_of_memory(mode: MemoryMode | None, *, on_processor: bool) -> Iterator[None]:
    """Turns running out of memory into one sentence.

    Args:
        mode: in use meanwhile; None while a model is read, which no mode makes smaller.
        on_processor: whether the model runs on the processor.

    Raises:
        OutOfMemoryError: instead of what the library raised.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemoryError(_explanation(mode, on_processor=on_processor)) from error


def _explanation(mode: MemoryMode | None, *, on_processor: bool) -> str:
    if mode is None:
        return "The machine ran out of memory while the model was read; close other programs, or use a larger machine."
    where = "machine" if on_processor else "device"
    lower = next_lower(mode, on_processor=on_processor)
    remedy = (
        f"try --memory {lower}"
        if lower is not None
        else "make fewer frames with --num-frames, or a smaller video with --height and --width"
    )
    return f"The {where} ran out of memory in the memory mode {mode}; {remedy}."
