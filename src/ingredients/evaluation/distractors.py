"""Other people that a face is ranked among, so that "the right person" means more than "not the other one".

Legend: M distractors, D embedding.
"""

from collections.abc import Sequence

import numpy as np

from ingredients.core.arrays import Float32Array
from ingredients.evaluation.cases import FIRST_DISTRACTOR_SEED
from ingredients.evaluation.judge import Judge
from ingredients.evaluation.references import embed_people
from ingredients.world.identity import Identity, sample_identity

NUM_DISTRACTORS = 98
"""Half drawn at random, half sharing skin, hair colour and hat with the person."""

_SEED_STRIDE = 128


class DistractorGallery:
    """Embeds distractors as a judge sees them.

    Args:
        judge: gives the embeddings.
        num_distractors: M, even.
    """

    def __init__(self, judge: Judge, *, num_distractors: int = NUM_DISTRACTORS) -> None:
        if num_distractors % 2 or not 0 <= num_distractors <= _SEED_STRIDE:
            raise ValueError(f"num_distractors must be even and at most {_SEED_STRIDE}, not {num_distractors}")
        self._judge = judge
        self._half = num_distractors // 2
        self._random: Float32Array | None = None

    def for_people(self, people: Sequence[Identity], seeds: Sequence[int]) -> list[Float32Array]:
        """The distractors (M, D) of each of some people."""
        return [self.for_person(person, seed=seed) for person, seed in zip(people, seeds, strict=True)]

    def for_person(self, person: Identity, *, seed: int) -> Float32Array:
        """The distractors of one person (M, D); `seed` draws those who look alike, the others are always the same."""
        if self._random is None:
            seeds = range(FIRST_DISTRACTOR_SEED, FIRST_DISTRACTOR_SEED + self._half)
            self._random = embed_people(self._judge, [sample_identity(each, "eval") for each in seeds], seeds)
        first = FIRST_DISTRACTOR_SEED + _SEED_STRIDE * (seed + 1)
        seeds = range(first, first + self._half)
        alike = [sample_identity(each, "eval", like=person) for each in seeds]
        return np.concatenate([self._random, embed_people(self._judge, alike, seeds)])
