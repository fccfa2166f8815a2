"""Sixty prompts of the drawn world: every action at every place, balanced over expressions and light as well."""

import functools
import itertools
import re
from collections import Counter

import numpy as np

from ingredients.evaluation.benchmark.schema import COUNT_PLACEHOLDER, COUNT_WORDS, BenchmarkPrompt
from ingredients.world.captions import (
    ACTIONS,
    COUNTS,
    EXPRESSIONS,
    LIGHT_PHRASES,
    PLACE_PHRASES,
    SceneAttributes,
    describe_scene,
)
from ingredients.world.held_out_pairs import HELD_OUT_PAIRS

NUM_PROMPTS = 60

_SEED = 53
"""Of the draws 0 to 399, the one that spreads expressions and light most evenly over actions and places."""


@functools.cache
def drawn_scenes() -> dict[str, SceneAttributes]:
    """By id, what each prompt asks for, of as many people as a scene can hold.

    All 56 pairs of action and place, and four of them once more, no two of which share an action or a place. Each gets
    the expression, and the light, that was used least with its action, its place and among the held-out pairs.
    """
    rng = np.random.default_rng(_SEED)
    pairs = [*itertools.product(ACTIONS, PLACE_PHRASES)]
    twice = zip(rng.permutation(list(ACTIONS)).tolist(), rng.permutation(list(PLACE_PHRASES)).tolist(), strict=False)
    pairs += itertools.islice(twice, NUM_PROMPTS - len(pairs))
    uses: Counter[tuple[str, ...]] = Counter()
    scenes: dict[str, SceneAttributes] = {}
    for index in rng.permutation(len(pairs)).tolist():
        action, place = pairs[index]
        groups = [action, place, f"held out: {(action, place) in HELD_OUT_PAIRS}"]
        expression = _least_used(list(EXPRESSIONS), groups, uses, rng)
        light = _least_used(list(LIGHT_PHRASES), [*groups, expression], uses, rng)
        scenes[f"prompt-{len(scenes) + 1:02d}"] = SceneAttributes(
            count=max(COUNTS), action=action, expression=expression, place=place, light=light
        )
    return scenes


@functools.cache
def drawn_prompts() -> tuple[BenchmarkPrompt, ...]:
    """The sentences, each attribute named."""
    rng = np.random.default_rng([_SEED, NUM_PROMPTS])
    prompts = []
    for name, scene in drawn_scenes().items():
        sentence = describe_scene(scene, rng, complete=True)
        prompts.append(
            BenchmarkPrompt(
                id=name,
                text=re.sub(rf"\b{COUNT_WORDS[scene.count]}\b", COUNT_PLACEHOLDER, sentence, flags=re.IGNORECASE),
                expression=scene.expression,
                action=scene.action,
                background=scene.place,
                attributes={"light": scene.light},
            )
        )
    return tuple(prompts)


def _least_used(values: list[str], groups: list[str], uses: Counter[tuple[str, ...]], rng: np.random.Generator) -> str:
    """Of the values that were used least, the one that was used least in these groups of prompts; counts it."""
    order: list[int] = rng.permutation(len(values)).tolist()
    best = min(
        [values[index] for index in order],
        key=lambda value: (uses[(value,)], sum(uses[group, value] for group in groups)),
    )
    uses.update([(best,), *((group, best) for group in groups)])
    return best
