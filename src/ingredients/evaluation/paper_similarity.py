"""Face similarity to the letter of section 4.1, frame by frame.

"All detected faces in the generated frames are compared against reference faces through a greedy matching algorithm.
The minimum similarity score across all matches is reported." The paper says neither how frames are joined nor what a
missing face counts. The measure comes from FastComposer (arXiv 2305.10431), whose code matches within one picture and
has 0 for a missing face and for a negative cosine; here it is averaged over the frames.

Legend: F frames, N references, D embedding.
"""

from collections.abc import Sequence

import numpy as np

from ingredients.core.arrays import Float32Array
from ingredients.evaluation.comparison import Measure, compare_faces, greedy_matches


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
