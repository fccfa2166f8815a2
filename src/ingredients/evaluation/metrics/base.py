"""What a metric is."""

from collections.abc import Sequence
from typing import Protocol

from ingredients.evaluation.records import CaseRecord, Need
from ingredients.evaluation.statistics import Estimate


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
