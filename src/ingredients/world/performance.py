"""What a person does in a clip, as numbers for each frame.

Legend: F frames.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ingredients.world.shapes import Floats
from ingredients.world.styles import Motion

FACE_HALF_HEIGHT = 0.5
"""Local units: the height of the face is 1."""

WAY_OUT = 0.75
"""How far beyond the border, in face heights, the middle of a face is out of sight with all its hair."""

_FACES: dict[str, tuple[float, float, float]] = {
    "smile": (0.9, 0.12, 0.2),
    "serious": (0.0, 0.0, -0.2),
    "sad": (-0.9, 0.0, 0.3),
    "surprised": (0.1, 0.75, 0.9),
}
"""Smile, opening of the mouth and height of the brows, by expression."""

_TOWARDS = 0.6
"""Yaw of a head that looks at somebody."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Stand:
    """Where a person stands, in pixels.

    Attributes:
        x: middle of the face.
        y: middle of the face.
        face: height of the face.
        depth: larger is nearer.
        room: width that the person has to walk in.
        way_out: distance from x to where the person is out of the picture, to the nearer side; negative to the left.
        heading: side that a walker goes to, -1 or 1.
        towards: side of the person whom the action is meant for, -1 or 1; 0 if it is for nobody.
        waves_inside: whether a hand that would be out of the picture is the other one.
    """

    x: float
    y: float
    face: float
    depth: float
    room: float
    way_out: float
    heading: float
    towards: float = 0.0
    waves_inside: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Journey:
    """A way that a person goes besides the action, and back: out of the picture, or across another person's place.

    Attributes:
        goal: where it leads: "out" of the picture on the nearer side, or "across", to where the next person stands.
        leaves: seconds at which the person sets out.
        returns: seconds at which the person sets out for the way back; None if never.
        lasts: seconds that each way takes.
    """

    goal: Literal["out", "across"]
    leaves: float
    returns: float | None
    lasts: float = 0.8

    def travel(self, stand: Stand, seconds: Floats, *, next_stand: Stand) -> Floats:
        """How far aside the person is, in pixels, each (F,)."""
        away = self._done(seconds - self.leaves)
        if self.returns is not None:
            away = away - self._done(seconds - self.returns)
        return np.asarray(away * (stand.way_out if self.goal == "out" else next_stand.x - stand.x), np.float32)

    def _done(self, since: Floats) -> Floats:
        """Share of a way that is done: it begins and ends gently."""
        part = np.clip(since / self.lasts, 0.0, 1.0)
        return np.asarray(part * part * (3 - 2 * part), np.float32)


def perform(
    action: str, expression: str, stand: Stand, seconds: Floats, rng: np.random.Generator, motion: Motion
) -> Performance:
    """The motion of one person: the action, its own phase and amplitude, an expression, blinks.

    Args:
        action: a key of `ROLE_ACTIONS`.
        expression: a key of `EXPRESSIONS`.
        stand: where.
        seconds: (F,), the time of each frame.
        rng: decides phase, pace, amplitude and what is left to chance.
        motion: how large the motions are.
    """
    zero = np.zeros_like(seconds)
    phase, pace, amount = rng.uniform(0, 2 * np.pi), rng.uniform(0.85, 1.15), rng.uniform(0.75, 1.0)

    def swing(hertz: float, low: float = -1.0, high: float = 1.0) -> Floats:
        wave = np.sin(2 * np.pi * hertz * pace * seconds + phase) * amount
        return np.asarray((low + high) / 2 + (high - low) / 2 * wave, np.float32)

    walks = action in ("walk", "come", "leave")
    heading = stand.heading
    travel = zero
    if action == "walk":
        middle = seconds[-1] / 2
        travel = np.asarray(heading * (seconds - middle) * motion.walk * stand.room * amount, np.float32)
    elif walks:
        part = np.clip(seconds / max(0.75 * float(seconds[-1]), 1e-6), 0.0, 1.0)
        arrived = part * part * (3 - 2 * part)  # 0 at the start, 1 for the last quarter
        travel = np.asarray(stand.way_out * (1 - arrived if action == "come" else arrived), np.float32)
        heading = -np.sign(stand.way_out) if action == "come" else np.sign(stand.way_out)
    smile, mouth_open, brows = _FACES[expression]
    bob = swing(1.6, -0.02, 0.03) if walks else zero
    bob = bob + (motion.nod * swing(1.3) if action == "nod" else zero)
    sway = swing(0.8, -motion.sway, motion.sway) if action == "sway" else zero
    talking = np.maximum(swing(2.2, -0.2, 0.8), 0.0) if action == "talk" else zero
    yaw = rng.uniform(-0.35, 0.35) + (0.4 * heading if walks else 0.0)
    if action == "face":
        part = np.clip((seconds - 0.3) / 0.8, 0.0, 1.0)
        side = stand.towards or heading
        turned = np.asarray(side * motion.turn * (2 * part * part * (3 - 2 * part) - 1), np.float32)
    elif action == "turn":
        turned = motion.turn * swing(0.7)
    else:
        turned = yaw + zero + _TOWARDS * stand.towards
    blink = np.abs(seconds - rng.uniform(-0.3, 1.8)) < 0.09
    to_border = abs(stand.way_out) - WAY_OUT * stand.face
    tilt = rng.uniform(-0.10, 0.10) + (swing(0.8, -motion.sway_tilt, motion.sway_tilt) if action == "sway" else zero)
    pitch = (swing(1.3) if action == "nod" else rng.uniform(-0.25, 0.25)) + zero
    smile = smile + rng.uniform(-0.1, 0.1)
    hand_side = int(rng.choice((-1, 1)))
    if stand.waves_inside and to_border < 0.8 * stand.face:
        hand_side = -int(np.sign(stand.way_out))
    return Performance(
        x=np.asarray(stand.x + travel + sway * stand.face, np.float32),
        y=np.asarray(stand.y + bob * stand.face, np.float32),
        scale=np.full_like(seconds, stand.face),
        tilt=tilt,
        yaw=np.asarray(turned, np.float32),
        pitch=np.asarray(pitch, np.float32),
        smile=np.asarray(smile + zero, np.float32),
        mouth_open=np.asarray(np.clip(mouth_open + talking, 0.0, 1.0), np.float32),
        eyes_open=np.asarray(np.where(blink, 0.1, 1.0), np.float32),
        brows=np.asarray(brows + zero, np.float32),
        hand=np.full_like(seconds, 1.0 if action == "wave" else 0.0),
        hand_swing=motion.wave * swing(1.6),
        hand_side=hand_side,
    )
