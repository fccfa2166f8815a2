"""Signed-distance shapes, painted with anti-aliasing on a batch of frames at once.

Legend: F frames, H/W canvas pixels, h/w the pixels of one shape's own box.

Every drawing function works on *all* frames of a clip together, and only on the box of pixels that the shape touches
in any of them: a clip costs milliseconds rather than the half second that whole-canvas painting takes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
"""Computed in float32 wherever it costs anything; what leaves the world is float32."""
Colour = tuple[float, float, float]
Distance = Callable[[Floats, Floats], Floats]
"""Signed distance in local units from coordinates (u, v), each (F, h, w)."""

BACKGROUND = -1


def column(value: float | Floats) -> float | Floats:
    """Lets an (F,) array broadcast against (F, h, w)."""
    return value[:, None, None] if isinstance(value, np.ndarray) and value.ndim == 1 else value


def shade(colour: Colour, gain: float) -> Colour:
    """A colour made brighter or darker."""
    red, green, blue = (min(max(channel * gain, 0.0), 1.0) for channel in colour)
    return red, green, blue


@dataclass(slots=True)
class Pose2D:
    """Where a local coordinate system lies on the canvas, frame by frame.

    Attributes:
        x: (F,) pixels, its origin.
        y: (F,) pixels.
        scale: (F,) pixels per local unit.
        angle: (F,) radians, clockwise on the screen.
    """

    x: Floats
    y: Floats
    scale: Floats
    angle: Floats

    def to_pixels(self, u: float | Floats, v: float | Floats) -> tuple[Floats, Floats]:
        """Local coordinates, numbers or (F,), to pixels, each (F,)."""
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        return self.x + self.scale * (cos * u - sin * v), self.y + self.scale * (sin * u + cos * v)


class Canvas:
    """F frames under construction, and whose pixel each one is.

    Attributes:
        image: (F, H, W, 3) float32 in [0, 1].
        owner: (F, H, W) int8, the person painted last, `BACKGROUND` where nobody is.
        face: (F, H, W) bool, whether that pixel belongs to the owner's face (skin, features, beard, glasses).
    """

    def __init__(self, num_frames: int, height: int, width: int) -> None:
        self.num_frames, self.height, self.width = num_frames, height, width
        self.image = np.zeros((num_frames, height, width, 3), np.float32)
        self.owner = np.full((num_frames, height, width), BACKGROUND, np.int8)
        self.face = np.zeros((num_frames, height, width), bool)


class Brush:
    """Paints shapes given in one local coordinate system on a canvas."""

    def __init__(self, canvas: Canvas, pose: Pose2D, owner: int = BACKGROUND) -> None:
        self.canvas, self.pose, self.owner = canvas, pose, owner
        cos, sin = np.cos(pose.angle)[:, None, None], np.sin(pose.angle)[:, None, None]
        scale = pose.scale[:, None, None]
        dx = (np.arange(canvas.width, dtype=np.float32) + 0.5)[None, None, :] - pose.x[:, None, None]
        dy = (np.arange(canvas.height, dtype=np.float32) + 0.5)[None, :, None] - pose.y[:, None, None]
        self._u: Floats = (cos * dx + sin * dy) / scale  # (F, H, W)
        self._v: Floats = (cos * dy - sin * dx) / scale  # (F, H, W)

    def paint(
        self,
        distance: Distance,
        centre: tuple[float | Floats, float | Floats],
        reach: tuple[float, float],
        colour: Colour,
        *,
        opacity: float | Floats = 1.0,
        face: bool = False,
    ) -> None:
        """Paints one shape.

        Args:
            distance: signed distance (local units) at coordinates relative to `centre`.
            centre: the shape's centre in local units; each coordinate a number or (F,).
            reach: half width and half height (local units) that contain the shape, before rotation.
            colour: RGB in [0, 1].
            opacity: a number or (F,).
            face: whether the pixels count as face.
        """
        canvas, pose = self.canvas, self.pose
        x, y = pose.to_pixels(*centre)
        cos, sin = np.abs(np.cos(pose.angle)), np.abs(np.sin(pose.angle))
        reach_x = pose.scale * (cos * reach[0] + sin * reach[1]) + 1
        reach_y = pose.scale * (sin * reach[0] + cos * reach[1]) + 1
        x0, x1 = max(int((x - reach_x).min()), 0), min(int((x + reach_x).max()) + 2, canvas.width)
        y0, y1 = max(int((y - reach_y).min()), 0), min(int((y + reach_y).max()) + 2, canvas.height)
        if x0 >= x1 or y0 >= y1:
            return
        box = np.s_[:, y0:y1, x0:x1]
        signed = distance(self._u[box] - column(centre[0]), self._v[box] - column(centre[1]))  # (F, h, w)
        alpha = np.clip(0.5 - signed * pose.scale[:, None, None], 0.0, 1.0)
        if not (isinstance(opacity, float) and opacity == 1.0):
            alpha = alpha * column(opacity)
        pixels = canvas.image[box]
        pixels += alpha[..., None] * (np.asarray(colour, np.float32) - pixels)
        inside = alpha > 0.5
        canvas.owner[box][inside] = self.owner
        canvas.face[box][inside] = face


def ellipse(half_width: float | Floats, half_height: float | Floats) -> Distance:
    """An axis-aligned ellipse (distance exact on the outline and to first order around it)."""
    a, b = column(half_width), column(half_height)

    def distance(u: Floats, v: Floats) -> Floats:
        p, q = u / a, v / b
        level = np.sqrt(p * p + q * q)
        slope = np.sqrt((p / a) ** 2 + (q / b) ** 2)
        return np.asarray(level * (level - 1.0) / np.maximum(slope, 1e-4), np.float32)

    return distance


def box(half_width: float | Floats, half_height: float | Floats, radius: float = 0.0) -> Distance:
    """A rectangle with rounded corners."""
    a, b = column(half_width), column(half_height)

    def distance(u: Floats, v: Floats) -> Floats:
        p, q = np.abs(u) - a + radius, np.abs(v) - b + radius
        outside = np.hypot(np.maximum(p, 0.0), np.maximum(q, 0.0))
        return np.asarray(outside + np.minimum(np.maximum(p, q), 0.0) - radius, np.float32)

    return distance


def capsule(u1: float | Floats, v1: float | Floats, radius: float) -> Distance:
    """A thick line from the centre to (u1, v1)."""
    du, dv = column(u1), column(v1)

    def distance(u: Floats, v: Floats) -> Floats:
        along = np.clip((u * du + v * dv) / (du * du + dv * dv + 1e-8), 0.0, 1.0)
        return np.asarray(np.hypot(u - along * du, v - along * dv) - radius, np.float32)

    return distance


def arc(half_width: float | Floats, bend: float | Floats, thickness: float | Floats) -> Distance:
    """A thick parabola: a mouth or a brow. Positive `bend` lowers the middle (a smile)."""
    a, k, half = column(half_width), column(bend), column(thickness)

    def distance(u: Floats, v: Floats) -> Floats:
        reach = np.clip(np.abs(u) / a, 0.0, 1.0)
        across = np.abs(v - k * (1.0 - reach * reach)) / np.sqrt(1.0 + (2.0 * k * reach / a) ** 2)
        return np.asarray(np.hypot(across, np.maximum(np.abs(u) - a, 0.0)) - half, np.float32)

    return distance


def head(half_width: float, half_height: float, jaw: float) -> Distance:
    """A face outline: an ellipse above, squarer below as `jaw` goes from 0 (pointed) to 1 (square)."""
    power = 1.75 + 1.5 * jaw

    def distance(u: Floats, v: Floats) -> Floats:
        p = np.abs(u) / half_width
        q = np.abs(v) / half_height
        exponent = np.where(v > 0, np.float32(power), np.float32(2.0))
        level = (p**exponent + q**exponent + 1e-6) ** (1.0 / exponent)
        return np.asarray((level - 1.0) * min(half_width, half_height), np.float32)

    return distance


def above(shape: Distance, limit: Distance) -> Distance:
    """The part of `shape` where `limit` is negative too."""
    return lambda u, v: np.maximum(shape(u, v), limit(u, v))
