"""Photos of one drawn person, each with its own pose, expression, light, backdrop and framing."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ingredients.world.backdrops import LIGHTS, PLACES, apply_light, draw_backdrop
from ingredients.world.identity import Identity
from ingredients.world.performance import Performance
from ingredients.world.person import draw_person
from ingredients.world.shapes import Canvas, Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Portrait:
    """A photo and its truth.

    Attributes:
        image: (S, S, 3) uint8 RGB.
        box: (4,) float32 pixels, left, top, right, bottom of the visible face.
        landmarks: (5, 2) float32 pixels, eye at the left of the picture, other eye, nose, left, right mouth corner.
        face_mask: (S, S) bool.
        person_mask: (S, S) bool, whatever is not backdrop.
    """

    image: NDArray[np.uint8]
    box: Floats
    landmarks: Floats
    face_mask: NDArray[np.bool_]
    person_mask: NDArray[np.bool_]


def render_portrait(identity: Identity, seed: int, *, size: int = 128) -> Portrait:
    """Takes photo number `seed` of a person.

    Args:
        identity: whom.
        seed: any integer; decides pose, expression, light, backdrop and framing.
        size: side of the square photo in pixels, at least 32.

    Raises:
        ValueError: the size is under 32.
    """
    if size < 32:
        raise ValueError(f"a portrait is at least 32 pixels wide, not {size}")
    rng = np.random.default_rng([abs(seed), int(seed < 0), 77])

    def one(low: float, high: float) -> Floats:
        return rng.uniform(low, high, 1).astype(np.float32)

    canvas = Canvas(1, size, size)
    if rng.random() < 0.5:
        canvas.image[:] = rng.uniform(0.35, 0.95, 3).astype(np.float32)
    else:
        draw_backdrop(canvas, str(rng.choice(PLACES)), rng)
    scale = one(0.44, 0.60) * size
    performance = Performance(
        x=size / 2 + one(-0.05, 0.05) * size,
        y=size * 0.50 + one(-0.04, 0.05) * size,
        scale=scale,
        tilt=one(-0.16, 0.16),
        yaw=one(-0.6, 0.6),
        pitch=one(-0.5, 0.5),
        smile=one(-0.7, 1.0),
        mouth_open=np.maximum(one(-0.8, 0.7), 0.0),
        eyes_open=one(0.75, 1.0),
        brows=one(-0.4, 0.7),
        hand=np.zeros(1, np.float32),
        hand_swing=np.zeros(1, np.float32),
    )
    landmarks = draw_person(canvas, 0, identity, performance)[0]
    apply_light(canvas.image, str(rng.choice(LIGHTS)), rng, strength=0.6)
    person_mask = canvas.owner[0] == 0
    face_mask = canvas.face[0] & person_mask
    return Portrait(
        image=to_uint8(canvas.image[0]),
        box=mask_box(face_mask),
        landmarks=landmarks,
        face_mask=face_mask,
        person_mask=person_mask,
    )


def to_uint8(image: Floats) -> NDArray[np.uint8]:
    """[0, 1] to 0..255, rounded."""
    return np.asarray(np.clip(image * 255.0 + 0.5, 0, 255), np.uint8)


def mask_box(mask: NDArray[np.bool_]) -> Floats:
    """The pixels' bounding box, left, top, right, bottom; all NaN where the mask is empty."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not rows.size:
        return np.full(4, np.nan, np.float32)
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], np.float32)
