"""Pseudo-random numbers that come out the same on every machine, so that golden files need not store weights.

Number i of stream s is an integer hash of i and s, as a float64 in [-1, 1). A module takes one stream a weight, in the
sorted order of their published names.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

_STREAM_STEP = 0x9E3779B9
_NUM_HASHES = 2**32


def uniform(stream: int, count: int) -> NDArray[np.float64]:
    """`count` numbers of a stream."""
    offset = np.uint32((stream + 1) * _STREAM_STEP % _NUM_HASHES)
    hashes = np.arange(count, dtype=np.uint32) + offset
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        hashes ^= hashes >> np.uint32(shift)
        hashes *= np.uint32(factor)
    hashes ^= hashes >> np.uint32(16)
    return hashes.astype(np.float64) / 2.0**31 - 1.0


def tensor(stream: int, shape: Sequence[int], scale: float = 1.0) -> NDArray[np.float32]:
    """A stream as an array; inputs have streams from 100000 on."""
    return (uniform(stream, int(np.prod(shape))) * scale).astype(np.float32).reshape(shape)


def weights(shapes: Mapping[str, Sequence[int]]) -> dict[str, NDArray[np.float32]]:
    """Weights for published names and shapes: about unit gain in matrices, norms near 1, biases near 0."""
    return {name: _weight(stream, name, tuple(shapes[name])) for stream, name in enumerate(sorted(shapes))}


def _weight(stream: int, name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    count = int(np.prod(shape))
    mean, scale = 0.0, 0.1
    if len(shape) >= 2:
        scale = (3.0 * shape[0] / count) ** 0.5
    elif name.endswith("weight"):
        mean = 1.0
    if name.endswith("id_merge.weight"):
        scale *= 0.02  # keeps routing logits of order one
    if name.endswith("latents"):
        scale = 0.05
    return (uniform(stream, count) * scale + mean).astype(np.float32).reshape(shape)
