"""Pairs of action and place that training can leave out, for a benchmark to ask for what was never seen together.

A scene is left out whole, by its seed: those that remain are what their seeds always drew, so that `WORLD_VERSION`,
and every pool of clips that was made with all pairs, stays what it is.
"""

import itertools
from collections.abc import Iterator, Sequence

from ingredients.world.captions import ACTIONS, PLACE_PHRASES, Role, SceneAttributes
from ingredients.world.scenes import sample_scene
from ingredients.world.styles import TOGETHER, SceneStyle

_SECOND_PLACE = 4
"""Places between the two in which an action is held out."""

HELD_OUT_PAIRS: frozenset[tuple[str, str]] = frozenset(
    (action, tuple(PLACE_PHRASES)[(index + step) % len(PLACE_PHRASES)])
    for index, action in enumerate(ACTIONS)
    for step in (0, _SECOND_PLACE)
)
"""A quarter of all pairs (action, place): two places of each action. Every action and every place is in others."""


def shows_held_out_pair(attributes: SceneAttributes, roles: Sequence[Role] = ()) -> bool:
    """Whether the scene's action, or that of anybody with a role, is held out together with its place."""
    actions = {attributes.action, *(role.action for role in roles)}
    return any((action, attributes.place) in HELD_OUT_PAIRS for action in actions)


def seeds_without_held_out_pairs(first_seed: int, style: SceneStyle = TOGETHER) -> Iterator[int]:
    """The seeds from `first_seed` on whose scenes show no held-out pair, without end."""
    for seed in itertools.count(first_seed):
        spec = sample_scene(seed, style=style)
        if not shows_held_out_pair(spec.attributes, spec.roles):
            yield seed
