"""Clips of one to four drawn people doing what a sentence says, with exact masks, boxes and landmarks.

Legend: F frames, N people, H/W pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ingredients.world.backdrops import LIGHTS, PLACES, apply_light, draw_backdrop
from ingredients.world.captions import ACTIONS, EXPRESSIONS, SceneAttributes, describe_scene
from ingredients.world.identity import Identity, Split, sample_identity
from ingredients.world.performance import Performance
from ingredients.world.person import draw_person
from ingredients.world.portraits import mask_box, to_uint8
from ingredients.world.shapes import Canvas, Floats

MAX_PEOPLE = 4
_COUNT_SHARES = (0.2, 0.5, 0.22, 0.08)
_FACE_HEIGHTS = {1: (0.64, 0.80), 2: (0.64, 0.74), 3: (0.49, 0.57), 4: (0.45, 0.50)}
"""Height of a face over the height of the picture (3:2), by the number of people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneSpec:
    """A scene before it is drawn.

    Attributes:
        people: who takes part; where each stands is decided by `seed` alone, so their order says nothing about it.
        attributes: what happens, where, in which light.
        caption: a sentence that says so.
        seed: decides everything else.
    """

    people: tuple[Identity, ...]
    attributes: SceneAttributes
    caption: str
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A clip and its truth.

    Attributes:
        frames: (F, H, W, 3) uint8 RGB.
        face_masks: (F, N, H, W) bool, visible skin and features of each face.
        person_masks: (F, N, H, W) bool, everything visible of each person.
        boxes: (F, N, 4) float32 pixels, of the visible face; NaN where it is hidden.
        landmarks: (F, N, 5, 2) float32 pixels.
        caption: the sentence.
    """

    frames: NDArray[np.uint8]
    face_masks: NDArray[np.bool_]
    person_masks: NDArray[np.bool_]
    boxes: Floats
    landmarks: Floats
    caption: str


def sample_scene(
    seed: int,
    *,
    split: Split = "train",
    num_people: int | None = None,
    people: Sequence[Identity] | None = None,
    action: str | None = None,
    expression: str | None = None,
    place: str | None = None,
    light: str | None = None,
) -> SceneSpec:
    """Draws scene number `seed`.

    Args:
        seed: any integer.
        split: whose identities take part.
        num_people: 1 to 4; drawn if None and no `people` are given.
        people: the people themselves.
        action: fixes the action; likewise `expression`, `place` and `light`.
        expression: see `action`.
        place: see `action`.
        light: see `action`.

    Raises:
        ValueError: an attribute or a number of people that the world does not know.
    """
    rng = np.random.default_rng([abs(seed), int(seed < 0), 11])
    drawn_count = int(rng.choice(MAX_PEOPLE, p=_COUNT_SHARES)) + 1
    if people is None:
        first = int(rng.integers(0, 2**40))
        people = [sample_identity(first + index, split) for index in range(num_people or drawn_count)]
    elif num_people not in (None, len(people)):
        raise ValueError(f"num_people is {num_people}, but {len(people)} people are given")
    drawn = [str(rng.choice(table)) for table in (tuple(ACTIONS), tuple(EXPRESSIONS), PLACES, LIGHTS)]
    attributes = SceneAttributes(
        count=len(people),
        action=action or drawn[0],
        expression=expression or drawn[1],
        place=place or drawn[2],
        light=light or drawn[3],
    )
    return SceneSpec(people=tuple(people), attributes=attributes, caption=describe_scene(attributes, rng), seed=seed)


def render_scene(
    spec: SceneSpec, *, height: int = 64, width: int = 96, num_frames: int = 9, fps: float = 8.0
) -> Scene:
    """Draws a scene.

    Args:
        spec: what to draw.
        height: pixels, at least 32.
        width: pixels, at least 32.
        num_frames: at least 1.
        fps: frames a second: the motion's speed does not depend on it.

    Raises:
        ValueError: a size or frame count below these.
    """
    if min(height, width) < 32 or num_frames < 1:
        raise ValueError(f"a scene has at least 32x32 pixels and 1 frame, not {width}x{height} and {num_frames}")
    rng = np.random.default_rng([abs(spec.seed), int(spec.seed < 0), 12])
    canvas, count = Canvas(num_frames, height, width), len(spec.people)
    draw_backdrop(canvas, spec.attributes.place, rng)
    seconds = np.arange(num_frames, dtype=np.float32) / np.float32(fps)
    heading = float(rng.choice((-1.0, 1.0)))
    spots = _spots(count, height, width, rng)
    depths = sorted(range(count), key=lambda index: spots[index][3])  # far first
    landmarks = np.zeros((num_frames, count, 5, 2), np.float32)
    performances = [
        _perform(spec.attributes, spots[index][:3], width / (count + 1), heading, seconds, rng)
        for index in range(count)
    ]
    for index in depths:
        landmarks[:, index] = draw_person(canvas, index, spec.people[index], performances[index])
    apply_light(canvas.image, spec.attributes.light, rng)
    person_masks = np.stack([canvas.owner == index for index in range(count)], 1)  # (F, N, H, W)
    face_masks = person_masks & canvas.face[:, None]
    boxes = np.stack([[mask_box(mask) for mask in frame] for frame in face_masks])
    return Scene(
        frames=to_uint8(canvas.image),
        face_masks=face_masks,
        person_masks=person_masks,
        boxes=boxes,
        landmarks=landmarks,
        caption=spec.caption,
    )


def _spots(count: int, height: int, width: int, rng: np.random.Generator) -> list[tuple[float, float, float, float]]:
    """(x, y, face height, depth) for each person, dealt at random: the order of the people says nothing."""
    unit = min(float(height), width / 1.5)
    low, high = _FACE_HEIGHTS[count]
    spots = []
    for slot in range(count):
        face = float(rng.uniform(low, high)) * unit
        if count == 4:  # two behind, two in front, staggered
            row, place = divmod(slot, 2)
            x = width * ((0.17, 0.68)[place] if row == 0 else (0.38, 0.86)[place])
            y = height * (0.27 if row == 0 else 0.66)
        else:
            row = 0
            x = width * (slot + 0.5) / count
            y = height * (0.50 if count < 3 else 0.48) + rng.uniform(-0.03, 0.05) * height
        x += float(rng.uniform(-0.02, 0.02)) * width
        spots.append((x, float(y), face, row + float(rng.random()) * 0.5))
    return [spots[index] for index in rng.permutation(count)]


def _perform(
    attributes: SceneAttributes,
    spot: tuple[float, float, float],
    room: float,
    heading: float,
    seconds: Floats,
    rng: np.random.Generator,
) -> Performance:
    """The motion of one person: the action, its own phase and amplitude, an expression, blinks."""
    zero = np.zeros_like(seconds)
    phase, pace, amount = rng.uniform(0, 2 * np.pi), rng.uniform(0.85, 1.15), rng.uniform(0.75, 1.0)

    def swing(hertz: float, low: float = -1.0, high: float = 1.0) -> Floats:
        wave = np.sin(2 * np.pi * hertz * pace * seconds + phase) * amount
        return np.asarray((low + high) / 2 + (high - low) / 2 * wave, np.float32)

    x, y, face = spot
    action = attributes.action
    smile, mouth_open, brows = {
        "smile": (0.9, 0.12, 0.2),
        "serious": (0.0, 0.0, -0.2),
        "sad": (-0.9, 0.0, 0.3),
        "surprised": (0.1, 0.75, 0.9),
    }[attributes.expression]
    travel = zero
    if action == "walk":
        middle = seconds[-1] / 2
        travel = np.asarray(heading * (seconds - middle) * 0.16 * room * amount, np.float32)
    bob = swing(1.6, -0.02, 0.03) if action == "walk" else zero
    sway = swing(0.8, -0.06, 0.06) if action == "sway" else zero
    talking = np.maximum(swing(2.2, -0.2, 0.8), 0.0) if action == "talk" else zero
    yaw = rng.uniform(-0.35, 0.35) + (0.4 * heading if action == "walk" else 0.0)
    blink = np.abs(seconds - rng.uniform(-0.3, 1.8)) < 0.09
    return Performance(
        x=np.asarray(x + travel + sway * face, np.float32),
        y=np.asarray(y + bob * face, np.float32),
        scale=np.full_like(seconds, face),
        tilt=rng.uniform(-0.10, 0.10) + (swing(0.8, -0.16, 0.16) if action == "sway" else zero),
        yaw=np.asarray(swing(0.7) if action == "turn" else yaw + zero),
        pitch=np.asarray((swing(1.3) if action == "nod" else rng.uniform(-0.25, 0.25)) + zero, np.float32),
        smile=np.asarray(smile + rng.uniform(-0.1, 0.1) + zero, np.float32),
        mouth_open=np.asarray(np.clip(mouth_open + talking, 0.0, 1.0), np.float32),
        eyes_open=np.asarray(np.where(blink, 0.1, 1.0), np.float32),
        brows=np.asarray(brows + zero, np.float32),
        hand=np.full_like(seconds, 1.0 if action == "wave" else 0.0),
        hand_swing=swing(1.6),
        hand_side=int(rng.choice((-1, 1))),
    )
