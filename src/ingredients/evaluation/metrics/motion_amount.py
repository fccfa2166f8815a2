"""How much moves in the video: a still that copies the photos would keep faces best of all."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ingredients.core.arrays import UInt8Array
from ingredients.evaluation.records import CaseRecord, Need
from ingredients.evaluation.statistics import Estimate, bootstrap


class MotionAmount:
    """Change from frame to frame in all videos over that in real clips of the same prompts: 1 moves as they do."""

    name = "motion_amount"
    description = "change from frame to frame, as a share of that in real clips of the same prompts"
    needs: frozenset[Need] = frozenset({"motion"})
    higher_is_better: bool | None = None

    def compute(self, records: Sequence[CaseRecord]) -> Estimate:
        """The ratio with its interval; infinite where nothing moves in the real clips."""
        motions = [record.motion for record in records if record.motion is not None]
        generated = np.array([motion.generated for motion in motions])
        real = np.array([motion.real for motion in motions])

        def ratio(indices: NDArray[np.int64]) -> float:
            real_motion = float(real[indices].sum())
            return float(generated[indices].sum()) / real_motion if real_motion > 0 else float("inf")

        return bootstrap(ratio, len(motions))


def mean_frame_change(frames: UInt8Array) -> float:
    """Mean absolute change of a pixel from frame to frame of (F, H, W, 3), as a share of the full range."""
    if len(frames) < 2:
        return 0.0
    return float(np.abs(np.diff(frames.astype(np.int16), axis=0)).mean() / 255)
