"""Draws one person: body, head, features, frame by frame.

Local units: the height of the face (hairline of a bald head to chin) is 1, the origin is the face's middle, u goes to
the right of the picture, v down. F is the number of frames.
"""

import numpy as np

from ingredients.world.features import draw_features, draw_hair_behind, draw_hair_in_front, draw_hat
from ingredients.world.identity import CLOTH_COLOURS, HAIR_COLOURS, SKINS, Identity
from ingredients.world.performance import FACE_HALF_HEIGHT, Performance
from ingredients.world.shapes import (
    Brush,
    Canvas,
    Colour,
    Distance,
    Floats,
    Pose2D,
    above,
    box,
    capsule,
    ellipse,
    head,
    shade,
)


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
    skin = shade(SKINS[identity.skin], 1.0 + identity.tint)
    hair = shade(HAIR_COLOURS[identity.hair_colour], 1.0 + 2.0 * identity.tint)
    draw_hair_behind(brush, identity, hair)
    _body(body, identity, skin)
    _ears_and_face(brush, identity, skin, p)
    landmarks = draw_features(brush, identity, skin, hair, p)
    draw_hair_in_front(brush, identity, hair)
    draw_hat(brush, identity)
    _raised_hand(body, identity, skin, p)
    return np.stack([np.stack(head_pose.to_pixels(u, v), -1) for u, v in landmarks], 1).astype(np.float32)


def _body(brush: Brush, identity: Identity, skin: Colour) -> None:
    cloth = CLOTH_COLOURS[identity.shirt_colour]
    brush.paint(box(0.16, 0.3, 0.1), (0.0, 0.55), (0.16, 0.3), shade(skin, 0.86))
    torso = box(0.66, 1.2, 0.34)
    brush.paint(torso, (0.0, 1.86), (0.66, 1.2), cloth)
    if identity.shirt == "stripes":
        stripes: Distance = lambda u, v: np.abs(np.mod(v + 1.2, 0.26) - 0.13) - 0.05  # noqa: E731
        brush.paint(above(torso, stripes), (0.0, 1.86), (0.66, 1.2), shade(cloth, 0.55))
    elif identity.shirt == "collar":
        for side in (-1.0, 1.0):
            brush.paint(capsule(side * 0.17, -0.15, 0.05), (side * 0.05, 0.84), (0.26, 0.24), (0.97, 0.97, 0.97))


def _ears_and_face(brush: Brush, identity: Identity, skin: Colour, p: Performance) -> None:
    shift = p.yaw * -0.07
    for side in (-1.0, 1.0):
        centre = (side * identity.face_width + shift, 0.0)
        brush.paint(ellipse(identity.ear * 0.8, identity.ear * 1.2), centre, (0.12, 0.16), shade(skin, 0.9))
    outline = head(identity.face_width, FACE_HALF_HEIGHT, identity.jaw)
    brush.paint(outline, (0.0, 0.0), (identity.face_width, FACE_HALF_HEIGHT), skin, face=True)


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
        shade(cloth, 0.9),
    )
    brush.paint(ellipse(0.12, 0.14), (u, v), (0.14, 0.16), skin)
    for finger in (-0.08, 0.0, 0.08):
        brush.paint(capsule(finger * 0.6, -0.11, 0.03), (u + finger, v - 0.08), (0.1, 0.18), skin)
