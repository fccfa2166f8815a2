"""The features of a head: eyes, brows, nose, mouth, beard, glasses, freckles; hair and hats, behind it and in front.

Local units as in `person.py`: the face is 1 high, the origin its middle, u to the right of the picture, v down.
"""

import numpy as np

from ingredients.world.identity import CLOTH_COLOURS, IRISES, Identity
from ingredients.world.performance import FACE_HALF_HEIGHT, Performance
from ingredients.world.shapes import (
    Brush,
    Colour,
    Distance,
    Floats,
    above,
    arc,
    box,
    capsule,
    column,
    ellipse,
    head,
    shade,
)

_BLACK = (0.08, 0.08, 0.1)


def draw_features(
    brush: Brush, identity: Identity, skin: Colour, hair: Colour, p: Performance
) -> list[tuple[Floats, Floats]]:
    """Paints the features.

    Returns:
        Five landmarks in local units, each coordinate (F,): left eye, right eye, tip of the nose, left and right
        corner of the mouth (left and right of the picture).
    """
    across, down = p.yaw * 0.11, p.pitch * 0.077  # what stands out moves when the head turns and nods
    nose_across, nose_down = p.yaw * 0.16, p.pitch * 0.112
    eye_v = down - identity.eye_height
    mouth_v = 0.27 + down
    nose_v = eye_v + 0.06 + identity.nose_length + (nose_down - down)
    if identity.freckles:
        _freckles(brush, skin, across, down)
    _beard(brush, identity, hair, across, mouth_v)
    eyes = [_eye(brush, identity, hair, side, across, eye_v, p) for side in (-1.0, 1.0)]
    if identity.glasses != "none":
        _glasses(brush, identity, eyes)
    _nose(brush, identity, skin, nose_across, eye_v + 0.05, nose_v)
    corners = _mouth(brush, identity, across, mouth_v, p)
    return [*eyes, (nose_across, nose_v), *corners]


def _freckles(brush: Brush, skin: Colour, across: Floats, down: Floats) -> None:
    for u, v in ((-0.24, 0.07), (-0.18, 0.12), (-0.27, 0.14), (0.24, 0.07), (0.18, 0.12), (0.27, 0.14)):
        brush.paint(ellipse(0.018, 0.018), (u + across, v + down), (0.03, 0.03), shade(skin, 0.68), face=True)


def _beard(brush: Brush, identity: Identity, hair: Colour, u: Floats, mouth_v: Floats) -> None:
    if identity.beard == "full":
        outline, mouth = head(identity.face_width, FACE_HALF_HEIGHT, identity.jaw), column(mouth_v)
        chin: Distance = lambda a, b: mouth - 0.09 - 0.55 * np.maximum(0.0, np.abs(a) - 0.12) - b  # noqa: E731
        brush.paint(above(outline, chin), (0.0, 0.0), (identity.face_width, FACE_HALF_HEIGHT), hair, face=True)
    elif identity.beard == "goatee":
        brush.paint(ellipse(0.13, 0.16), (u, mouth_v + 0.10), (0.14, 0.18), hair, face=True)
    if identity.beard != "none":
        thickness = 0.045 if identity.beard == "moustache" else 0.03
        brush.paint(arc(0.17, -0.05, thickness), (u, mouth_v - 0.055), (0.24, 0.14), hair, face=True)


def _eye(
    brush: Brush, identity: Identity, hair: Colour, side: float, across: Floats, v: Floats, p: Performance
) -> tuple[Floats, Floats]:
    size = identity.eye_size
    u = across + side * identity.eye_spacing
    half_width = size * (1.0 - 0.25 * np.maximum(side * p.yaw, 0.0))
    half_height = size * 0.78 * np.maximum(p.eyes_open, 0.12)
    reach = (size + 0.02, size + 0.02)
    white = ellipse(half_width, half_height)
    brush.paint(white, (u, v), reach, (0.98, 0.98, 0.98), face=True)
    gaze = 0.25 * size * p.yaw
    pupil = np.where(p.eyes_open < 0.3, 0.0, 1.0).astype(np.float32)
    iris = above(ellipse(size * 0.58, size * 0.58), _moved(white, -gaze))
    brush.paint(iris, (u + gaze, v), reach, IRISES[identity.iris], opacity=pupil, face=True)
    brush.paint(ellipse(size * 0.26, size * 0.26), (u + gaze, v), reach, (0.02, 0.02, 0.02), opacity=pupil, face=True)
    lid = arc(half_width, -half_height, 0.016)
    brush.paint(lid, (u, v), (size + 0.05, size + 0.05), (0.12, 0.09, 0.08), face=True)
    _brow(brush, identity, hair, u, v - size - 0.055 - 0.045 * p.brows, side)
    return u, v


