"""The benchmark of the drawn world, and its cases as an evaluation runs them.

Fifty people of the evaluation split, as different and as evenly spread over features as can be, and sixty prompts:
every action at every place, balanced over expressions and light as well.
"""

import dataclasses
import functools
import itertools
import re
from collections import Counter

import numpy as np

from ingredients.casebook.benchmark import (
    COUNT_PLACEHOLDER,
    COUNT_WORDS,
    PHOTO_FOLDER,
    Benchmark,
    BenchmarkIdentity,
    BenchmarkInfo,
    BenchmarkPrompt,
)
from ingredients.casebook.cases import PHOTO_STRIDE, PHOTOS_PER_PERSON, Case, drawn_person
from ingredients.casebook.sets import deal_cases
from ingredients.core.errors import UserInputError
from ingredients.world import WORLD_VERSION
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
from ingredients.world.identity import (
    BEARDS,
    GLASSES,
    HAIR_COLOURS,
    HAIR_STYLES,
    HATS,
    IRISES,
    NOSES,
    SKINS,
    Identity,
    sample_identity,
)

NUM_IDENTITIES = 50

_FIRST_SEED = 4_000_000
"""The first seed of people, in the evaluation split; those of cases, distractors and calibration lie elsewhere."""

_NUM_CANDIDATES = 500
_FEATURES = {
    "skin": Counter(SKINS.keys()),
    "hair_style": Counter(HAIR_STYLES),
    "hair_colour": Counter(HAIR_COLOURS.keys()),
    "hat": Counter(HATS),
    "glasses": Counter(GLASSES),
    "beard": Counter(BEARDS),
    "nose": Counter(NOSES),
    "iris": Counter(IRISES.keys()),
}
"""For each feature, its values and how often the world draws each: half of all people have no beard, and so on."""


@functools.cache
def drawn_people() -> dict[str, tuple[int, Identity]]:
    """By id, the seed and the person: one by one, of 500 the one whose features are rarest among those before."""
    candidates = {seed: sample_identity(seed, "eval") for seed in range(_FIRST_SEED, _FIRST_SEED + _NUM_CANDIDATES)}
    uses: Counter[tuple[str, str]] = Counter()
    people: dict[str, tuple[int, Identity]] = {}
    for number in range(1, NUM_IDENTITIES + 1):
        seed = min(candidates, key=lambda seed: (_commonness(candidates[seed], uses), seed))
        person = candidates.pop(seed)
        uses.update((feature, getattr(person, feature)) for feature in _FEATURES)
        people[f"person-{number:02d}"] = (seed, person)
    return people


def drawn_identities() -> tuple[BenchmarkIdentity, ...]:
    """The same as the benchmark's folder says it."""
    return tuple(
        BenchmarkIdentity(
            id=name,
            photos=tuple(f"{PHOTO_FOLDER}/{name}-{photo}.png" for photo in range(1, PHOTOS_PER_PERSON + 1)),
            attributes={feature.replace("_", " "): getattr(person, feature) for feature in _FEATURES},
            source=f"drawn world, evaluation split, seed {seed}",
        )
        for name, (seed, person) in drawn_people().items()
    )


def photo_seeds(seed: int) -> list[int]:
    """Which photos of a person the folder holds: those that an evaluation gives to the generator and to the judge."""
    return [seed + PHOTO_STRIDE * photo for photo in range(PHOTOS_PER_PERSON)]


def _commonness(person: Identity, uses: Counter[tuple[str, str]]) -> float:
    """How often a person's features were used, as parts of how often each would be if all were spread as drawn."""
    commonness = 0.0
    for feature, shares in _FEATURES.items():
        value = getattr(person, feature)
        commonness += uses[feature, value] * shares.total() / shares[value]
    return commonness


NUM_PROMPTS = 60

_SEED = 53
"""Among the draws 0 to 399, the one that spreads expressions and light most evenly over actions and places."""


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
    """Among the values that were used least, the one that these groups of prompts used least; counts it."""
    order: list[int] = rng.permutation(len(values)).tolist()
    best = min(
        [values[index] for index in order],
        key=lambda value: (uses[(value,)], sum(uses[group, value] for group in groups)),
    )
    uses.update([(best,), *((group, best) for group in groups)])
    return best


BENCHMARK_VERSION = "1"
"""Raised whenever a person, a prompt or a case changes: numbers of different versions cannot be compared."""

DRAWN_CASES_VERSION = f"benchmark {BENCHMARK_VERSION}"
"""What an evaluation on these cases calls them."""

DRAWN_COUNTS = (2, 3, 4)
"""People in the sets."""


@functools.cache
def drawn_benchmark() -> Benchmark:
    """The benchmark: 50 people, 60 prompts, and for 2, 3 and 4 people 100 cases."""
    benchmark = Benchmark(
        info=BenchmarkInfo(
            name="ingredients-world",
            version=BENCHMARK_VERSION,
            source=f"the drawn world, version {WORLD_VERSION}, of the package ingredients",
            licence="Apache-2.0, as the package",
            notes="The model that ships was trained on clips of all pairs of action and background, so it may have "
            "seen every pair of this benchmark, the held-out ones too. A model has not seen them if it was trained "
            "on clips drawn with `ingredients world clips --without-held-out-pairs`. Nobody in the benchmark was "
            "drawn in any training clip: all are of the world's evaluation split.",
            num_people=DRAWN_COUNTS,
            held_out_pairs=tuple(sorted(HELD_OUT_PAIRS)),
        ),
        identities=drawn_identities(),
        prompts=drawn_prompts(),
    )
    cases = [case for num_people in DRAWN_COUNTS for case in deal_cases(benchmark, num_people)]
    return Benchmark(
        info=benchmark.info, identities=benchmark.identities, prompts=benchmark.prompts, cases=tuple(cases)
    )


def drawn_cases(num_cases: int, *, num_people: int = 2) -> list[Case]:
    """The first cases of so many people, as an evaluation runs them.

    Raises:
        UserInputError: for a number of people or of cases that the benchmark does not have.
    """
    if num_people not in DRAWN_COUNTS:
        raise UserInputError(
            f"The benchmark has cases of {', '.join(map(str, DRAWN_COUNTS))} people, not of {num_people}."
        )
    benchmark = drawn_benchmark()
    cases = benchmark.cases_of(num_people)
    if not 1 <= num_cases <= len(cases):
        raise UserInputError(f"The benchmark has 1 to {len(cases)} cases of {num_people} people, not {num_cases}.")
    people, scenes, lines = drawn_people(), drawn_scenes(), cases[:num_cases]
    return [
        dataclasses.replace(
            case,
            case_id=None,  # its number alone
            people=tuple(
                drawn_person(number, people[name][0]) for number, name in enumerate(line.identities, start=1)
            ),
            attributes=_for_count(scenes[line.prompt], num_people),
        )
        for line, case in zip(lines, benchmark.ask(lines), strict=True)
    ]


def _for_count(scene: SceneAttributes, num_people: int) -> SceneAttributes:
    return SceneAttributes(
        count=num_people,
        action=scene.action,
        expression=scene.expression,
        place=scene.place,
        light=scene.light,
    )
