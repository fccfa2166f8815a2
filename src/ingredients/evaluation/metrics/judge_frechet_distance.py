"""How far the generated faces as a whole are from real ones."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ingredients.evaluation.frechet import bootstrap_frechet
from ingredients.evaluation.records import CaseRecord, Need
from ingredients.evaluation.statistics import Estimate

_NUM_RESAMPLES = 100


class JudgeFrechetDistance:
    """Frechet distance between generated and real faces in the judge's features.

    It is not "FID", whose features are InceptionV3's; values of the two cannot be compared. With fewer faces than
    feature dimensions it is biased upwards, as every Frechet distance from samples is: compare equal numbers of cases.
    """

    name = "judge_frechet_distance"
    description = "Frechet distance between generated and real faces in the judge's features (not FID)"
    needs: frozenset[Need] = frozenset({"faces", "real_video"})
    is_percentage = False
    is_rate = False
    higher_is_better: bool | None = False

    def compute(self, records: Sequence[CaseRecord]) -> Estimate:
        """The distance with its interval; infinite while there are fewer than two faces on either side."""
        generated = [_rows(record, "generated") for record in records]
        real = [_rows(record, "real") for record in records]
        return bootstrap_frechet(generated, real, num_resamples=_NUM_RESAMPLES)

    def of_cases(self, records: Sequence[CaseRecord]) -> None:
        """A distance between distributions is no mean over cases."""


def _rows(record: CaseRecord, side: str) -> NDArray[np.float64]:
    if record.faces is None:
        raise ValueError(f"case {record.index} has no faces record")
    rows = record.faces.generated if side == "generated" else record.faces.real
    width = len((record.faces.generated or record.faces.real or ((),))[0])
    return np.array(rows, dtype=np.float64).reshape(len(rows), width)
