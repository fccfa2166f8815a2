"""What a person does in a clip, as numbers for each frame."""

from dataclasses import dataclass

from ingredients.world.shapes import Floats

FACE_HALF_HEIGHT = 0.5
"""Local units: the height of the face is 1."""


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
