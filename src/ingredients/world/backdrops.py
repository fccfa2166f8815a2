"""Places behind the people, and the light on everything."""

import numpy as np

from ingredients.world.shapes import Brush, Canvas, Colour, Distance, Floats, Pose2D, above, box, capsule, ellipse

PLACES = ("beach", "park", "city", "forest", "desert", "snow", "room", "library")
LIGHTS = ("plain", "sun", "sunset", "night", "cloudy")

_GAINS: dict[str, tuple[Colour, float]] = {
    "plain": ((1.0, 1.0, 1.0), 0.0),
    "sun": ((1.12, 1.09, 0.98), 0.02),
    "sunset": ((1.08, 0.88, 0.74), 0.02),
    "night": ((0.64, 0.68, 0.90), 0.0),
    "cloudy": ((0.82, 0.85, 0.88), 0.03),
}


def draw_backdrop(canvas: Canvas, place: str, rng: np.random.Generator) -> None:
    """Fills a canvas with a place; its frames are equal. Units: the picture's height is 1, the origin its middle."""
    one = Canvas(1, canvas.height, canvas.width)
    middle = [np.array([value], np.float32) for value in (canvas.width / 2, canvas.height / 2, canvas.height, 0.0)]
    brush = Brush(one, Pose2D(*middle))
    aspect = canvas.width / canvas.height
    horizon = float(rng.uniform(-0.05, 0.15))

    def bands(top: Colour, bottom: Colour, ground: Colour) -> None:
        level = np.linspace(0.0, 1.0, canvas.height, dtype=np.float32)[None, :, None, None]
        one.image[:] = np.asarray(top, np.float32) * (1 - level) + np.asarray(bottom, np.float32) * level
        brush.paint(box(aspect, 0.6), (0.0, horizon + 0.6), (aspect, 0.6), ground)

    def spread(count: int) -> list[float]:
        return [float(u) for u in (np.arange(count) + rng.uniform(0.1, 0.9, count)) / count * aspect - aspect / 2]

    match place:
        case "beach":
            bands((0.45, 0.72, 0.95), (0.80, 0.92, 0.98), (0.16, 0.50, 0.74))
            brush.paint(box(aspect, 0.5), (0.0, horizon + 0.66), (aspect, 0.5), (0.93, 0.83, 0.58))
            brush.paint(ellipse(0.09, 0.09), (spread(1)[0], -0.36), (0.1, 0.1), (1.0, 0.93, 0.55))
        case "park":
            bands((0.55, 0.80, 0.97), (0.85, 0.95, 0.98), (0.40, 0.70, 0.32))
            for u in spread(3):
                brush.paint(box(0.025, 0.2), (u, horizon - 0.05), (0.03, 0.2), (0.42, 0.28, 0.16))
                brush.paint(ellipse(0.15, 0.19), (u, horizon - 0.25), (0.16, 0.2), (0.24, 0.55, 0.24))
        case "city":
            bands((0.62, 0.74, 0.86), (0.82, 0.86, 0.90), (0.45, 0.45, 0.48))
            for u in spread(5):
                height, grey = float(rng.uniform(0.18, 0.42)), float(rng.uniform(0.36, 0.62))
                wall = box(0.13, height)
                brush.paint(wall, (u, horizon - height), (0.13, height), (grey, grey * 0.95, grey * 0.98))
                windows: Distance = lambda a, b: np.maximum(  # noqa: E731
                    np.abs(np.mod(a + 1.0, 0.09) - 0.045) - 0.02, np.abs(np.mod(b + 1.0, 0.12) - 0.06) - 0.03
                )
                brush.paint(above(wall, windows), (u, horizon - height), (0.13, height), (0.97, 0.91, 0.62))
        case "forest":
            bands((0.30, 0.48, 0.34), (0.48, 0.64, 0.44), (0.26, 0.34, 0.18))
            for u in spread(6):
                brush.paint(box(0.035, 0.6), (u, -0.1), (0.04, 0.6), (0.30, 0.20, 0.13))
            for u in spread(6):
                brush.paint(ellipse(0.22, 0.16), (u, -0.45), (0.24, 0.18), (0.13, 0.38, 0.18))
        case "desert":
            bands((0.98, 0.80, 0.52), (0.99, 0.90, 0.70), (0.90, 0.66, 0.36))
            for u in spread(2):
                brush.paint(ellipse(0.5, 0.16), (u, horizon + 0.06), (0.5, 0.18), (0.84, 0.57, 0.29))
            u = spread(1)[0]
            brush.paint(capsule(0.0, -0.28, 0.035), (u, horizon + 0.08), (0.06, 0.34), (0.27, 0.50, 0.26))
            brush.paint(capsule(0.10, -0.07, 0.03), (u, horizon - 0.06), (0.14, 0.14), (0.27, 0.50, 0.26))
        case "snow":
            bands((0.66, 0.76, 0.88), (0.86, 0.90, 0.95), (0.96, 0.97, 0.99))
            for u in spread(2):
                peak: Distance = lambda a, b: np.abs(a) * 0.8 - b - 0.2  # noqa: E731
                brush.paint(above(box(0.5, 0.22), peak), (u, horizon - 0.18), (0.5, 0.24), (0.58, 0.66, 0.76))
            for _ in range(24):
                u, v = rng.uniform(-aspect / 2, aspect / 2), rng.uniform(-0.5, 0.5)
                brush.paint(ellipse(0.012, 0.012), (float(u), float(v)), (0.02, 0.02), (1.0, 1.0, 1.0))
        case "room":
            bands((0.90, 0.82, 0.70), (0.88, 0.78, 0.64), (0.55, 0.36, 0.24))
            for u in spread(2):
                brush.paint(box(0.15, 0.16), (u, -0.25), (0.15, 0.16), (0.98, 0.98, 0.96))
                brush.paint(box(0.125, 0.135), (u, -0.25), (0.13, 0.14), (0.55, 0.78, 0.93))
        case "library":
            bands((0.36, 0.22, 0.14), (0.36, 0.22, 0.14), (0.28, 0.17, 0.11))
            for shelf in (-0.33, -0.03, 0.27):
                for u in np.arange(-aspect / 2, aspect / 2, 0.07):
                    colour = rng.uniform(0.25, 0.85, 3)
                    brush.paint(box(0.028, 0.105), (float(u), shelf), (0.03, 0.11), tuple(colour))
        case _:
            raise ValueError(f"unknown place {place!r}; known: {', '.join(PLACES)}")
    canvas.image[:] = one.image


def apply_light(image: Floats, light: str, rng: np.random.Generator, *, strength: float = 1.0) -> None:
    """Colours a whole clip in place, brighter on one side.

    Args:
        image: (F, H, W, 3) in [0, 1].
        light: one of `LIGHTS`.
        rng: decides the side.
        strength: how much of the light's colour is applied.
    """
    gains, lift = _GAINS[light]
    gain = 1.0 + strength * (np.asarray(gains, np.float32) - 1.0)
    side = np.linspace(-1.0, 1.0, image.shape[2], dtype=np.float32) * np.float32(rng.uniform(-0.12, 0.12))
    image *= gain * (1.0 + side)[None, None, :, None]
    image += lift * strength
    np.clip(image, 0.0, 1.0, out=image)
