"""Clips of one to four drawn people doing what a sentence says, with exact masks, boxes and landmarks.

Legend: F frames, N people, H/W pixels.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ingredients.world.backdrops import LIGHTS, PLACES, apply_light, draw_backdrop
from ingredients.world.captions import (
    ACTIONS,
    ADDRESSED,
    EXPRESSIONS,
    NAMES,
    Manner,
    Role,
    SceneAttributes,
    Spot,
    describe_roles,
    describe_scene,
)
from ingredients.world.identity import Identity, Split, sample_identity
from ingredients.world.performance import WAY_OUT, Journey, Stand, perform
from ingredients.world.person import draw_person
from ingredients.world.portraits import mask_box, to_uint8
from ingredients.world.shapes import Canvas, Floats
from ingredients.world.styles import TOGETHER, SceneStyle

MAX_PEOPLE = 4
_COUNT_SHARES = (0.2, 0.5, 0.22, 0.08)

_PASSING = ("come", "leave")
_PASSING_SHARE = 0.3
"""Share of scenes with somebody who comes or leaves; the others stay."""

_SPOTS: dict[int, tuple[Spot, ...]] = {
    1: ("alone",),
    2: ("left", "right"),
    3: ("left", "middle", "right"),
    4: ("back left", "back right", "front left", "front right"),
}
_DEPTH_SPOTS: tuple[Spot, ...] = ("behind", "front")
"""Where people stand, by their number: from the left, or from behind. The place in the table is the slot."""

PLACES_ACROSS: dict[int, tuple[Spot, ...]] = {
    **{count: spots for count, spots in _SPOTS.items() if count < 4},
    4: ("back left", "front left", "back right", "front right"),
}
"""Where people stand, by their number, in the order from left to right."""


class Act(NamedTuple):
    """What one person of a scene does, and how they look."""

    action: str
    expression: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneSpec:
    """A scene before it is drawn.

    Attributes:
        people: who takes part; where each stands is decided by `seed` alone, so their order says nothing about it.
        attributes: what happens, where, in which light.
        caption: a sentence that says so.
        seed: decides everything else.
        roles: what each person does, and where; empty where all do what `attributes` say.
        style: how the scene is framed and played.
        zoom: size of the faces, against those of the style.
        journeys: ways that people go besides their actions, each with the index of the person.
    """

    people: tuple[Identity, ...]
    attributes: SceneAttributes
    caption: str
    seed: int
    roles: tuple[Role, ...] = ()
    style: SceneStyle = TOGETHER
    zoom: float = 1.0
    journeys: tuple[tuple[int, Journey], ...] = ()

    @property
    def cast(self) -> tuple[int, ...]:
        """Indices of the people who are no extras: those whose photos are given."""
        return tuple(index for index in range(len(self.people)) if not (self.roles and self.roles[index].is_extra))

    @property
    def acts(self) -> tuple[Act, ...]:
        """What each person does, whether all do the same or each has a role of the own."""
        together = (Act(self.attributes.action, self.attributes.expression),) * len(self.people)
        return tuple(Act(role.action, role.expression) for role in self.roles) or together


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
    style: SceneStyle = TOGETHER,
    num_extras: int = 0,
) -> SceneSpec:
    """Draws scene number `seed`.

    Args:
        seed: any integer.
        split: whose identities take part.
        num_people: 1 to 4; drawn if None and no `people` are given.
        people: the people themselves; none of them is an extra then, but the last `num_extras`.
        action: fixes what everybody does; likewise `expression`, `place` and `light`.
        expression: see `action`.
        place: see `action`.
        light: see `action`.
        style: how the scene is cast, framed and played.
        num_extras: how many of the given `people` are extras, where the style deals roles.

    Raises:
        ValueError: an attribute or a number of people that the world does not know.
    """
    rng = np.random.default_rng([abs(seed), int(seed < 0), 11])
    drawn_count = int(rng.choice(MAX_PEOPLE, p=_COUNT_SHARES)) + 1
    given = people is not None
    if people is None:
        first = int(rng.integers(0, 2**40))
        people = [sample_identity(first + index, split) for index in range(num_people or drawn_count)]
    elif num_people not in (None, len(people)):
        raise ValueError(f"num_people is {num_people}, but {len(people)} people are given")
    tables = (tuple(ACTIONS), tuple(EXPRESSIONS), PLACES, LIGHTS)
    drawn = [str(rng.choice(table)) for table in tables]
    attributes = SceneAttributes(
        count=len(people),
        action=action or drawn[0],
        expression=expression or drawn[1],
        place=place or drawn[2],
        light=light or drawn[3],
    )
    if style is not TOGETHER:
        rng = np.random.default_rng([abs(seed), int(seed < 0), 13])
        known_extras = num_extras if given else None
        roles = _cast(attributes, style, rng, action=action, expression=expression, num_extras=known_extras)
        return _with_roles(tuple(people), attributes, roles, style, seed, rng)
    return SceneSpec(people=tuple(people), attributes=attributes, caption=describe_scene(attributes, rng), seed=seed)


def _cast(
    attributes: SceneAttributes,
    style: SceneStyle,
    rng: np.random.Generator,
    *,
    action: str | None,
    expression: str | None,
    num_extras: int | None,
) -> tuple[Role, ...]:
    """Deals spots, names, actions and expressions; the number of extras as well, where it is None."""
    count = attributes.count
    spots = _DEPTH_SPOTS if count == 2 and rng.random() < style.behind_share else _SPOTS[count]
    dealt = [spots[slot] for slot in rng.permutation(count)]
    names = [str(name) for name in rng.choice(NAMES, count, replace=False)]
    if num_extras is None:
        num_extras = int(rng.integers(1, count)) if count > 1 and rng.random() < style.extra_share else 0
    each_own = count - num_extras == 1 or rng.random() < style.own_share
    if action is not None:
        check_action(action, style)
    staying = [what for what in style.actions if what not in _PASSING and (count > 1 or what != "face")]
    passing = [what for what in style.actions if what in _PASSING]
    passer = int(rng.integers(count)) if passing and rng.random() < _PASSING_SHARE else None
    shared = action or str(rng.choice(staying)), expression or str(rng.choice(tuple(EXPRESSIONS)))
    roles = []
    for index, spot in enumerate(dealt):
        possible = passing if index == passer and spot != "middle" else staying  # the middle has no way out
        own = action or str(rng.choice(possible)), expression or str(rng.choice(tuple(EXPRESSIONS)))
        is_extra = index >= count - num_extras
        what, face = own if each_own or is_extra else shared
        others = [other for other in range(count) if other != index]
        to = None
        if each_own and others and what in ADDRESSED and (what == "face" or rng.random() < 0.35):
            to = int(rng.choice(others))
        roles.append(Role(name=names[index], spot=spot, action=what, expression=face, to=to, is_extra=is_extra))
    return tuple(roles)


def _with_roles(
    people: tuple[Identity, ...],
    attributes: SceneAttributes,
    roles: tuple[Role, ...],
    style: SceneStyle,
    seed: int,
    rng: np.random.Generator,
) -> SceneSpec:
    cast = [role for role in roles if not role.is_extra]
    together = len({(role.action, role.expression, role.to) for role in cast}) == 1 and cast[0].to is None
    unnamed: Manner = "all" if together else "place"
    manner: Manner = "name" if rng.random() < style.named_share else unnamed
    caption = describe_roles(attributes, roles, rng, manner=manner)
    loose = rng.random() < style.loose_share
    return SceneSpec(
        people=people,
        attributes=dataclasses.replace(attributes, action=cast[0].action, expression=cast[0].expression),
        caption=caption,
        seed=seed,
        roles=roles,
        style=style,
        zoom=style.loose_zoom if loose else 1.0,
    )


def check_action(action: str, style: SceneStyle) -> None:
    """Refuses an action that nobody does in scenes of a style.

    Raises:
        ValueError: naming those that people do.
    """
    if action not in style.actions:
        raise ValueError(f"unknown action {action!r}; known: {', '.join(style.actions)}")


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
    stands = _stands(spec, height, width, rng)
    depths = sorted(range(count), key=lambda index: stands[index].depth)  # far first
    landmarks = np.zeros((num_frames, count, 5, 2), np.float32)
    performances = [
        perform(*act, stand, seconds, rng, spec.style.motion) for act, stand in zip(spec.acts, stands, strict=True)
    ]
    for index, journey in spec.journeys:
        way = journey.travel(stands[index], seconds, next_stand=stands[(index + 1) % count])
        performances[index].x = np.asarray(performances[index].x + way, np.float32)
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


def _stands(spec: SceneSpec, height: int, width: int, rng: np.random.Generator) -> list[Stand]:
    """Where each person stands; without roles the places are dealt at random: the order of the people says nothing."""
    count, style = len(spec.people), spec.style
    unit = min(float(height), width / 1.5)
    low, high = style.face_heights[count]
    heading = float(rng.choice((-1.0, 1.0)))
    behind = any(role.spot == "behind" for role in spec.roles)
    side = float(rng.choice((-1.0, 1.0))) if behind else 1.0
    places = []
    for slot in range(count):
        face = float(rng.uniform(low, high)) * unit * spec.zoom
        depth = 0
        if count == 4:  # two behind, two in front, staggered
            depth, place = divmod(slot, 2)
            x = width * ((0.17, 0.68)[place] if depth == 0 else (0.38, 0.86)[place])
            y = height * (0.27 if depth == 0 else 0.66)
        elif behind:
            depth = slot
            x = width * (0.5 + side * (-0.17 if slot == 0 else 0.14))
            y = height * (style.face_middle + (-0.09 if slot == 0 else 0.10))
            face *= 0.82 if slot == 0 else 1.0
        else:
            x = width * (slot + 0.5) / count
            middle = style.face_middle if count < 3 else style.face_middle - 0.02
            y = height * middle + rng.uniform(-0.03, 0.05) * height
        x += float(rng.uniform(-0.02, 0.02)) * width
        places.append((x, float(y), face, depth + float(rng.random()) * 0.5))
    known = _DEPTH_SPOTS if behind else _SPOTS[count]
    slots = [known.index(role.spot) for role in spec.roles] or rng.permutation(count).tolist()
    stands = []
    for index, slot in enumerate(slots):
        x, y, face, depth = places[slot]
        towards = 0.0
        if spec.roles and (to := _addressed(spec.roles, index)) is not None:
            towards = float(np.sign(places[slots[to]][0] - x))
        own_heading = heading if not spec.roles else (heading, -heading)[index % 2]
        outer = face * WAY_OUT
        stands.append(
            Stand(
                x=x,
                y=y,
                face=face,
                depth=depth,
                room=width / (count + 1),
                way_out=-(x + outer) if x < width / 2 else width - x + outer,
                heading=own_heading,
                towards=towards,
                waves_inside=bool(spec.roles),
            )
        )
    return stands


def _addressed(roles: Sequence[Role], index: int) -> int | None:
    """Whom a person turns to: the one for whom the action is meant; those who turn to each other, the next one."""
    role = roles[index]
    if role.to is None and role.action == "face" and len(roles) > 1:
        return (index + 1) % len(roles)
    return role.to


ABSENT, VISIBLE, HIDDEN = 0, 1, 2
"""State of a face in a picture: not there; in view; there, but covered by someone or cut by the border."""


def face_states(scene: Scene, *, min_landmarks: int = 4) -> NDArray[np.uint8]:
    """Whether each face is in view: four of its five landmarks are on pixels of its own person.

    Args:
        scene: whose faces.
        min_landmarks: another number of landmarks than four.

    Returns:
        (F, N): `VISIBLE` or `HIDDEN`.
    """
    num_frames, num_people, height, width = scene.person_masks.shape
    columns = np.floor(scene.landmarks[..., 0]).astype(int)
    rows = np.floor(scene.landmarks[..., 1]).astype(int)  # (F, N, 5)
    inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    frame, person = np.ogrid[:num_frames, :num_people]
    own = scene.person_masks[frame[..., None], person[..., None], rows.clip(0, height - 1), columns.clip(0, width - 1)]
    in_view = (inside & own).sum(-1) >= min_landmarks
    boxed = np.isfinite(scene.boxes).all(-1)
    return np.where(in_view & boxed, VISIBLE, HIDDEN).astype(np.uint8)
