"""How the faces change through a video (`evaluation/face_changes.py` defines the words)."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ingredients.evaluation.metrics.per_case import CaseMean
from ingredients.evaluation.records import CaseRecord, Need
from ingredients.evaluation.statistics import Estimate, bootstrap


def _face_change_mean(name: str, description: str, *, higher_is_better: bool) -> CaseMean:
    """The mean over people of one number of their face; those without one do not count."""

    def of_case(record: CaseRecord) -> float | None:
        assert record.changes is not None
        numbers = [getattr(face, name) for face in record.changes.faces if face is not None]
        known = [number for number in numbers if number is not None]
        return float(np.mean(known)) if known else None

    return CaseMean(
        name=name,
        description=description,
        of_case=of_case,
        needs=frozenset({"changes"}),
        higher_is_better=higher_is_better,
    )


DRIFT = _face_change_mean(
    "drift",
    "cosine to the person at the end of the video minus that at its beginning",
    higher_is_better=True,
)
COPY_PASTE = _face_change_mean(
    "copy_paste",
    "cosine to the person in frames posed like the photo minus that in others: a copy keeps only those",
    higher_is_better=False,
)


class Variety:
    """How far faces move in themselves, as a share of that in real clips: a pasted photo has 0."""

    name = "variety"
    description = "change within the faces (their landmarks), as a share of that in real clips: 0 is a pasted photo"
    needs: frozenset[Need] = frozenset({"changes", "real_video"})
    is_percentage = False
    is_rate = False
    higher_is_better: bool | None = None

    def compute(self, records: Sequence[CaseRecord]) -> Estimate:
        """The mean over videos divided by the mean over real clips; not a number where these do not move."""
        pairs = [pair for record in records if (pair := _varieties(record)) is not None]
        if not pairs or not any(real for _, real in pairs):
            return Estimate(value=math.nan, low=math.nan, high=math.nan)
        generated, real = np.array(pairs).T

        def share(indices: NDArray[np.int64]) -> float:
            total = real[indices].sum()
            return float(generated[indices].sum() / total) if total > 0 else math.inf

        return bootstrap(share, len(pairs))

    def of_cases(self, records: Sequence[CaseRecord]) -> None:
        """A ratio of means is no mean over cases."""


def _varieties(record: CaseRecord) -> tuple[float, float] | None:
    """Of the video's faces and of the real clip's."""
    if record.changes is None or record.changes.real_variety is None:
        return None
    faces = [face.variety for face in record.changes.faces if face is not None and face.variety is not None]
    return (float(np.mean(faces)), record.changes.real_variety) if faces else None
