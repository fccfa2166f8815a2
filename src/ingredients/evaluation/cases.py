"""The fixed questions of an evaluation: who is to be seen doing what.

Case number i is the same whatever the number of cases, so that a short evaluation is the beginning of a long one.
"""

import dataclasses

import numpy as np

from ingredients.core.arrays import UInt8Array
from ingredients.core.errors import UserInputError
from ingredients.world.captions import (
    ACTIONS,
    COUNTS,
    EXPRESSIONS,
    LIGHT_PHRASES,
    PLACE_PHRASES,
    SceneAttributes,
    describe_scene,
)
from ingredients.world.identity import Identity, sample_identity
from ingredients.world.portraits import Portrait, render_portrait
from ingredients.world.scenes import SceneSpec

CASES_VERSION = 2
"""Raised whenever a case changes: numbers of different versions cannot be compared."""

MAX_PEOPLE = max(COUNTS)

PHOTOS_PER_PERSON = 3
"""Photos by which the judge knows a person: the one that the generator gets, and two more."""

PHOTO_STRIDE = 2**32

# Ranges of seeds in the evaluation split that never meet.
FIRST_CASE_SEED = 1_000_000
FIRST_DISTRACTOR_SEED = 2_000_000
FIRST_CALIBRATION_SEED = 3_000_000
_SEEDS_PER_CASE = 16


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One question: people, photos of them, a prompt, a seed."""

    index: int
    """Number of the case."""

    people: tuple[Identity, ...]
    """Who is asked for, in the order of the photos."""

    portrait_seeds: tuple[int, ...]
    """Which photo of each person the generator is given."""

    attributes: SceneAttributes
    """What the prompt says."""

    prompt: str
    """The sentence, with every attribute named."""

    seed: int
    """Seed of the generation and of the real clip of the same people and prompt."""

    def portraits(self, *, size: int = 128) -> list[Portrait]:
        """The photos, one a person."""
        return [
            render_portrait(person, seed, size=size)
            for person, seed in zip(self.people, self.portrait_seeds, strict=True)
        ]

    def photos(self) -> dict[str, UInt8Array]:
        """The photos by the people's numbers, as a pipeline takes them."""
        return {str(number): portrait.image for number, portrait in enumerate(self.portraits(), start=1)}

    def scene(self) -> SceneSpec:
        """The real clip that shows what is asked for."""
        return SceneSpec(people=self.people, attributes=self.attributes, caption=self.prompt, seed=self.seed)


def person_photos(person: Identity, portrait_seed: int, *, size: int) -> list[Portrait]:
    """The photos by which the judge knows a person; the first is the one that the generator gets."""
    return [
        render_portrait(person, portrait_seed + PHOTO_STRIDE * index, size=size) for index in range(PHOTOS_PER_PERSON)
    ]


def make_case(index: int, *, num_people: int = 2, first_seed: int = FIRST_CASE_SEED) -> Case:
    """Makes case number `index`: people of the evaluation split, a prompt whose attributes are balanced over cases.

    Raises:
        UserInputError: for a number of people that prompts cannot state.
    """
    if not 1 <= num_people <= MAX_PEOPLE:
        raise UserInputError(f"A case holds 1 to {MAX_PEOPLE} people, not {num_people}; choose another number.")
    seed = first_seed + _SEEDS_PER_CASE * index
    attributes = SceneAttributes(
        count=num_people,
        action=_balanced(tuple(ACTIONS), index, first_seed, 1),
        expression=_balanced(tuple(EXPRESSIONS), index, first_seed, 2),
        place=_balanced(tuple(PLACE_PHRASES), index, first_seed, 3),
        light=_balanced(tuple(LIGHT_PHRASES), index, first_seed, 4),
    )
    return Case(
        index=index,
        people=tuple(sample_identity(seed + person, "eval") for person in range(num_people)),
        portrait_seeds=tuple(seed + person for person in range(num_people)),
        attributes=attributes,
        prompt=describe_scene(attributes, np.random.default_rng([CASES_VERSION, seed]), complete=True),
        seed=seed,
    )


def make_cases(num_cases: int, *, num_people: int = 2) -> list[Case]:
    """The first `num_cases` cases.

    Raises:
        UserInputError: for no case at all, or a number of people that prompts cannot state.
    """
    if num_cases < 1:
        raise UserInputError(f"An evaluation needs at least one case, not {num_cases}.")
    return [make_case(index, num_people=num_people) for index in range(num_cases)]


def _balanced(values: tuple[str, ...], index: int, first_seed: int, salt: int) -> str:
    """Deals all values in a new order each round, so that the cases of a round hold each of them once."""
    dealt, position = divmod(index, len(values))
    order = np.random.default_rng([CASES_VERSION, first_seed, salt, dealt]).permutation(len(values))
    return values[int(order[position])]
