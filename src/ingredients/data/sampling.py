"""Which clips a step trains on and everything random about them: functions of the seed, the epoch and the clip.

Neither the number of processes, nor that of workers, nor where a run was interrupted changes any of it.
"""

import dataclasses
import hashlib
import math
from collections.abc import Sequence

import torch

from ingredients.core.errors import UserInputError

_GOLDEN = (math.sqrt(5) - 1) / 2


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SampleDraw:
    """One clip in one epoch, and the source of its randomness."""

    index: int
    """Number of the clip."""

    clip_id: str
    """Its name."""

    epoch: int
    """How often the clips of its bucket have been gone through before."""

    seed: int
    """The seed that follows from the run's seed, the epoch and the clip."""

    level: float
    """In [0, 1): which noise level. Consecutive clips of an epoch have levels that are spread evenly (a golden-ratio
    sequence from a start that the epoch draws), which is less noisy than independent draws."""

    def generator(self, purpose: str) -> torch.Generator:
        """A generator for one purpose; purposes do not disturb each other."""
        return torch.Generator().manual_seed(_hash(f"{self.seed} {purpose}"))

    def chance(self, purpose: str) -> float:
        """A uniform number in [0, 1) for one purpose."""
        return _hash(f"{self.seed} {purpose}") / 2**63


class SampleOrder:
    """The endless order of the clips: each bucket's clips again and again, shuffled anew each time.

    A step's clips all come from one bucket; buckets take turns so that each keeps its share of the clips.

    Args:
        buckets: for each, the clips' indices.
        clip_ids: names of all clips.
        seed: the seed of the run.
        cursors: where an earlier run was; None begins.
    """

    def __init__(
        self,
        buckets: Sequence[Sequence[int]],
        clip_ids: Sequence[str],
        *,
        seed: int,
        cursors: Sequence[int] | None = None,
    ) -> None:
        if not buckets or not all(buckets):
            raise ValueError("there must be at least one clip in every bucket")
        self._buckets = [list(bucket) for bucket in buckets]
        self._clip_ids = clip_ids
        self._seed = seed
        self._orders: dict[tuple[int, int], list[int]] = {}
        self.cursors = [0] * len(buckets) if cursors is None else list(cursors)
        """Clips that have been drawn from each bucket: the whole state."""

    def draw(self, batch_size: int, *, among: Sequence[int] | None = None) -> list[SampleDraw]:
        """The next `batch_size` clips.

        Args:
            batch_size: clips to draw.
            among: buckets that take their turns now, each with its share of what is drawn of these; None: all.
        """
        among = range(len(self._buckets)) if among is None else among
        total = sum(self.cursors[bucket] for bucket in among) + batch_size
        num_clips = sum(len(self._buckets[bucket]) for bucket in among)
        owed = {bucket: total * len(self._buckets[bucket]) / num_clips - self.cursors[bucket] for bucket in among}
        bucket = max(owed, key=owed.__getitem__)
        first = self.cursors[bucket]
        self.cursors[bucket] += batch_size
        return [self._sample(bucket, position) for position in range(first, first + batch_size)]

    def _sample(self, bucket: int, position: int) -> SampleDraw:
        epoch, place = divmod(position, len(self._buckets[bucket]))
        index = self._order(bucket, epoch)[place]
        start = _hash(f"{self._seed} {epoch} {bucket} levels") / 2**63
        return SampleDraw(
            index=index,
            clip_id=self._clip_ids[index],
            epoch=epoch,
            seed=_hash(f"{self._seed} {epoch} {self._clip_ids[index]}"),
            level=(start + place * _GOLDEN) % 1.0,
        )

    def _order(self, bucket: int, epoch: int) -> list[int]:
        if (bucket, epoch) not in self._orders:
            self._orders = {
                key: order for key, order in self._orders.items() if key[0] != bucket or key[1] >= epoch - 1
            }
            clips = self._buckets[bucket]
            generator = torch.Generator().manual_seed(_hash(f"{self._seed} {epoch} {bucket} order"))
            self._orders[bucket, epoch] = [clips[i] for i in torch.randperm(len(clips), generator=generator).tolist()]
        return self._orders[bucket, epoch]


def fixed_draws(indices: Sequence[int], clip_ids: Sequence[str], *, seed: int) -> list[SampleDraw]:
    """The same draws each time, for measurements on held-out clips."""
    return [
        SampleDraw(
            index=index,
            clip_id=clip_ids[index],
            epoch=0,
            seed=_hash(f"{seed} held out {clip_ids[index]}"),
            level=(place * _GOLDEN) % 1.0,
        )
        for place, index in enumerate(indices)
    ]


def share(draws: Sequence[SampleDraw], *, index: int, count: int) -> list[SampleDraw]:
    """Process `index`'s part of a step's clips, of `count` equal parts.

    Raises:
        UserInputError: if they cannot be parted equally.
    """
    if len(draws) % count:
        raise UserInputError(
            f"The {len(draws)} clips of a step cannot be parted among {count} processes equally; set stage.batch_size "
            f"(and stage.image_batch_size) to a multiple of {count}."
        )
    size = len(draws) // count
    return list(draws[index * size : (index + 1) * size])


def _hash(text: str) -> int:
    """63 bits."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
