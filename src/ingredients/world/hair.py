"""Hair and hats, behind the head and in front of it. Local units as in `person.py`."""

import numpy as np

from ingredients.world.identity import CLOTH_COLOURS, Identity
from ingredients.world.performance import FACE_HALF_HEIGHT
from ingredients.world.shapes import Brush, Colour, Distance, above, box, capsule, ellipse, head, shade


def draw_hair_behind(brush: Brush, identity: Identity, hair: Colour) -> None:
    """Paints what hangs behind the face; comes before it."""
    width = identity.face_width
    if identity.hair_style == "long":
        brush.paint(box(width + 0.14, 0.72, 0.3), (0.0, 0.12), (width + 0.14, 0.72), shade(hair, 0.85))
    elif identity.hair_style == "bob":
        brush.paint(box(width + 0.13, 0.46, 0.3), (0.0, -0.12), (width + 0.13, 0.46), shade(hair, 0.85))
    elif identity.hair_style == "curly":
        for turn in np.linspace(0.75, 2.25, 9) * np.pi:
            centre = (float(np.sin(turn + np.pi) * -(width + 0.08)), float(-0.16 + np.cos(turn + np.pi) * -0.40))
            brush.paint(ellipse(0.2, 0.2), centre, (0.2, 0.2), shade(hair, 0.92))
    elif identity.hair_style == "bun":
        brush.paint(ellipse(0.2, 0.18), (0.0, -0.66), (0.22, 0.2), shade(hair, 0.9))


def draw_hair_in_front(brush: Brush, identity: Identity, hair: Colour) -> None:
    """Paints what lies on the forehead; comes after the face."""
    style, width = identity.hair_style, identity.face_width
    if style == "bald":
        return
    cap = head(width + 0.05, FACE_HALF_HEIGHT + 0.06, identity.jaw)
    hairlines: dict[str, Distance] = {
        "short": lambda u, v: v + 0.30 - 0.5 * np.maximum(np.abs(u) - 0.24, 0.0),
        "side": lambda u, v: v + 0.24 - 0.42 * u,
        "long": lambda u, v: v + 0.40 - 1.5 * np.maximum(np.abs(u) - 0.16, 0.0),
        "bob": lambda u, v: v + 0.22 - 1.8 * np.maximum(np.abs(u) - width + 0.08, 0.0),
        "curly": lambda u, v: v + 0.30 - 0.05 * np.cos(u * 28.0),
        "bun": lambda u, v: v + 0.34 - 0.8 * u * u,
        "spiky": lambda u, v: v + 0.26 - 0.10 * np.abs(np.mod(u * 7.0, 2.0) - 1.0),
    }
    brush.paint(above(cap, hairlines[style]), (0.0, 0.0), (width + 0.06, FACE_HALF_HEIGHT + 0.07), hair)
    if style == "spiky":
        for u in (-0.3, -0.15, 0.0, 0.15, 0.3):
            brush.paint(capsule(u * 0.4, -0.2, 0.055), (u, -0.42 + 0.5 * u * u), (0.2, 0.3), hair)


def draw_hat(brush: Brush, identity: Identity) -> None:
    """Paints the hat, last of all on the head."""
    if identity.hat == "none":
        return
    colour, width = CLOTH_COLOURS[identity.hat_colour], identity.face_width
    dome = head(width + 0.09, FACE_HALF_HEIGHT + 0.14, 0.2)
    reach = (width + 0.1, FACE_HALF_HEIGHT + 0.16)
    if identity.hat == "band":
        strip: Distance = lambda u, v: np.abs(v + 0.34) - 0.055  # noqa: E731
        brush.paint(above(dome, strip), (0.0, 0.0), reach, colour)
        return
    crown: Distance = lambda u, v: v + 0.32  # noqa: E731
    brush.paint(above(dome, crown), (0.0, 0.0), reach, colour)
    if identity.hat == "beanie":
        brush.paint(box(width + 0.09, 0.06, 0.05), (0.0, -0.33), (width + 0.1, 0.07), shade(colour, 0.7))
        brush.paint(ellipse(0.09, 0.09), (0.0, -0.66), (0.1, 0.1), shade(colour, 0.7))
    elif identity.hat == "cap":
        brush.paint(box(0.30, 0.045, 0.04), (0.22, -0.32), (0.34, 0.06), shade(colour, 0.6))
    else:
        brush.paint(ellipse(width + 0.30, 0.085), (0.0, -0.33), (width + 0.3, 0.1), shade(colour, 0.8))