def _mouth(
    brush: Brush, identity: Identity, u: Floats, mouth_v: Floats, p: Performance
) -> tuple[tuple[Floats, Floats], tuple[Floats, Floats]]:
    corner_v = mouth_v - 0.075 * p.smile
    bend = 0.09 * p.smile
    lips = (0.72, 0.30, 0.30) if identity.skin not in ("dark", "deep", "brown") else (0.55, 0.22, 0.22)
    opening = np.maximum(0.11 * p.mouth_open, 1e-3)
    opacity = np.clip(p.mouth_open * 6.0, 0.0, 1.0).astype(np.float32)
    wide = identity.mouth_width * (1.0 - 0.35 * p.mouth_open)
    middle = (u, corner_v + bend)
    rim, inside = ellipse(wide * 0.8, opening + identity.lip), ellipse(wide * 0.7, opening)
    brush.paint(rim, middle, (0.25, 0.2), lips, opacity=opacity, face=True)
    brush.paint(inside, middle, (0.25, 0.2), (0.22, 0.05, 0.06), opacity=opacity, face=True)
    closed = arc(wide, bend, identity.lip)
    brush.paint(closed, (u, corner_v), (0.3, 0.2), lips, opacity=1.0 - opacity, face=True)
    return (u - wide, corner_v), (u + wide, corner_v)


def _moved(shape: Distance, by: Floats) -> Distance:
    return lambda u, v: shape(u - column(by), v)


def _brow(brush: Brush, identity: Identity, hair: Colour, u: Floats, v: Floats, side: float) -> None:
    colour = shade(hair, 0.75) if identity.hair_colour != "white" else (0.75, 0.75, 0.74)
    half = identity.eye_size * 1.15
    if identity.brow == "slanted":
        brush.paint(
            capsule(side * 2 * half, -0.06, 0.022), (u - side * half, v + 0.03), (0.34, 0.14), colour, face=True
        )
    else:
        thickness = 0.034 if identity.brow == "thick" else 0.018
        bend = -0.06 if identity.brow == "arched" else -0.02
        brush.paint(arc(half, bend, thickness), (u, v), (half + 0.06, 0.16), colour, face=True)


def _nose(brush: Brush, identity: Identity, skin: Colour, u: Floats, top: Floats, tip: Floats) -> None:
    shadow = shade(skin, 0.72)
    if identity.nose == "long":
        brush.paint(capsule(0.0, tip - top, 0.026), (u, top), (0.06, 0.3), shadow, face=True)
    elif identity.nose == "wide":
        brush.paint(ellipse(0.085, 0.045), (u, tip), (0.1, 0.06), shadow, face=True)
    else:
        brush.paint(ellipse(0.045, 0.045), (u, tip), (0.06, 0.06), shadow, face=True)


def _glasses(brush: Brush, identity: Identity, eyes: list[tuple[Floats, Floats]]) -> None:
    half = identity.eye_spacing * 0.78
    for u, v in eyes:
        lens = ellipse(half, half) if identity.glasses == "round" else box(half, half * 0.8, 0.03)
        reach = (half + 0.04, half + 0.04)
        if identity.glasses == "dark":
            brush.paint(lens, (u, v), reach, _BLACK, opacity=0.9, face=True)
        else:
            rim: Distance = lambda a, b, lens=lens: np.abs(lens(a, b)) - 0.018  # type: ignore[misc] # noqa: E731
            brush.paint(rim, (u, v), reach, _BLACK, face=True)
    gap = 2 * (identity.eye_spacing - half)
    brush.paint(capsule(gap, 0.0, 0.018), (eyes[0][0] + half, eyes[0][1]), (gap + 0.05, 0.05), _BLACK, face=True)


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
