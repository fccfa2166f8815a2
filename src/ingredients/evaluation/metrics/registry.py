"""The metrics by name."""

from collections.abc import Iterable

from ingredients.core.errors import UserInputError
from ingredients.evaluation.metrics.base import Metric
from ingredients.evaluation.metrics.changes import COPY_PASTE, DRIFT, Variety
from ingredients.evaluation.metrics.confusions import (
    DOMINATED_RATE,
    EXTRA_FACES,
    EXTRA_RATE,
    MISSING_RATE,
    STRANGER_RATE,
    SWAPPED_RATE,
    SWITCHING_RATE,
)
from ingredients.evaluation.metrics.fid import FID, PAPER_FID
from ingredients.evaluation.metrics.judge_frechet_distance import JudgeFrechetDistance
from ingredients.evaluation.metrics.motion import (
    FRAME_CHANGE,
    MOTION_ACROSS,
    MOTION_AMOUNT,
    MOTION_WITHIN,
    STILL_RATE,
)
from ingredients.evaluation.metrics.normalised_similarity import (
    NORMALISED_SIMILARITY,
    NORMALISED_SIMILARITY_MINIMUM,
    RAW_SIMILARITY,
)
from ingredients.evaluation.metrics.paper import DUAL_ENCODER_TEXT, PAPER_CLIP_TEXT, PAPER_FACE_SIMILARITY
from ingredients.evaluation.metrics.presence import ALL_PRESENT_RATE, BLENDED_RATE, DOUBLED_RATE, FOUND_RATE
from ingredients.evaluation.metrics.right_person import RIGHT_PERSON_RATE
from ingredients.evaluation.metrics.router_accuracy import ROUTER_ACCURACY
from ingredients.evaluation.metrics.text import ATTRIBUTE_CHOICES, TextCosineDifference, TextRelevance

_METRICS: tuple[Metric, ...] = (
    NORMALISED_SIMILARITY,
    RIGHT_PERSON_RATE,
    ALL_PRESENT_RATE,
    ROUTER_ACCURACY,
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
    EXTRA_RATE,
    EXTRA_FACES,
    SWITCHING_RATE,
    DRIFT,
    COPY_PASTE,
    Variety(),
    TextCosineDifference(),
    JudgeFrechetDistance(),
    MOTION_AMOUNT,
    MOTION_WITHIN,
    MOTION_ACROSS,
    FRAME_CHANGE,
    STILL_RATE,
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
