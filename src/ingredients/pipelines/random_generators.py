"""Where a video's random numbers come from."""

from collections.abc import Sequence
from typing import TypeAlias

import torch

GeneratorInput: TypeAlias = int | torch.Generator | Sequence[int | torch.Generator]
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
        ValueError: if a list has another length than there are videos.
    """
    if generator is None or isinstance(generator, torch.Generator):
        return generator
    if isinstance(generator, int):
        return generator_from_seed(generator)
    if len(generator) != num_videos:
        raise ValueError(f"{len(generator)} generators were given for {num_videos} videos.")
    return [generator_from_seed(each) if isinstance(each, int) else each for each in generator]
