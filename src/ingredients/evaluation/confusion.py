"""Who appears as whom: what goes wrong with several people, told apart.

A lasting track (a face seen in at least half of the frames) is *seen as* the person asked for to whom it is most
alike, if it lies above the same person's limit (the midpoint between strangers and the same person, where the judge
is calibrated), and as a stranger otherwise.

| word | meaning |
|---|---|
| right | the person's own track is seen as them |
| dominant | it is seen as somebody else of those asked for, who so appears twice or in another's place |
| stranger | it is seen as nobody |
| missing | there is no lasting track for the person |
| swapped | everybody is right, but they stand in another order than asked for, from left to right |
| extra | lasting tracks beyond the number of people asked for |
| switching | a track whose frames are seen now as one person, now as another |

Blended faces and doubled people are told by `assessment.py`.

Legend: T tracks, N people, D embedding.
"""

import dataclasses
from collections.abc import Sequence

from scipy.optimize import linear_sum_assignment

from ingredients.core.arrays import Float32Array
from ingredients.evaluation.assessment import SimilarityScale, TrackEmbeddings, mean_similarities
from ingredients.evaluation.comparison import Measure, compare_faces

STRANGER = -1
MISSING = -2

_LASTING = 0.5
"""Share of the frames."""

_SWITCHING = 0.2
"""Share of a track's frames that must be seen as another person: single frames may err."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Confusion:
    """Who appears as whom in one clip."""

    seen_as: tuple[int, ...]
    """For each person asked for, who their track is seen as: an index, `STRANGER` or `MISSING`."""

    swapped: bool | None
    """Whether the order from left to right is another than asked for; None if not everybody is right, or none was."""

    num_extra: int
    """Lasting tracks beyond the number of people."""

    switching: bool
    """Whether a track is now one person, now another."""

    @property
    def num_right(self) -> int:
        """People who appear as themselves."""
        return sum(seen == person for person, seen in enumerate(self.seen_as))

    @property
    def num_dominated(self) -> int:
        """People in whose place somebody else of those asked for appears."""
        return sum(seen >= 0 and seen != person for person, seen in enumerate(self.seen_as))

    @property
    def num_strangers(self) -> int:
        """People in whose place a stranger appears."""
        return self.seen_as.count(STRANGER)

    @property
    def num_missing(self) -> int:
        """People without a lasting track."""
        return self.seen_as.count(MISSING)


def find_confusion(
    tracks: Sequence[TrackEmbeddings],
    references: Float32Array,
    *,
    scale: SimilarityScale,
    num_frames: int,
    ordered: bool = False,
    measure: Measure = "cosine",
) -> Confusion:
    """Says who appears as whom.

    Args:
        tracks: faces of the clip, in any order.
        references: (N, D), each of length 1.
        scale: whose limit parts the same person from strangers.
        num_frames: frames of the clip.
        ordered: whether the people were asked for in this order from left to right.
        measure: how faces are compared.
    """
    lasting = [track for track in tracks if len(track.frame_indices) >= _LASTING * num_frames]
    cosines = mean_similarities(lasting, references, measure=measure)  # (T, N)
    seen = [_most_alike(row, scale.same_person_limit) for row in cosines]
    rows, columns = linear_sum_assignment(cosines, maximize=True)
    track_of = dict(zip(columns.tolist(), rows.tolist(), strict=True))
    seen_as = tuple(seen[track_of[person]] if person in track_of else MISSING for person in range(len(references)))
    all_right = seen_as == tuple(range(len(references)))
    across = [lasting[track_of[person]].centre[0] for person in range(len(references))] if all_right else []
    return Confusion(
        seen_as=seen_as,
        swapped=across != sorted(across) if ordered and all_right else None,
        num_extra=max(0, len(lasting) - len(references)),
        switching=any(
            _is_switching(compare_faces(track.embeddings, references, measure=measure), scale.same_person_limit)
            for track in lasting
        ),
    )


def nobody_seen(num_people: int) -> Confusion:
    """The confusion of a video that is not there."""
    return Confusion(seen_as=(MISSING,) * num_people, swapped=None, num_extra=0, switching=False)


def confusion_matrix(confusions: Sequence[Confusion], num_people: int) -> list[list[int]]:
    """Counts of (person asked for) x (seen as person 0 .. N - 1, stranger, missing) over clips."""
    matrix = [[0] * (num_people + 2) for _ in range(num_people)]
    for confusion in confusions:
        for person, seen in enumerate(confusion.seen_as):
            column = {STRANGER: num_people, MISSING: num_people + 1}.get(seen, seen)
            matrix[person][column] += 1
    return matrix


def _most_alike(cosines: Float32Array, limit: float) -> int:
    best = int(cosines.argmax())
    return best if cosines[best] > limit else STRANGER


def _is_switching(cosines: Float32Array, limit: float) -> bool:
    """Of a track's frames (rows) compared with each person."""
    seen = [_most_alike(row, limit) for row in cosines]
    people = [person for person in seen if person != STRANGER]
    if not people:
        return False
    others = len(people) - max(people.count(person) for person in set(people))
    return others >= max(2, _SWITCHING * len(seen))
