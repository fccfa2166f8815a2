"""How two faces are compared: by the cosine of their embeddings, or by the distance of their descriptors.

Both measures are 1 for the same face and fall as faces differ, so that everything else need not know which is used.

Legend: T embeddings, N references, D embedding.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from ingredients.core.arrays import Float32Array

Measure = Literal["cosine", "distance"]
"""`cosine` of embeddings of length 1, or `distance`: 1 less the Euclidean distance, for recognisers like dlib's."""


def compare_faces(embeddings: Float32Array, references: Float32Array, *, measure: Measure = "cosine") -> Float32Array:
    """Compares each embedding (T, D) with each reference (N, D).

    Returns:
        (T, N): 1 for the same face.
    """
    if measure == "cosine":
        return np.asarray(embeddings @ references.T, dtype=np.float32)
    distances = np.linalg.norm(embeddings[:, None] - references[None], axis=-1)
    return np.asarray(1 - distances, dtype=np.float32)


def average_faces(embeddings: Float32Array, *, measure: Measure = "cosine") -> Float32Array:
    """One person's embedding (D,) from those of several photos (R, D); of length 1 where cosines are taken."""
    mean = embeddings.mean(axis=0)
    length = np.linalg.norm(mean)
    is_direction = measure == "cosine" and length > 0  # what is like nobody stays so, and is no number otherwise
    return np.asarray(mean / length if is_direction else mean, dtype=np.float32)


def greedy_matches(similarities: Float32Array) -> list[float]:
    """Section 4.1 of the paper: the most similar pair of (T, N) is matched first, then the next, one to one.

    Returns:
        The similarity of each of the min(T, N) matches.
    """
    matched: list[float] = []
    remaining = similarities.astype(np.float64)
    for _ in range(min(similarities.shape)):
        face, reference = np.unravel_index(int(remaining.argmax()), remaining.shape)
        matched.append(float(remaining[face, reference]))
        remaining[face, :] = -np.inf
        remaining[:, reference] = -np.inf
    return matched


def paper_face_similarity(
    embeddings: Sequence[Float32Array], references: Float32Array, *, measure: Measure = "cosine"
) -> float:
    """Mean over frames of the lowest greedy match of each.

    Args:
        embeddings: (faces, D) of each of the F frames.
        references: (N, D).
        measure: how faces are compared.
    """
    return float(np.mean([_lowest_match(faces, references, measure) for faces in embeddings]))


def _lowest_match(faces: Float32Array, references: Float32Array, measure: Measure) -> float:
    if len(faces) < len(references):
        return 0.0
    return max(0.0, min(greedy_matches(compare_faces(faces, references, measure=measure))))
