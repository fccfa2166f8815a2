"""How the judge knows a person: by the mean of several photos, so that no odd light or pose decides.

The generator gets one photo of each person. The judge gets others of them beside it, and as many of every distractor,
or it would often take a lookalike for the person: measured on real clips, one photo put the right person first for
22 of 24 people, two photos for all of them.

Legend: P people, D embedding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ingredients.core.arrays import Float32Array
from ingredients.world.identity import Identity
from ingredients.world.portraits import Portrait, render_portrait

if TYPE_CHECKING:
    from ingredients.evaluation.judge import Judge

PHOTOS_PER_PERSON = 3
"""The one that the generator gets, and two more."""

_PHOTO_SIZE = 96
PHOTO_STRIDE = 2**32


def person_photos(person: Identity, portrait_seed: int, *, size: int) -> list[Portrait]:
    """The photos by which the judge knows a person; the first is the one that the generator gets."""
    return [
        render_portrait(person, portrait_seed + PHOTO_STRIDE * index, size=size) for index in range(PHOTOS_PER_PERSON)
    ]


def embed_people(
    judge: Judge, people: Sequence[Identity], portrait_seeds: Sequence[int], *, size: int = _PHOTO_SIZE
) -> Float32Array:
    """Embeds people as vectors of length 1 (P, D), each by the mean of `PHOTOS_PER_PERSON` photos.

    Args:
        judge: embeds.
        people: whom.
        portrait_seeds: which photo of each is the first; the others follow from it.
        size: side of the photos in pixels.
    """
    portraits = [
        photo
        for person, seed in zip(people, portrait_seeds, strict=True)
        for photo in person_photos(person, seed, size=size)
    ]
    embeddings = judge.embed_landmarks(
        [portrait.image for portrait in portraits], [portrait.landmarks for portrait in portraits]
    )
    means = embeddings.reshape(len(people), PHOTOS_PER_PERSON, -1).mean(axis=1)
    return np.asarray(means / np.linalg.norm(means, axis=1, keepdims=True), dtype=np.float32)
