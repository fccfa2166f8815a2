"""How much moves in the video: a still that copies the photos would keep faces best of all."""

import itertools
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ingredients.core.arrays import UInt8Array
from ingredients.evaluation.metrics.per_case import CaseMean
from ingredients.evaluation.records import CaseRecord, Need
from ingredients.evaluation.statistics import Estimate, bootstrap

STILL_LIMIT = 0.001
"""Change from frame to frame, as a share of the full range, below which a video is a still: what encoding makes of a
still changes by less."""


class MotionAmount:
    """Change from frame to frame in all videos over that in real clips of the same prompts: 1 moves as they do."""

    name = "motion_amount"
    description = "change from frame to frame, as a share of that in real clips of the same prompts"
    needs: frozenset[Need] = frozenset({"motion", "real_video"})
    is_percentage = False
    higher_is_better: bool | None = None

    def compute(self, records: Sequence[CaseRecord]) -> Estimate:
        """The ratio with its interval; infinite where nothing moves in the real clips, not a number without any."""
        pairs = [
            (record.motion.generated, record.motion.real)
            for record in records
            if record.motion is not None and record.motion.real is not None
        ]
        if not pairs:
            return Estimate(value=math.nan, low=math.nan, high=math.nan)
        generated, real = np.array(pairs, dtype=np.float64).T

        def ratio(indices: NDArray[np.int64]) -> float:
            real_motion = float(real[indices].sum())
            return float(generated[indices].sum()) / real_motion if real_motion > 0 else float("inf")

        return bootstrap(ratio, len(pairs))


def _frame_change(record: CaseRecord) -> float:
    assert record.motion is not None
    return record.motion.generated


FRAME_CHANGE = CaseMean(
    name="frame_change",
    description="mean change of a pixel from frame to frame, as a share of the full range: 0 is a still",
    of_case=_frame_change,
    needs=frozenset({"motion"}),
    higher_is_better=None,
    is_percentage=True,
)
STILL_RATE = CaseMean(
    name="still_rate",
    description="videos in which next to nothing moves",
    of_case=lambda record: float(_frame_change(record) < STILL_LIMIT),
    needs=frozenset({"motion"}),
    higher_is_better=False,
)


def mean_frame_change(frames: UInt8Array) -> float:
    """Mean absolute change of a pixel from frame to frame of (F, H, W, 3), as a share of the full range."""
    if len(frames) < 2:
        return 0.0
    changes = [np.abs(after.astype(np.int16) - before).mean() for before, after in itertools.pairwise(frames)]
    return float(np.mean(changes) / 255)
