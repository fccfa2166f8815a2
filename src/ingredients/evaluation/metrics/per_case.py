"""Metrics that are the mean of one number a case."""

import dataclasses
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

    of_case: Callable[[CaseRecord], float]
    """The number of one case."""

    needs: frozenset[Need] = frozenset({"people"})
    """Parts of the records that `of_case` reads, and what else it cannot do without."""

    higher_is_better: bool | None = True
    """Direction."""

    is_percentage: bool = False
    """Whether reports show it times 100."""

    def compute(self, records: Sequence[CaseRecord]) -> Estimate:
        """The mean with its interval."""
        return bootstrap_mean(np.array([self.of_case(record) for record in records], dtype=np.float64))
