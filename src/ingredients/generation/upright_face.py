"""A photographed face turned upright and brought to one size, with the places that its points name.

Legend: H/W pixels; a/b across and down from the eyes' middle, in units of the distance from there to the chin.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ingredients.core.arrays import Float32Array, UInt8Array
from ingredients.generation.likeness_colours import to_lab

PIXELS = 100
"""Pixels of a unit in the upright picture."""

ACROSS, ABOVE, BELOW = 2.0, 1.6, 2.4
"""How far the upright picture reaches, in units."""


class UprightFace:
    """A face turned upright and brought to one size, with its points in units from the eyes' middle.

    Args:
        photo: RGB (H, W, 3).
        points: dlib's 68 (68, 2), in pixels of the photograph.
        box: the face's (4,).
        others: the boxes (4,) of the other people's faces.
    """

    def __init__(
        self, photo: UInt8Array, points: Float32Array, box: Float32Array, others: Sequence[Float32Array] = ()
    ) -> None:
        left, right = points[36:42].mean(axis=0), points[42:48].mean(axis=0)
        middle = (left + right) / 2
        across = (right - left) / np.linalg.norm(right - left)
        down = np.array([-across[1], across[0]], np.float32)
        self.unit = float(max(8.0, (points[8] - middle) @ down))  # pixels of the photograph
        offsets = (points - middle) / self.unit
        self.points = np.stack([offsets @ across, offsets @ down], axis=-1)  # (68, 2): a, b
        scale = self.unit / PIXELS
        corner = middle - across * (ACROSS * self.unit) - down * (ABOVE * self.unit)
        size = (int(2 * ACROSS * PIXELS), int((ABOVE + BELOW) * PIXELS))
        matrix = (
            float(across[0] * scale), float(down[0] * scale), float(corner[0]),
            float(across[1] * scale), float(down[1] * scale), float(corner[1]),
        )  # fmt: skip
        picture = _shrunk(photo, scale)
        shrunk = picture.width / photo.shape[1]
        matrix = tuple(number * shrunk for number in matrix)
        turned = picture.transform(size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
        inside = Image.new("L", picture.size, 255).transform(size, Image.Transform.AFFINE, matrix)
        self.pixels: UInt8Array = np.asarray(turned)
        self.inside: NDArray[np.bool_] = np.asarray(inside) > 0
        self.lab = to_lab(self.pixels)
        rows, columns = np.mgrid[: size[1], : size[0]].astype(np.float32) / PIXELS
        self.a, self.b = columns - ACROSS, rows - ABOVE
        places = middle + self.unit * (self.a[..., None] * across + self.b[..., None] * down)  # (H, W, 2)
        is_mine = [_from_neck(places, box) <= _from_neck(places, other) for other in others]
        self.own: NDArray[np.bool_] = np.logical_and.reduce([self.inside, *is_mine])

    def region(self, left: float, right: float, top: float, bottom: float) -> NDArray[np.bool_]:
        """A rectangle, where the photograph reaches it."""
        across, down = (self.a >= left) & (self.a < right), (self.b >= top) & (self.b < bottom)
        return np.asarray(across & down & self.inside, dtype=np.bool_)

    def slices(self, left: float, right: float, top: float, bottom: float) -> tuple[slice, slice]:
        """Rows and columns of a rectangle."""
        rows, columns = ((top + ABOVE, bottom + ABOVE), (left + ACROSS, right + ACROSS))
        return (
            slice(*(round(place * PIXELS) for place in rows)),
            slice(*(round(place * PIXELS) for place in columns)),
        )

    def both_sides(self, inner: float, outer: float, top: float, bottom: float) -> NDArray[np.bool_]:
        """A rectangle at either side."""
        return self.region(-outer, -inner, top, bottom) | self.region(inner, outer, top, bottom)

    def disc(self, a: float, b: float, radius: float) -> NDArray[np.bool_]:
        """A disc, where the photograph reaches it."""
        is_near = (self.a - a) ** 2 + (self.b - b) ** 2 <= radius**2
        return np.asarray(is_near & self.inside, dtype=np.bool_)

    def median(self, mask: NDArray[np.bool_]) -> Float32Array | None:
        """The median colour in Lab (3,); None of too few pixels."""
        if mask.sum() < 20:
            return None
        return np.asarray(np.median(self.lab[mask], axis=0), dtype=np.float32)

    def cut_out(self) -> UInt8Array:
        """Head and shoulders (S, S, 3)."""
        side = int(3.0 * PIXELS)
        top, left = int((ABOVE - 1.4) * PIXELS), int((ACROSS - 1.5) * PIXELS)
        return self.pixels[top : top + side, left : left + side]


def _from_neck(places: Float32Array, box: Float32Array) -> Float32Array:
    """How far places (H, W, 2) of a photograph are from below the face in a box (4,), in widths of the face."""
    left, _, right, bottom = box.tolist()
    return np.asarray(np.linalg.norm(places - ((left + right) / 2, bottom), axis=-1) / (right - left), np.float32)


def _shrunk(photo: UInt8Array, scale: float) -> Image.Image:
    """The photograph made smaller where its face is larger than in the upright picture: no pixel is left out then."""
    picture = Image.fromarray(photo)
    if scale <= 1:
        return picture
    return picture.resize(
        (max(1, round(picture.width / scale)), max(1, round(picture.height / scale))), Image.Resampling.BOX
    )
