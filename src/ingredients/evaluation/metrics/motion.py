"""How much moves in the video, and when, and how sharp the faces are: what a still, or a blur, would do best without.

A transition is what changes from one frame to the next. A causal video VAE puts one frame into its first latent frame
and several into each later one, and a transformer may join several latent frames in a temporal patch; so a transition
lies within frames that are made as one, or leads from some to the next.

Legend: F frames, H/W pixels.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ingredients.evaluation.case_record import CaseRecord, Need
from ingredients.evaluation.metrics.metric import CaseMean, mean_of_cases
from ingredients.evaluation.statistics import Estimate, bootstrap
from ingredients.evaluation.traits import LandmarkMotion

STILL_LIMIT = 0.001
"""Change from frame to frame, as a share of the full range, below which a video is a still: what encoding makes of a
still changes by less."""

STILL_FACE_LIMIT = 0.015
"""Motion of a face's landmarks in a frame, in parts of the distance between the eyes, below which it stands still.

In real clips people who stand, or wave a hand alone, have 0.001 to 0.012, and whoever does anything else 0.019 to 0.20
(44 people of 22 clips of both styles, as the judge's detector sees them).
"""

Where = Literal["within", "across"]
"""Within frames that are made as one, or from some to the next."""


class ShareOfReal:
    """A sum over all videos, over that of real clips of the same prompts: 1 is what these have.

    Args:
        name: key in the results.
        description: one line for the report.
        needs: parts of the records that it reads, and what else it cannot do without.
        sums: what a record's video has, its real clip, and that through the VAE (None without one); None for a record
            that has nothing of the kind.
        higher_is_better: direction.
    """

    is_percentage = False
    is_rate = False

    def __init__(
        self,
        name: str,
        description: str,
        needs: frozenset[Need],
        sums: Callable[[CaseRecord], "Sums | None"],
        *,
        higher_is_better: bool | None = None,
    ) -> None:
        self.name = name
        self.description = description
        self.needs = needs
        self.higher_is_better = higher_is_better
        self._sums = sums

    def compute(self, records: Sequence[CaseRecord]) -> Estimate:
        """The ratio with its interval; infinite where real clips have nothing, not a number without any."""
        sums = [each for record in records if (each := self._sums(record)) is not None]
        if not sums:
            return Estimate(value=math.nan, low=math.nan, high=math.nan)
        generated, real = (np.array([each[side] for each in sums], dtype=np.float64) for side in (0, 1))

        def ratio(indices: NDArray[np.int64]) -> float:
            of_real = float(real[indices].sum())
            return float(generated[indices].sum()) / of_real if of_real > 0 else float("inf")

        ceilings = [(each[2], each[1]) for each in sums if each[2] is not None]
        of_real = sum(each for _, each in ceilings)
        after_vae = sum(each for each, _ in ceilings) / of_real if of_real > 0 else None
        return dataclasses.replace(bootstrap(ratio, len(sums)), after_vae=after_vae)

    def of_cases(self, records: Sequence[CaseRecord]) -> None:
        """A ratio of sums is no mean over cases."""


Sums = tuple[float, float, float | None]
"""What a video has, a real clip, and the real clip through the model's VAE."""


def _of_whole_clip(record: CaseRecord) -> Sums | None:
    motion = record.motion
    return None if motion is None or motion.real is None else (motion.generated, motion.real, None)


def _of_transitions(where: Where) -> Callable[[CaseRecord], Sums | None]:
    def changes(record: CaseRecord) -> Sums | None:
        motion = record.motion
        if motion is None or motion.temporal_ratio is None:
            return None
        if not motion.by_transition or not motion.real_by_transition:
            return None
        chosen = [
            [side[index] for index in transitions(where, len(side), temporal_ratio=motion.temporal_ratio)]
            for side in (motion.by_transition, motion.real_by_transition)
        ]
        if not all(chosen):
            return None
        generated, real = (float(np.mean(changes)) for changes in chosen)
        return generated, real, None

    return changes


def _of_landmarks(record: CaseRecord) -> Sums | None:
    """Pixels a frame, over the people who are followed in both."""
    motion = record.motion
    if motion is None:
        return None
    pairs = [
        (ours.pixels, theirs.pixels)
        for ours, theirs in zip(motion.landmarks, motion.real_landmarks, strict=False)
        if ours is not None and theirs is not None
    ]
    if not pairs:
        return None
    ceiling = [each.pixels for each in motion.vae_landmarks if each is not None]
    is_comparable = len(ceiling) == len(pairs)
    generated, real = (sum(side) for side in zip(*pairs, strict=True))
    return generated, real, sum(ceiling) if is_comparable else None


MOTION_AMOUNT = ShareOfReal(
    "motion_amount",
    "change from frame to frame, as a share of that in real clips of the same prompts",
    frozenset({"motion", "real_video"}),
    _of_whole_clip,
)
MOTION_WITHIN = ShareOfReal(
    "motion_within",
    "the same within frames made as one (a latent frame, a temporal patch): near 0, they are copies of one still",
    frozenset({"motion", "real_video", "latent_frames"}),
    _of_transitions("within"),
)
MOTION_ACROSS = ShareOfReal(
    "motion_across",
    "the same from frames made as one to the next: far above 1, a jump that should have been several steps",
    frozenset({"motion", "real_video", "latent_frames"}),
    _of_transitions("across"),
)
LANDMARK_MOTION = ShareOfReal(
    "landmark_motion",
    "pixels that the landmarks of the faces go in a frame, as a share of those in real clips of the same prompts",
    frozenset({"motion", "real_video"}),
    _of_landmarks,
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


class StillPeople:
    """A `Metric`: share of the people whose face stands still, beside the same of real clips of the same prompts.

    Whoever is asked to stand stands still in real clips as well, so these are what it is to be compared with. A person
    without a face counts as still.
    """

    name = "still_people"
    description = "people whose face moves no more than that of people who are drawn standing; real clips beside it"
    needs: frozenset[Need] = frozenset({"motion", "real_video"})
    is_percentage = False
    is_rate = True
    higher_is_better: bool | None = False

    def compute(self, records: Sequence[CaseRecord]) -> Estimate:
        """The mean over cases with its interval."""
        motions = [record.motion for record in records if record.motion is not None]
        return dataclasses.replace(
            mean_of_cases(self.of_cases(records), is_rate=True),
            real_clips=_mean_or_none([_still_share(motion.real_landmarks) for motion in motions]),
            after_vae=_mean_or_none([_still_share(motion.vae_landmarks) for motion in motions]),
        )

    def of_cases(self, records: Sequence[CaseRecord]) -> list[float | None]:
        """The share of each case's people."""
        return [None if record.motion is None else _still_share(record.motion.landmarks) for record in records]


def _still_share(people: Sequence[LandmarkMotion | None]) -> float | None:
    if not people:
        return None
    return float(np.mean([motion is None or motion.share < STILL_FACE_LIMIT for motion in people]))


def _mean_or_none(numbers: Sequence[float | None]) -> float | None:
    known = [number for number in numbers if number is not None]
    return float(np.mean(known)) if known else None


def _of_details(record: CaseRecord) -> Sums | None:
    sharpness = record.sharpness
    if sharpness is None:
        return None
    generated, real, ceiling = (
        _mean_or_none(side) for side in (sharpness.generated, sharpness.real, sharpness.after_vae)
    )
    return None if generated is None or real is None else (generated, real, ceiling)


FACE_SHARPNESS = ShareOfReal(
    "face_sharpness",
    "high-frequency energy of the faces, as a share of that in real clips of the same prompts: below 1 is soft",
    frozenset({"sharpness", "real_video"}),
    _of_details,
)


class SharpnessInGroup:
    """A `Metric`: energy of the faces in the last frame of each latent frame, over that in the first: 1 is even."""

    name = "sharpness_last_of_group"
    description = "high-frequency energy of the faces in the last frame of a latent frame, over that in the first"
    needs: frozenset[Need] = frozenset({"sharpness", "real_video", "latent_frames"})
    is_percentage = False
    is_rate = False
    higher_is_better: bool | None = None

    def compute(self, records: Sequence[CaseRecord]) -> Estimate:
        """The ratio of sums with its interval, beside that of real clips."""
        known = [record.sharpness for record in records if record.sharpness is not None]
        pairs = [pair for each in known if (pair := _ends_of_groups(each.generated, each.temporal_ratio)) is not None]
        if not pairs:
            return Estimate(value=math.nan, low=math.nan, high=math.nan)
        last, first = np.array(pairs, dtype=np.float64).T

        def ratio(indices: NDArray[np.int64]) -> float:
            start = float(first[indices].sum())
            return float(last[indices].sum()) / start if start > 0 else float("inf")

        beside = [_ratio_of_ends([(getattr(each, side), each.temporal_ratio) for each in known])
                  for side in ("real", "after_vae")]  # fmt: skip
        return dataclasses.replace(bootstrap(ratio, len(pairs)), real_clips=beside[0], after_vae=beside[1])

    def of_cases(self, records: Sequence[CaseRecord]) -> None:
        """A ratio of sums is no mean over cases."""


def _ends_of_groups(details: Sequence[float | None], temporal_ratio: int | None) -> tuple[float, float] | None:
    """Mean energy of the last and of the first frames of the latent frames that hold several."""
    if temporal_ratio is None or temporal_ratio < 2:
        return None
    pairs = [
        (last, first)
        for start in range(1, len(details) - temporal_ratio + 1, temporal_ratio)
        if (first := details[start]) is not None and (last := details[start + temporal_ratio - 1]) is not None
    ]
    return (
        None if not pairs else (float(np.mean([last for last, _ in pairs])), float(np.mean([one for _, one in pairs])))
    )


def _ratio_of_ends(clips: Sequence[tuple[Sequence[float | None], int | None]]) -> float | None:
    pairs = [pair for details, ratio in clips if (pair := _ends_of_groups(details, ratio)) is not None]
    return share_of_sums(pairs)


def share_of_sums(pairs: Sequence[tuple[float | None, float | None]]) -> float | None:
    """The first numbers' sum as a share of the second ones', over pairs that have both; None where that is nothing."""
    known = [(first, second) for first, second in pairs if first is not None and second is not None]
    total = sum(second for _, second in known)
    return sum(first for first, _ in known) / total if total > 0 else None


def sharpness_by_frame(records: Sequence[CaseRecord]) -> list[float]:
    """Energy of the faces in each frame as a share of that in the real clips, over all cases; empty if none has it.

    Clips of several lengths are left out: their frames do not correspond.
    """
    known = [record.sharpness for record in records if record.sharpness is not None]
    if len({len(side) for each in known for side in (each.generated, each.real)}) != 1:
        return []
    shares = [
        share_of_sums([(each.generated[index], each.real[index]) for each in known])
        for index in range(len(known[0].generated))
    ]
    told = [share for share in shares if share is not None]
    return told if len(told) == len(shares) else []


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
