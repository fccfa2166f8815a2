"""How much moves in the video, and when: a still that copies the photos would keep faces best of all.

A transition is what changes from one frame to the next. A causal video VAE puts one frame into its first latent frame
and several into each later one, so a transition lies within a latent frame or leads across two.

Legend: F frames, H/W pixels.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ingredients.core.arrays import UInt8Array
from ingredients.evaluation.case_record import CaseRecord, MotionRecord, Need
from ingredients.evaluation.metrics.metric import CaseMean
from ingredients.evaluation.statistics import Estimate, bootstrap

STILL_LIMIT = 0.001
"""Change from frame to frame, as a share of the full range, below which a video is a still: what encoding makes of a
still changes by less."""

Where = Literal["within", "across"]
"""Within a latent frame, or across two."""


class MotionShare:
    """Change from frame to frame in all videos over that in real clips of the same prompts: 1 moves as they do.

    Args:
        name: key in the results.
        description: one line for the report.
        needs: parts of the records that it reads, and what else it cannot do without.
        changes: the change of a record's video and of its real clip; None for one that has none.
    """

    is_percentage = False
    is_rate = False
    higher_is_better: bool | None = None

    def __init__(
        self,
        name: str,
        description: str,
        needs: frozenset[Need],
        changes: Callable[[MotionRecord], tuple[float, float] | None],
    ) -> None:
        self.name = name
        self.description = description
        self.needs = needs
        self._changes = changes

    def compute(self, records: Sequence[CaseRecord]) -> Estimate:
        """The ratio with its interval; infinite where nothing moves in the real clips, not a number without any."""
        pairs = [
            pair
            for record in records
            if record.motion is not None and (pair := self._changes(record.motion)) is not None
        ]
        if not pairs:
            return Estimate(value=math.nan, low=math.nan, high=math.nan)
        generated, real = np.array(pairs, dtype=np.float64).T

        def ratio(indices: NDArray[np.int64]) -> float:
            real_motion = float(real[indices].sum())
            return float(generated[indices].sum()) / real_motion if real_motion > 0 else float("inf")

        return bootstrap(ratio, len(pairs))

    def of_cases(self, records: Sequence[CaseRecord]) -> None:
        """A ratio of sums is no mean over cases."""


def _of_whole_clip(motion: MotionRecord) -> tuple[float, float] | None:
    return None if motion.real is None else (motion.generated, motion.real)


def _of_transitions(where: Where) -> Callable[[MotionRecord], tuple[float, float] | None]:
    def changes(motion: MotionRecord) -> tuple[float, float] | None:
        if not motion.by_transition or not motion.real_by_transition or motion.temporal_ratio is None:
            return None
        chosen = [
            [side[index] for index in transitions(where, len(side), temporal_ratio=motion.temporal_ratio)]
            for side in (motion.by_transition, motion.real_by_transition)
        ]
        if not all(chosen):
            return None
        generated, real = (float(np.mean(changes)) for changes in chosen)
        return generated, real

    return changes


MOTION_AMOUNT = MotionShare(
    "motion_amount",
    "change from frame to frame, as a share of that in real clips of the same prompts",
    frozenset({"motion", "real_video"}),
    _of_whole_clip,
)
MOTION_WITHIN = MotionShare(
    "motion_within",
    "the same within a latent frame of the VAE: near 0, its frames are copies of one still",
    frozenset({"motion", "real_video", "latent_frames"}),
    _of_transitions("within"),
)
MOTION_ACROSS = MotionShare(
    "motion_across",
    "the same from one latent frame to the next: far above 1, a jump that should have been several steps",
    frozenset({"motion", "real_video", "latent_frames"}),
    _of_transitions("across"),
)


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
    is_rate=True,
)


def transitions(where: Where, number: int, *, temporal_ratio: int) -> list[int]:
    """Which of the first `number` transitions lie within a latent frame, or lead across two.

    Latent frame 0 is frame 0 alone, each later one `temporal_ratio` frames: every `temporal_ratio`-th transition,
    the first included, leads across.
    """
    return [index for index in range(number) if (index % temporal_ratio == 0) == (where == "across")]


def motion_by_transition(records: Sequence[CaseRecord]) -> list[float]:
    """The change at each transition as a share of that in the real clips, over all cases; empty if none has it.

    Clips of several lengths are left out: their transitions do not correspond.
    """
    known = [
        (motion.by_transition, motion.real_by_transition)
        for record in records
        if (motion := record.motion) is not None and motion.by_transition and motion.real_by_transition
    ]
    if len({len(side) for sides in known for side in sides}) != 1:
        return []
    return share_by_transition([generated for generated, _ in known], [real for _, real in known])


def share_by_transition(changes: Sequence[Sequence[float]], real: Sequence[Sequence[float]]) -> list[float]:
    """The changes of many clips at each transition over those of the real clips; infinite where these stand still."""
    ours, theirs = (np.sum(np.array(each, dtype=np.float64), axis=0) for each in (changes, real))
    return [float(mine / other) if other > 0 else math.inf for mine, other in zip(ours, theirs, strict=True)]


def frame_changes(frames: UInt8Array) -> list[float]:
    """Mean absolute change of a pixel at each transition of (F, H, W, 3), as a share of the full range."""
    return [
        float(np.abs(after.astype(np.int16) - before).mean() / 255) for before, after in itertools.pairwise(frames)
    ]
