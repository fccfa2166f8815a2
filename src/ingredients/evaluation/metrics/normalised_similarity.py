"""How alike the people in the video are to their photos."""

import numpy as np

from ingredients.evaluation.metrics.per_case import CaseMean

NORMALISED_SIMILARITY = CaseMean(
    name="normalised_similarity",
    description="(cosine - stranger mean) / (same-person mean - stranger mean): mean over people; a missing one is 0",
    of_case=lambda record: record.people.mean_similarity,
    needs=frozenset({"people", "scale"}),
)

NORMALISED_SIMILARITY_MINIMUM = CaseMean(
    name="normalised_similarity_minimum",
    description="the paper's form (4.1): people matched greedily, the least similar one of each video",
    of_case=lambda record: record.people.greedy_minimum,
    needs=frozenset({"people", "scale"}),
)

RAW_SIMILARITY = CaseMean(
    name="raw_similarity",
    description="cosine of matched faces and photos (dlib: 1 - distance): mean over people; a missing one is 0",
    of_case=lambda record: float(np.mean([person.cosine or 0.0 for person in record.people.people])),
)
