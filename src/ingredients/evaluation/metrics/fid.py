"""FID of face regions, in InceptionV3's features."""

import dataclasses
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ingredients.evaluation.frechet import bootstrap_frechet
from ingredients.evaluation.packed_features import unpack_features
from ingredients.evaluation.records import CaseRecord, Need
from ingredients.evaluation.statistics import Estimate

_NUM_RESAMPLES = 50
"""Each costs a decomposition of thousands of rows."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FaceFid:
    """A `Metric`: FID between the face regions of the videos and those of real pictures.

    With fewer faces than the 2048 features it is biased upwards: compare equal numbers of faces.
    """

    name: str
    """Key in the results."""

    description: str
    """One line for the report."""

    against: Literal["photos", "real"]
    """The real faces: the photos of the people asked for, or real videos of the same people and prompts."""

    needs: frozenset[Need]
    """What it cannot do without."""

    higher_is_better: bool | None = False
    """Direction."""

    is_percentage: bool = False
    """Whether reports show it times 100."""

    is_rate: bool = False
    """A distance has no upper end."""

    def compute(self, records: Sequence[CaseRecord]) -> Estimate:
        """The distance with its interval; infinite while there are fewer than two faces on either side."""
        generated = [self._rows(record, "generated") for record in records]
        real = [self._rows(record, self.against) for record in records]
        return bootstrap_frechet(generated, real, num_resamples=_NUM_RESAMPLES)

    def of_cases(self, records: Sequence[CaseRecord]) -> None:
        """A distance between distributions is no mean over cases."""

    @staticmethod
    def _rows(record: CaseRecord, side: Literal["generated", "photos", "real"]) -> NDArray[np.float64]:
        assert record.inception is not None
        return unpack_features(getattr(record.inception, side) or "").astype(np.float64)


PAPER_FID = FaceFid(
    name="paper_fid",
    description="4.1: FID between face regions of the videos and those of the photos, in InceptionV3's features",
    against="photos",
    needs=frozenset({"inception"}),
)
FID = FaceFid(
    name="fid",
    description="FID between face regions of the videos and those of real videos of the same people and prompts",
    against="real",
    needs=frozenset({"inception", "real_video"}),
)
