"""The rim of a mask along the edges of the picture, where a network knows a face and not its outline.

A random walker (Grady 2006): what is surely a face's and what is surely not are known, and each pixel between takes
the side that a walker from there comes to first, who goes along the same colour rather than across an edge. Where
there is no edge, as between a chin and its neck, the rim lies halfway.

Legend: N faces, H/W pixels.
"""

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.linalg import spsolve

from ingredients.core.arrays import BoolArray, Float32Array, Int64Array, UInt8Array

_AROUND = 0.35
"""How far around a box a walker may go, in parts of the box: a little further than masks reach."""

_SAME_COLOUR = 3.5
"""Grey levels, as in an encoded video, by which neighbours of one colour differ."""

_ACROSS_EDGES = 1e-3
"""How readily a walker goes across the sharpest edge, where it is 1 within a colour."""


def follow_edges(
    image: UInt8Array, logits: Float32Array, boxes: Float32Array, *, threshold: float, rim: float
) -> Float32Array:
    """Logits (N, H, W) of faces in boxes (N, 4), those within `rim` of the threshold along the edges of the picture.

    They lie between `threshold - rim` and `threshold + rim` as before; all others stay.
    """
    height, width = logits.shape[1:]
    followed = logits.copy()
    for of_face, (left, top, right, bottom) in zip(followed, boxes.tolist(), strict=True):
        across, down = (right - left) * _AROUND, (bottom - top) * _AROUND
        rows = slice(max(int(top - down), 0), max(min(int(bottom + down) + 1, height), 0))
        columns = slice(max(int(left - across), 0), max(min(int(right + across) + 1, width), 0))
        over = np.clip((of_face[rows, columns] - threshold) / rim, -1.0, 1.0)
        is_known = np.abs(over) == 1.0
        if is_known.all() or not ((over == 1.0).any() and (over == -1.0).any()):
            continue
        sides = _walked(image[rows, columns].astype(np.float32), np.sign(over), is_known)
        of_face[rows, columns][~is_known] = threshold + rim * sides
    return followed


def _walked(picture: Float32Array, sides: Float32Array, is_known: BoolArray) -> Float32Array:
    """Where walkers from the pixels that are not known come to on average, from -1 to 1, by known sides (H, W)."""
    size = is_known.size
    pixels: Int64Array = np.arange(size).reshape(is_known.shape)
    first = np.concatenate([pixels[:, :-1].ravel(), pixels[:-1].ravel()])
    second = np.concatenate([pixels[:, 1:].ravel(), pixels[1:].ravel()])
    colours = picture.reshape(size, -1)
    difference = np.square(colours[first] - colours[second]).sum(1)
    ease = np.exp(-difference / (2 * _SAME_COLOUR**2)) + _ACROSS_EDGES
    both = coo_array((np.tile(ease, 2), (np.r_[first, second], np.r_[second, first])), (size, size)).tocsr()
    known, unknown = np.flatnonzero(is_known), np.flatnonzero(~is_known)
    from_unknown = both[unknown]
    laplacian = -from_unknown[:, unknown].tolil()
    laplacian.setdiag(from_unknown.sum(axis=1))
    found: Float32Array = spsolve(laplacian.tocsc(), from_unknown[:, known] @ sides.ravel()[known])
    return found
