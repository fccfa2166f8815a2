"""Which metrics there can be, and their computation."""

from collections.abc import Iterable, Mapping, Sequence

from ingredients.core.errors import UserInputError
from ingredients.evaluation.metrics.base import Metric
from ingredients.evaluation.metrics.registry import find_metrics
from ingredients.evaluation.records import RECORD_PARTS, CaseRecord, Need
from ingredients.evaluation.statistics import Estimate


def choose_available(names: Iterable[str] | None, *, lacking: Mapping[Need, str], of_whom: str) -> list[Metric]:
    """The metrics asked for, or all that nothing is lacking for.

    Args:
        names: those asked for; None takes all that there can be.
        lacking: what is not there, in words.
        of_whom: who lacks it, for the error.

    Raises:
        UserInputError: for an unknown one, or one that cannot be had.
    """
    chosen = []
    for metric in find_metrics(names):
        missing = [part for need, part in lacking.items() if need in metric.needs]
        if missing and names is not None:
            raise UserInputError(
                f"The metric {metric.name} needs {missing[0]}, which {of_whom} lacks; leave it out of the metrics."
            )
        if not missing:
            chosen.append(metric)
    return chosen


def needed_parts(metrics: Iterable[Metric]) -> frozenset[Need]:
    """The parts of records that metrics read."""
    return RECORD_PARTS & frozenset().union(*(metric.needs for metric in metrics))


def compute_metrics(metrics: Iterable[Metric], records: Sequence[CaseRecord]) -> dict[str, Estimate]:
    """Each metric over the records that have what it reads.

    Who is seen is known of every case: in one without a video, nobody. Text, motion and the distances between
    distributions are known only of those with a video; a metric that no case has the parts for is left out.
    """
    estimates = {}
    for metric in metrics:
        readable = [record for record in records if metric.needs & RECORD_PARTS <= record.parts]
        if readable:
            estimates[metric.name] = metric.compute(readable)
    return estimates
