"""What a metric is, and those that are the mean of one number a case."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from ingredients.evaluation.case_record import CaseRecord, Need
from ingredients.evaluation.statistics import Estimate, bootstrap_mean


class Metric(Protocol):
    """Turns the records of all cases into one number."""

    @property
    def name(self) -> str:
        """Key in the results."""
        ...

    @property
    def description(self) -> str:
        """One line for the report."""
        ...

    @property
    def needs(self) -> frozenset[Need]:
        """Parts of the records that it reads, and what else it cannot do without."""
        ...

    @property
    def higher_is_better(self) -> bool | None:
        """Direction; None where neither is better as such."""
        ...

    @property
    def is_percentage(self) -> bool:
        """Whether reports show it times 100, as the paper does."""
        ...

    @property
    def is_rate(self) -> bool:
        """Whether it is the mean of shares of what can happen, so that 0 and 1 are its ends."""
        ...

    def compute(self, records: Sequence[CaseRecord]) -> Estimate:
        """The number over these records, each of which has the parts that the metric needs."""
        ...

    def of_cases(self, records: Sequence[CaseRecord]) -> list[float | None] | None:
        """One number a record, of which the metric is the mean, so that two results can be compared case by case.

        None where the metric is no mean over cases; None for a record without a number.
        """
        ...


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
