"""Whether everybody is there, each once."""

import numpy as np

from ingredients.evaluation.metrics.per_case import CaseMean

ALL_PRESENT_RATE = CaseMean(
    name="all_present_rate",
    description="videos in which everybody is matched, and ranked first in at least half of the frames",
    of_case=lambda record: float(record.people.all_present),
    is_rate=True,
)

FOUND_RATE = CaseMean(
    name="found_rate",
    description="people for whom the video holds a face at all",
    of_case=lambda record: float(np.mean([person.found for person in record.people.people])),
    is_rate=True,
)

BLENDED_RATE = CaseMean(
    name="blended_rate",
    description="videos in which one face is above the same person's limit for two people",
    of_case=lambda record: float(record.people.blended),
    higher_is_better=False,
    is_rate=True,
)

DOUBLED_RATE = CaseMean(
    name="doubled_rate",
    description="videos in which two simultaneous faces are the same person",
    of_case=lambda record: float(record.people.doubled),
    higher_is_better=False,
    is_rate=True,
)
