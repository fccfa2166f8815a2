"""Other people that a face is ranked among, so that "the right person" means more than "not the other one".

Legend: M distractors, D embedding.
"""

import numpy as np

from ingredients.core.arrays import Float32Array
from ingredients.evaluation.cases import FIRST_DISTRACTOR_SEED
from ingredients.evaluation.judge import Judge
from ingredients.world.identity import Identity, sample_identity
from ingredients.world.portraits import render_portrait

NUM_DISTRACTORS = 98
"""Half drawn at random, half sharing skin, hair colour and hat with the person."""

_SEED_STRIDE = 128


class DistractorGallery:
    """Embeds distractors as a judge sees them.

    Args:
        judge: gives the embeddings.
        num_distractors: M, even.
        portrait_size: side of their photos in pixels, that of the references.
    """

    def __init__(self, judge: Judge, *, num_distractors: int = NUM_DISTRACTORS, portrait_size: int = 128) -> None:
        if num_distractors % 2 or not 0 <= num_distractors <= _SEED_STRIDE:
            raise ValueError(f"num_distractors must be even and at most {_SEED_STRIDE}, not {num_distractors}")
        self._judge = judge
        self._half = num_distractors // 2
        self._portrait_size = portrait_size
        self._random: Float32Array | None = None

    def for_person(self, person: Identity, *, seed: int) -> Float32Array:
        """The distractors of one person (M, D); `seed` draws those who look alike, the others are always the same."""
        if self._random is None:
            self._random = self._embed(
                [sample_identity(FIRST_DISTRACTOR_SEED + index, "eval") for index in range(self._half)],
                first_seed=FIRST_DISTRACTOR_SEED,
            )
        first = FIRST_DISTRACTOR_SEED + _SEED_STRIDE * (seed + 1)
        alike = [sample_identity(first + index, "eval", like=person) for index in range(self._half)]
        return np.concatenate([self._random, self._embed(alike, first_seed=first)])

    def _embed(self, people: list[Identity], *, first_seed: int) -> Float32Array:
        portraits = [
            render_portrait(person, first_seed + index, size=self._portrait_size)
            for index, person in enumerate(people)
        ]
        return self._judge.embed_landmarks(
            [portrait.image for portrait in portraits], [portrait.landmarks for portrait in portraits]
        )
