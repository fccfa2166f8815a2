"""Tensors that hold something else than finite numbers: they go in nowhere, and never come out as a video."""

import math
from collections.abc import Iterable

import torch

from ingredients.core.errors import NotFiniteError


def check_given(name: str, tensors: Iterable[torch.Tensor | None]) -> None:
    """Refuses tensors of a caller that hold something else than finite numbers.

    Raises:
        NotFiniteError: if one does.
    """
    for tensor in tensors:
        if tensor is not None and not all_finite(tensor):
            raise NotFiniteError(f"{name} hold values that are not finite (NaN or infinite); make them again.")


def check_made(tensor: torch.Tensor, what: str) -> None:
    """Refuses what was computed if it holds something else than finite numbers.

    Raises:
        NotFiniteError: if it does.
    """
    if all_finite(tensor):
        return
    half = ", or take bfloat16 or float32 instead of float16" if tensor.dtype == torch.float16 else ""
    raise NotFiniteError(
        f"{what} are not finite (NaN or infinite), so there is no video: lower the guidance, face and likeness scales"
        f"{half}; if none is large, the model is damaged."
    )


def all_finite(tensor: torch.Tensor) -> bool:
    """Whether all values are finite numbers."""
    if not tensor.is_floating_point() or tensor.numel() == 0:
        return True
    return all(math.isfinite(float(each)) for each in tensor.detach().aminmax())  # one pass, nothing allocated
