"""Kernels of a VAE that looks at one frame at a time, stored without the taps that are zero.

A causal kernel (out, in, time, height, width) reads a frame by its last tap in time and earlier frames by the others.
A VAE that was trained on single frames has nothing in the others: two thirds of its numbers. Its files leave them out,
and reading puts the zeros back. Diffusers' own `from_pretrained` does not, and says that the shapes differ.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file

from ingredients.core.files import atomic_path
from ingredients.model_folders.weight_files import DIFFUSERS_WEIGHTS, stored_tensors, weight_files

_TIME = 2
"""Axis of a kernel's taps in time."""

_Shapes = Mapping[str, tuple[int, ...]]


def without_empty_taps(weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The weights with the last tap alone of each kernel whose earlier taps are all zero."""
    return {name: kernel[:, :, -1:].clone() if _is_still(kernel) else kernel for name, kernel in weights.items()}


def leave_empty_taps_out(folder: Path) -> None:
    """Rewrites a VAE's weights without its empty taps; leaves alone what has none.

    Raises:
        ModelFolderError: If the weights are missing or damaged.
    """
    files = weight_files(folder, DIFFUSERS_WEIGHTS)
    if len(files) > 1:
        return  # large VAEs, which lie in several files, look at time
    weights = dict(stored_tensors(files))
    smaller = without_empty_taps(weights)
    if any(smaller[name].shape != kernel.shape for name, kernel in weights.items()):
        with atomic_path(files[0]) as temporary:
            save_file(smaller, temporary, metadata={"format": "pt"})


def with_empty_taps(kernel: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    """A stored tensor in the shape that it has in the model, with zeros in front for the taps that it lacks."""
    if not lacks_taps(tuple(kernel.shape), shape):
        return kernel
    zeros = kernel.new_zeros(*shape[:_TIME], shape[_TIME] - 1, *shape[_TIME + 1 :])
    return torch.cat([zeros, kernel], dim=_TIME)


def completed_shapes(stored: _Shapes, expected: _Shapes) -> dict[str, tuple[int, ...]]:
    """Shapes of stored tensors as they are once their empty taps are back."""
    return {
        name: expected[name] if name in expected and lacks_taps(shape, expected[name]) else shape
        for name, shape in stored.items()
    }


def lacks_taps(stored: tuple[int, ...], expected: tuple[int, ...]) -> bool:
    """Whether a kernel of one tap is stored where several are expected and all else is the same."""
    return len(expected) == 5 and expected[_TIME] > 1 and stored == (*expected[:_TIME], 1, *expected[_TIME + 1 :])


def _is_still(kernel: torch.Tensor) -> bool:
    return kernel.ndim == 5 and kernel.shape[_TIME] > 1 and not kernel[:, :, :-1].any()
