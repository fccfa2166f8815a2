"""Boxes (left, top, right, bottom) in pixels: how large they are, and how much they share."""

import numpy as np

from ingredients.core.arrays import Float32Array


def box_area(box: Float32Array) -> float:
    """The area of a box (4,); 0 of one that is turned inside out."""
    left, top, right, bottom = box.tolist()
    return float(max(right - left, 0.0) * max(bottom - top, 0.0))


def shared_area(first: Float32Array, second: Float32Array) -> Float32Array:
    """The area that boxes (..., 4) share, each with its own or with all of the others, as arrays broadcast: (...)."""
    shared = np.minimum(first[..., 2:], second[..., 2:]) - np.maximum(first[..., :2], second[..., :2])
    area: Float32Array = np.maximum(shared, 0.0).prod(axis=-1)
    return area
