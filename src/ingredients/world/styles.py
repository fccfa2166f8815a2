"""How scenes are cast, framed and played: all doing the same, and the whole of the world."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from ingredients.world.captions import ACTIONS, ROLE_ACTIONS


@dataclass(frozen=True, slots=True, kw_only=True)
class Motion:
    """How large the motions are; 1 is what `person.py` draws for a value of 1.

    Attributes:
        walk: way of a walker in a second, in parts of the room that each person has.
        sway: how far a swaying body goes to either side, in face heights.
        sway_tilt: how far its head leans, in radians.
        nod: how far a nodding head goes down and up, in face heights, beside what its features do.
        turn: yaw of a head that looks around.
        wave: sideways swing of a waving hand.
    """

    walk: float
    sway: float
    sway_tilt: float
    nod: float
    turn: float
    wave: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneStyle:
    """A way of making scenes.

    Attributes:
        name: the name by which commands and records know it.
        actions: what people do in it.
        face_heights: lowest and highest height of a face over the height of the picture (3:2), by number of people.
        face_middle: where the middle of the faces lies in the height of the picture, for up to three people.
        loose_share: share of scenes that are framed from farther away, so that shoulders and hands fit.
        loose_zoom: size of the faces in these, against the others.
        own_share: share of scenes of several people in which each has an action and an expression of the own.
        named_share: share of captions that call people by name.
        behind_share: share of scenes of two people in which one stands behind the other.
        extra_share: share of scenes of several people in which some are extras, whom no photo shows.
        motion: how large the motions are.
    """

    name: str
    actions: tuple[str, ...]
    face_heights: Mapping[int, tuple[float, float]]
    face_middle: float
    loose_share: float
    loose_zoom: float
    own_share: float
    named_share: float
    behind_share: float
    extra_share: float
    motion: Motion


TOGETHER = SceneStyle(
    name="together",
    actions=tuple(ACTIONS),
    face_heights=MappingProxyType({1: (0.64, 0.80), 2: (0.64, 0.74), 3: (0.49, 0.57), 4: (0.45, 0.50)}),
    face_middle=0.50,
    loose_share=0.0,
    loose_zoom=1.0,
    own_share=0.0,
    named_share=0.0,
    behind_share=0.0,
    extra_share=0.0,
    motion=Motion(walk=0.16, sway=0.06, sway_tilt=0.16, nod=0.0, turn=1.0, wave=1.0),
)
"""Everybody does the same, close to the camera."""

EACH_OWN = SceneStyle(
    name="each-own",
    actions=tuple(ROLE_ACTIONS),
    face_heights=MappingProxyType({1: (0.52, 0.68), 2: (0.50, 0.62), 3: (0.42, 0.50), 4: (0.38, 0.44)}),
    face_middle=0.43,
    loose_share=0.25,
    loose_zoom=0.78,
    own_share=0.65,
    named_share=0.5,
    behind_share=0.15,
    extra_share=0.15,
    motion=Motion(walk=0.42, sway=0.15, sway_tilt=0.24, nod=0.06, turn=1.25, wave=2.2),
)
"""Each person has an action, an expression, a place and a name of the own, among extras, with room for hands."""

STYLES: Mapping[str, SceneStyle] = MappingProxyType({style.name: style for style in (TOGETHER, EACH_OWN)})
"""The styles by name."""
