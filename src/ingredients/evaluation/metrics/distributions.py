"""Distances between the generated faces as a whole and real ones: FID, and the same in the judge's features.

Legend: n, m rows of the samples, D features.
"""

import dataclasses
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ingredients.evaluation.case_record import CaseRecord, Need, unpack_features
from ingredients.evaluation.statistics import Estimate, bootstrap


def frechet_distance(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Squared Frechet distance of the normal distributions fitted to (n, D) and (m, D), infinite below two rows.

    |m1 - m2|^2 + tr(C1 + C2 - 2 (C1^(1/2) C2 C1^(1/2))^(1/2)), Dowson and Landau (1982). With centred samples A and B
    the trace of the root is the sum of the singular values of A B^T / sqrt((n - 1) (m - 1)), an n x m matrix; where
    there are more rows than features, the symmetric root of C1 does the same in D x D.
    """
    if min(len(first), len(second)) < 2:
        return float("inf")
    difference = first.mean(axis=0) - second.mean(axis=0)
    centred_first, centred_second = first - first.mean(axis=0), second - second.mean(axis=0)
    degrees_first, degrees_second = len(first) - 1, len(second) - 1
    traces = (centred_first**2).sum() / degrees_first + (centred_second**2).sum() / degrees_second
    if min(len(first), len(second)) <= first.shape[1]:
        product = centred_first @ centred_second.T / np.sqrt(degrees_first * degrees_second)
        root_trace = np.linalg.svd(product, compute_uv=False).sum()
    else:
        values, vectors = np.linalg.eigh(centred_first.T @ centred_first / degrees_first)
        root = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
        cross = np.linalg.eigvalsh(root @ (centred_second.T @ centred_second / degrees_second) @ root)
        root_trace = np.sqrt(np.clip(cross, 0, None)).sum()
    return float(difference @ difference + traces - 2 * root_trace)


def bootstrap_frechet(
    generated: Sequence[NDArray[np.float64]], real: Sequence[NDArray[np.float64]], *, num_resamples: int
) -> Estimate:
    """The distance between the rows of all cases with its interval, which comes from drawing cases.

    Infinite while there are fewer than two rows on either side. With fewer rows than features it is biased upwards, as
    every distance from samples is.

    Args:
        generated: rows (n, D) of each case.
        real: likewise, of as many cases.
        num_resamples: draws; each costs a distance.
    """

    def distance(indices: NDArray[np.int64]) -> float:
        return frechet_distance(*(np.concatenate([side[index] for index in indices]) for side in (generated, real)))

    return bootstrap(distance, len(generated), num_resamples=num_resamples, is_biased=True)


_INCEPTION_RESAMPLES = 50
"""Resamples of a distance in InceptionV3's features: each costs a decomposition of thousands of rows."""


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
        return bootstrap_frechet(generated, real, num_resamples=_INCEPTION_RESAMPLES)

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

_JUDGE_RESAMPLES = 100


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
        return bootstrap_frechet(generated, real, num_resamples=_JUDGE_RESAMPLES)

    def of_cases(self, records: Sequence[CaseRecord]) -> None:
        """A distance between distributions is no mean over cases."""


def _rows(record: CaseRecord, side: str) -> NDArray[np.float64]:
    if record.faces is None:
        raise ValueError(f"case {record.index} has no faces record")
    rows = record.faces.generated if side == "generated" else record.faces.real
    width = len((record.faces.generated or record.faces.real or ((),))[0])
    return np.array(rows, dtype=np.float64).reshape(len(rows), width)
