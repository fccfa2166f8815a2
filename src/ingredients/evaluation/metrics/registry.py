"""The metrics by name, which of them there can be, and their computation."""

from collections.abc import Iterable, Mapping, Sequence

from ingredients.core.errors import UserInputError
from ingredients.evaluation.case_record import RECORD_PARTS, CaseRecord, Need
from ingredients.evaluation.metrics.distributions import FID, PAPER_FID, JudgeFrechetDistance
from ingredients.evaluation.metrics.metric import Metric
from ingredients.evaluation.metrics.motion import (
    FACE_SHARPNESS,
    FRAME_CHANGE,
    LANDMARK_MOTION,
    MOTION_ACROSS,
    MOTION_AMOUNT,
    MOTION_WITHIN,
    STILL_RATE,
    SharpnessInGroup,
    StillPeople,
)
from ingredients.evaluation.metrics.people import (
    ALL_PRESENT_RATE,
    BINDINGS,
    BLENDED_RATE,
    COPIED_SHARE,
    COPY_PASTE,
    DOMINATED_RATE,
    DOUBLED_RATE,
    DRIFT,
    EXCHANGED_RATE,
    EXTRA_FACES,
    EXTRA_RATE,
    EXTRA_TAKEN_RATE,
    FOUND_RATE,
    MISSING_RATE,
    NORMALISED_SIMILARITY,
    NORMALISED_SIMILARITY_MINIMUM,
    PAPER_FACE_SIMILARITY,
    PLACED_RATE,
    RAW_SIMILARITY,
    RIGHT_PERSON_RATE,
    STRANGER_RATE,
    SWAPPED_RATE,
    SWITCHING_RATE,
    TURNED_RATE,
    Variety,
)
from ingredients.evaluation.metrics.router import ROUTER_ACCURACY
from ingredients.evaluation.metrics.text import (
    ATTRIBUTE_CHOICES,
    DUAL_ENCODER_TEXT,
    PAPER_CLIP_TEXT,
    TextCosineDifference,
    TextRelevance,
)
from ingredients.evaluation.metrics.traits import TRAIT_METRICS
from ingredients.evaluation.statistics import Estimate

_METRICS: tuple[Metric, ...] = (
    NORMALISED_SIMILARITY,
    RIGHT_PERSON_RATE,
    ALL_PRESENT_RATE,
    ROUTER_ACCURACY,
    *TRAIT_METRICS,
    TextRelevance(),
    *ATTRIBUTE_CHOICES,
    NORMALISED_SIMILARITY_MINIMUM,
    RAW_SIMILARITY,
    PAPER_FACE_SIMILARITY,
    PAPER_CLIP_TEXT,
    DUAL_ENCODER_TEXT,
    PAPER_FID,
    FID,
    FOUND_RATE,
    BLENDED_RATE,
    DOUBLED_RATE,
    DOMINATED_RATE,
    STRANGER_RATE,
    MISSING_RATE,
    SWAPPED_RATE,
    PLACED_RATE,
    EXTRA_RATE,
    EXTRA_TAKEN_RATE,
    EXTRA_FACES,
    SWITCHING_RATE,
    TURNED_RATE,
    EXCHANGED_RATE,
    DRIFT,
    COPY_PASTE,
    COPIED_SHARE,
    *BINDINGS,
    Variety(),
    TextCosineDifference(),
    JudgeFrechetDistance(),
    MOTION_AMOUNT,
    MOTION_WITHIN,
    MOTION_ACROSS,
    FRAME_CHANGE,
    STILL_RATE,
    LANDMARK_MOTION,
    StillPeople(),
    FACE_SHARPNESS,
    SharpnessInGroup(),
)

METRICS: dict[str, Metric] = {metric.name: metric for metric in _METRICS}
"""All metrics, in the order of the report."""


def find_metrics(names: Iterable[str] | None = None) -> list[Metric]:
    """The metrics with these names, or all.

    Raises:
        UserInputError: for an unknown name; the message lists the known ones.
    """
    if names is None:
        return list(METRICS.values())
    chosen = list(names)
    unknown = [name for name in chosen if name not in METRICS]
    if unknown:
        raise UserInputError(f"There is no metric {unknown[0]!r}; choose among {', '.join(METRICS)}.")
    return [METRICS[name] for name in chosen]


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
