"""Draws one person: body, head, features, frame by frame.

Local units: the height of the face (hairline of a bald head to chin) is 1, the origin is the face's middle, u goes to
the right of the picture, v down. F is the number of frames.
"""

from dataclasses import dataclass

import numpy as np

from ingredients.world.identity import CLOTH_COLOURS, HAIR_COLOURS, IRISES, SKINS, Identity
from ingredients.world.shapes import (
    Brush,
    Canvas,
    Colour,
    Distance,
    Floats,
    Pose2D,
    above,
    arc,
    box,
    capsule,
    column,
    ellipse,
    head,
)

FACE_HALF_HEIGHT = 0.5


@dataclass(slots=True, kw_only=True)
class Performance:
    """What a person does, each attribute (F,).

    Attributes:
        x, y: pixels, the middle of the face.
        scale: pixels, the height of the face.
        tilt: radians of the head to the side.
        yaw: -1 (turned to the picture's left) to 1.
        pitch: -1 (up) to 1 (down).
        smile: -1 (mouth corners down) to 1 (up).
        mouth_open: 0 to 1.
        eyes_open: 0 to 1.
        brows: -1 (lowered) to 1 (raised).
        hand: 0 (hidden) to 1 (raised beside the head).
        hand_swing: -1 to 1, sideways.
        hand_side: -1 or 1, the side of the picture.
    """

    x: Floats
    y: Floats
    scale: Floats
    tilt: Floats
    yaw: Floats
    pitch: Floats
    smile: Floats
    mouth_open: Floats
    eyes_open: Floats
    brows: Floats
    hand: Floats
    hand_swing: Floats
    hand_side: int = 1


def draw_person(canvas: Canvas, owner: int, identity: Identity, performance: Performance) -> Floats:
    """Paints a person over what the canvas holds and marks the pixels as `owner`'s.

    Returns:
        (F, 5, 2) float32 pixels: eye at the left of the picture, other eye, tip of the nose, left and right corner of
        the mouth.
    """
    p = performance
    body = Brush(canvas, Pose2D(p.x, p.y, p.scale, p.tilt * 0.2), owner)
    head_pose = Pose2D(p.x, p.y, p.scale, p.tilt)
    brush = Brush(canvas, head_pose, owner)
    skin = _shade(SKINS[identity.skin], 1.0 + identity.tint)
    hair = _shade(HAIR_COLOURS[identity.hair_colour], 1.0 + 2.0 * identity.tint)
    _hair_behind(brush, identity, hair)
    _body(body, identity, skin)
    _ears_and_face(brush, identity, skin, p)
    landmarks = _features(brush, identity, skin, hair, p)
    _hair_in_front(brush, identity, hair)
    _hat(brush, identity)
    _raised_hand(body, identity, skin, p)
    return np.stack([np.stack(head_pose.to_pixels(u, v), -1) for u, v in landmarks], 1).astype(np.float32)


def _shade(colour: Colour, gain: float) -> Colour:
    red, green, blue = (min(max(channel * gain, 0.0), 1.0) for channel in colour)
    return red, green, blue


def _turn(p: Performance, depth: float) -> tuple[Floats, Floats]:
    """How far a feature that stands out by `depth` moves when the head turns and nods."""
    return p.yaw * depth, p.pitch * depth * 0.7


def _body(brush: Brush, identity: Identity, skin: Colour) -> None:
    cloth = CLOTH_COLOURS[identity.shirt_colour]
    brush.paint(box(0.16, 0.3, 0.1), (0.0, 0.55), (0.16, 0.3), _shade(skin, 0.86))
    torso = box(0.66, 1.2, 0.34)
    brush.paint(torso, (0.0, 1.86), (0.66, 1.2), cloth)
    if identity.shirt == "stripes":
        stripes: Distance = lambda u, v: np.abs(np.mod(v + 1.2, 0.26) - 0.13) - 0.05  # noqa: E731
        brush.paint(above(torso, stripes), (0.0, 1.86), (0.66, 1.2), _shade(cloth, 0.55))
    elif identity.shirt == "collar":
        for side in (-1.0, 1.0):
            brush.paint(capsule(side * 0.17, -0.15, 0.05), (side * 0.05, 0.84), (0.26, 0.24), (0.97, 0.97, 0.97))


