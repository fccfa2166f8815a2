"""How the faces change through a video (`evaluation/face_changes.py` defines the words)."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from ingredients.evaluation.metrics.per_case import CaseMean
from ingredients.evaluation.records import CaseRecord, Need
from ingredients.evaluation.statistics import Estimate


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FaceChangeMean:
    """A `Metric`: the mean over people of one number of their face; those without one do not count."""

    name: str
    """Key in the results, and of the number."""

    description: str
    """One line for the report."""

    higher_is_better: bool | None
    """Direction."""

    needs: frozenset[Need] = frozenset({"changes"})
    """Parts of the records that are read."""

    def compute(self, records: Sequence[CaseRecord]) -> Estimate:
        """The mean with its interval over cases; not a number if no face has one."""
        counted = [record for record in records if self._numbers(record)]
        if not counted:
            return Estimate(value=math.nan, low=math.nan, high=math.nan)
        mean = CaseMean(
            name=self.name,
            description=self.description,
            of_case=lambda record: float(np.mean(self._numbers(record))),
            needs=self.needs,
            higher_is_better=self.higher_is_better,
        )
        return mean.compute(counted)

    def _numbers(self, record: CaseRecord) -> list[float]:
        assert record.changes is not None
        numbers = [getattr(face, self.name) for face in record.changes.faces if face is not None]
        return [number for number in numbers if number is not None]


DRIFT = FaceChangeMean(
    name="drift",
    description="cosine to the person at the end of the video minus that at its beginning",
    higher_is_better=True,
)
COPY_PASTE = FaceChangeMean(
    name="copy_paste",
    description="cosine to the person in frames posed like the photo minus that in others: a copy keeps only those",
    higher_is_better=False,
)
VARIETY = FaceChangeMean(
    name="variety",
    description="change of the face's landmarks in parts of the eyes' distance: 0 is a pasted photo",
    higher_is_better=None,
)
