"""Where a video's random numbers come from."""

import operator
from collections.abc import Sequence
from typing import SupportsIndex, TypeAlias

import numpy as np
import torch

from ingredients.core.errors import ArgumentError

GeneratorInput: TypeAlias = SupportsIndex | torch.Generator | Sequence[SupportsIndex | torch.Generator]
"""A seed or a generator for all videos of a call, or one for each."""

_NUM_SEEDS = 2**64


def generator_from_seed(seed: int) -> torch.Generator:
    """A generator on the CPU, so that a seed means the same video on every device.

    Every integer is a seed, 0 and negative ones too; they are taken modulo 2**64.
    """
    return torch.Generator("cpu").manual_seed(seed % _NUM_SEEDS)


def make_generators(
    generator: GeneratorInput | None, num_videos: int
) -> torch.Generator | list[torch.Generator] | None:
    """Turns seeds into generators: one that all videos share, or a list with one for each video.

    Raises:
        ArgumentError: if a list has another length than there are videos, or something is no seed.
    """
    if generator is None:
        return None
    if isinstance(generator, np.ndarray | torch.Tensor) and generator.ndim > 0:
        generator = generator.tolist()
    if not isinstance(generator, list | tuple):
        return _make_generator(generator)
    if len(generator) != num_videos:
        raise ArgumentError(f"{len(generator)} generators were given for {num_videos} videos.")
    return [_make_generator(each) for each in generator]


def _make_generator(given: object) -> torch.Generator:
    if isinstance(given, torch.Generator):
        return given
    try:
        seed = operator.index(given)  # type: ignore[arg-type] # numpy's and PyTorch's whole numbers are some, too
    except TypeError:
        raise ArgumentError(f"A seed must be a whole number or a torch.Generator, not {given!r}.") from None
    return generator_from_seed(seed)