def _raised_hand(brush: Brush, identity: Identity, skin: Colour, p: Performance) -> None:
    if not p.hand.any():
        return
    cloth = CLOTH_COLOURS[identity.shirt_colour]
    u = p.hand_side * 0.58 + 0.10 * p.hand_swing
    v = 1.3 - 1.0 * p.hand
    brush.paint(
        capsule(u - p.hand_side * 0.52, v + 0.15 - 1.25, 0.1),
        (p.hand_side * 0.52, 1.25),
        (0.5, 1.2),
        _shade(cloth, 0.9),
    )
    brush.paint(ellipse(0.12, 0.14), (u, v), (0.14, 0.16), skin)
    for finger in (-0.08, 0.0, 0.08):
        brush.paint(capsule(finger * 0.6, -0.11, 0.03), (u + finger, v - 0.08), (0.1, 0.18), skin)


def _ears_and_face(brush: Brush, identity: Identity, skin: Colour, p: Performance) -> None:
    shift, _ = _turn(p, -0.07)
    for side in (-1.0, 1.0):
        centre = (side * identity.face_width + shift, 0.0)
        brush.paint(ellipse(identity.ear * 0.8, identity.ear * 1.2), centre, (0.12, 0.16), _shade(skin, 0.9))
    outline = head(identity.face_width, FACE_HALF_HEIGHT, identity.jaw)
    brush.paint(outline, (0.0, 0.0), (identity.face_width, FACE_HALF_HEIGHT), skin, face=True)


def _features(
    brush: Brush, identity: Identity, skin: Colour, hair: Colour, p: Performance
) -> list[tuple[float | Floats, float | Floats]]:
    width, outline = identity.face_width, head(identity.face_width, FACE_HALF_HEIGHT, identity.jaw)
    across, down = _turn(p, 0.11)
    nose_across, nose_down = _turn(p, 0.16)
    eye_v = -identity.eye_height + down
    mouth_v = 0.27 + down
    nose_v = eye_v + 0.06 + identity.nose_length + (nose_down - down)

    if identity.freckles:
        for u, v in ((-0.24, 0.07), (-0.18, 0.12), (-0.27, 0.14), (0.24, 0.07), (0.18, 0.12), (0.27, 0.14)):
            brush.paint(ellipse(0.018, 0.018), (u + across, v + down), (0.03, 0.03), _shade(skin, 0.68), face=True)

    if identity.beard == "full":
        mouth = column(mouth_v)
        chin: Distance = lambda u, v: (mouth - 0.09 + 0.55 * np.maximum(0.0, np.abs(u) - 0.12) * -1.0) - v  # noqa: E731
        brush.paint(above(outline, chin), (0.0, 0.0), (width, FACE_HALF_HEIGHT), hair, face=True)
    elif identity.beard == "goatee":
        brush.paint(ellipse(0.13, 0.16), (across, mouth_v + 0.10), (0.14, 0.18), hair, face=True)
    if identity.beard in ("full", "moustache", "goatee"):
        thickness = 0.045 if identity.beard == "moustache" else 0.03
        brush.paint(arc(0.17, -0.05, thickness), (across, mouth_v - 0.055), (0.24, 0.14), hair, face=True)

    eyes = []
    for side in (-1.0, 1.0):
        u = side * identity.eye_spacing + across
        eyes.append((u, eye_v))
        half_width = identity.eye_size * (1.0 - 0.25 * np.maximum(side * p.yaw, 0.0))
        half_height = identity.eye_size * 0.78 * np.maximum(p.eyes_open, 0.12)
        reach = (identity.eye_size + 0.02, identity.eye_size + 0.02)
        lidded = p.eyes_open < 0.3
        white = ellipse(half_width, half_height)
        brush.paint(white, (u, eye_v), reach, (0.98, 0.98, 0.98), face=True)
        gaze = 0.25 * identity.eye_size * p.yaw
        pupil = np.where(lidded, 0.0, 1.0).astype(np.float32)
        iris_size = identity.eye_size * 0.58
        iris = above(ellipse(iris_size, iris_size), _moved(white, -gaze))
        brush.paint(iris, (u + gaze, eye_v), reach, IRISES[identity.iris], opacity=pupil, face=True)
        brush.paint(ellipse(iris_size * 0.45, iris_size * 0.45), (u + gaze, eye_v), reach, (0.02, 0.02, 0.02),
                    opacity=pupil, face=True)  # fmt: skip
        lid = arc(half_width, -half_height, 0.016)
        brush.paint(
            lid, (u, eye_v), (identity.eye_size + 0.05, identity.eye_size + 0.05), (0.12, 0.09, 0.08), face=True
        )
        _brow(brush, identity, hair, u, eye_v - identity.eye_size - 0.055 - 0.045 * p.brows, side)

    if identity.glasses != "none":
        _glasses(brush, identity, eyes)
    _nose(brush, identity, skin, nose_across, eye_v + 0.05, nose_v)

    corner_v = mouth_v - 0.075 * p.smile
    bend = 0.09 * p.smile
    lips = (0.72, 0.30, 0.30) if identity.skin not in ("dark", "deep", "brown") else (0.55, 0.22, 0.22)
    opening = np.maximum(0.11 * p.mouth_open, 1e-3)
    opacity = np.clip(p.mouth_open * 6.0, 0.0, 1.0).astype(np.float32)
    wide = identity.mouth_width * (1.0 - 0.35 * p.mouth_open)
    brush.paint(
        ellipse(wide * 0.8, opening + identity.lip), (across, corner_v + bend), (0.25, 0.2), lips,
        opacity=opacity, face=True,
    )  # fmt: skip
    brush.paint(
        ellipse(wide * 0.7, opening), (across, corner_v + bend), (0.25, 0.2), (0.22, 0.05, 0.06),
        opacity=opacity, face=True,
    )  # fmt: skip
    brush.paint(arc(wide, bend, identity.lip), (across, corner_v), (0.3, 0.2), lips, opacity=1.0 - opacity, face=True)
    return [*eyes, (nose_across, nose_v), (across - wide, corner_v), (across + wide, corner_v)]


