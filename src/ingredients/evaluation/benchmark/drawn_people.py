"""Fifty people of the drawn world's evaluation split, as different and as evenly spread over features as can be."""

import functools
from collections import Counter

from ingredients.evaluation.benchmark.folder import PHOTO_FOLDER
from ingredients.evaluation.benchmark.schema import BenchmarkIdentity
from ingredients.evaluation.references import PHOTO_STRIDE, PHOTOS_PER_PERSON
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
"""In the evaluation split; the seeds of cases, distractors and calibration lie elsewhere."""

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
