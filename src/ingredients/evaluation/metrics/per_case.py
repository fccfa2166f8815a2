"""Metrics that are the mean of one number a case."""

import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np

from ingredients.evaluation.records import CaseRecord, Need
from ingredients.evaluation.statistics import Estimate, bootstrap_mean


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CaseMean:
    """A `Metric`: the mean over cases of what `of_case` says about each."""

    name: str
    """Key in the results."""

    description: str
    """One line for the report."""

    of_case: Callable[[CaseRecord], float | None]
    """The number of one case; None for one that has none, which does not count."""

    needs: frozenset[Need] = frozenset({"people"})
    """Parts of the records that `of_case` reads, and what else it cannot do without."""

    higher_is_better: bool | None = True
    """Direction."""

    is_percentage: bool = False
    """Whether reports show it times 100."""

    is_rate: bool = False
    """Whether the number of a case is a share of what can happen, so that 0 and 1 are its ends."""

    def compute(self, records: Sequence[CaseRecord]) -> Estimate:
        """The mean with its interval; not a number if no case has one."""
        return mean_of_cases(self.of_cases(records), is_rate=self.is_rate)

    def of_cases(self, records: Sequence[CaseRecord]) -> list[float | None]:
        """The number of each case."""
        return [self.of_case(record) for record in records]


def mean_of_cases(numbers: Sequence[float | None], *, is_rate: bool) -> Estimate:
    """The mean of the numbers that there are, with its interval; not a number if there are none."""
    known = [number for number in numbers if number is not None]
    if not known:
        return Estimate(value=math.nan, low=math.nan, high=math.nan)
    return bootstrap_mean(np.array(known, dtype=np.float64), is_rate=is_rate)