def _moved(shape: Distance, by: Floats) -> Distance:
    return lambda u, v: shape(u - column(by), v)


def _brow(brush: Brush, identity: Identity, hair: Colour, u: Floats, v: Floats, side: float) -> None:
    colour = _shade(hair, 0.75) if identity.hair_colour != "white" else (0.75, 0.75, 0.74)
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
    shadow = _shade(skin, 0.72)
    if identity.nose == "long":
        brush.paint(capsule(0.0, tip - top, 0.026), (u, top), (0.06, 0.3), shadow, face=True)
    elif identity.nose == "wide":
        brush.paint(ellipse(0.085, 0.045), (u, tip), (0.1, 0.06), shadow, face=True)
    else:
        brush.paint(ellipse(0.045, 0.045), (u, tip), (0.06, 0.06), shadow, face=True)


def _glasses(brush: Brush, identity: Identity, eyes: list[tuple[Floats, Floats]]) -> None:
    frame = (0.08, 0.08, 0.1)
    half = identity.eye_spacing * 0.78
    for u, v in eyes:
        lens = ellipse(half, half) if identity.glasses == "round" else box(half, half * 0.8, 0.03)
        reach = (half + 0.04, half + 0.04)
        if identity.glasses == "dark":
            brush.paint(lens, (u, v), reach, frame, opacity=0.9, face=True)
        else:
            rim: Distance = lambda a, b, lens=lens: np.abs(lens(a, b)) - 0.018  # type: ignore[misc] # noqa: E731
            brush.paint(rim, (u, v), reach, frame, face=True)
    gap = 2 * (identity.eye_spacing - half)
    brush.paint(capsule(gap, 0.0, 0.018), (eyes[0][0] + half, eyes[0][1]), (gap + 0.05, 0.05), frame, face=True)


def _hair_behind(brush: Brush, identity: Identity, hair: Colour) -> None:
    width = identity.face_width
    if identity.hair_style == "long":
        brush.paint(box(width + 0.14, 0.72, 0.3), (0.0, 0.12), (width + 0.14, 0.72), _shade(hair, 0.85))
    elif identity.hair_style == "bob":
        brush.paint(box(width + 0.13, 0.46, 0.3), (0.0, -0.12), (width + 0.13, 0.46), _shade(hair, 0.85))
    elif identity.hair_style == "curly":
        for turn in np.linspace(0.75, 2.25, 9) * np.pi:
            centre = (float(np.sin(turn + np.pi) * -(width + 0.08)), float(-0.16 + np.cos(turn + np.pi) * -0.40))
            brush.paint(ellipse(0.2, 0.2), centre, (0.2, 0.2), _shade(hair, 0.92))
    elif identity.hair_style == "bun":
        brush.paint(ellipse(0.2, 0.18), (0.0, -0.66), (0.22, 0.2), _shade(hair, 0.9))


def _hair_in_front(brush: Brush, identity: Identity, hair: Colour) -> None:
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


def _hat(brush: Brush, identity: Identity) -> None:
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
        brush.paint(box(width + 0.09, 0.06, 0.05), (0.0, -0.33), (width + 0.1, 0.07), _shade(colour, 0.7))
        brush.paint(ellipse(0.09, 0.09), (0.0, -0.66), (0.1, 0.1), _shade(colour, 0.7))
    elif identity.hat == "cap":
        brush.paint(box(0.30, 0.045, 0.04), (0.22, -0.32), (0.34, 0.06), _shade(colour, 0.6))
    else:
        brush.paint(ellipse(width + 0.30, 0.085), (0.0, -0.33), (width + 0.3, 0.1), _shade(colour, 0.8))
