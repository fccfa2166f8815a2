"""Whether the person in the video can be told from a hundred others."""

import numpy as np

from ingredients.evaluation.metrics.per_case import CaseMean

RIGHT_PERSON_RATE = CaseMean(
    name="right_person_rate",
    description="people whose track is nearest to their own photos among those of the case and of others",
    of_case=lambda record: float(np.mean([person.right_person for person in record.people.people])),
    is_rate=True,
)
