"""Who appears as whom, and how each face changes through a clip: does it stay the person, and is it no pasted photo?

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
| taken | an extra that is seen as somebody who was asked for |
| switching | a track whose frames are seen now as one person, now as another |

Blended faces and doubled people are told by `assessment.py`.

**Binding** is MultiBind's difference (arXiv 2603.21937), of faces: how alike generated person i is to true person j,
less how alike true person i is to true person j, both in parts of the way from a stranger to the same person. The
diagonal is what a person has lost of themselves; the rest is what they have got of others beyond natural likeness. A
half, the middle between a stranger and the person, parts much from little:

| word | meaning for person i |
|---|---|
| drift | much of themselves is lost, and nobody else is gained: a stranger |
| swap | i has gained j and j has gained i, and both have lost much of themselves |
| dominance | much is lost and j is gained in their place |
| blending | j is gained, and little of themselves is lost |

**Copying** is WithAnyone's (arXiv 2510.14975): the angle between the face and the person in the real clip, less that
between the face and the photo, in parts of the angle between real clip and photo. 1 repeats the photo, -1 is the real
clip, a stranger is near 0.

Legend: T tracks (or frames of one), N people, D embedding.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from scipy.optimize import linear_sum_assignment

from ingredients.core.arrays import Float32Array
from ingredients.evaluation.assessment import (
    Measure,
    SimilarityScale,
    TrackEmbeddings,
    average_faces,
    compare_faces,
    mean_similarities,
)

IsPlaced = Callable[[int, TrackEmbeddings], bool]
"""Whether a person's track is where the person was asked for."""

BindingWord = Literal["drift", "swap", "dominance", "blending"]
"""What went wrong with a person's face against the real clip."""

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

    num_placed: int | None = None
    """People who appear as themselves in their place, or column of the picture; None if neither was asked for."""

    num_extra_taken: int = 0
    """Lasting tracks that are nobody's and are seen as somebody who was asked for."""

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
    is_placed: IsPlaced | None = None,
    measure: Measure = "cosine",
) -> Confusion:
    """Says who appears as whom.

    Args:
        tracks: faces of the clip, in any order.
        references: (N, D), each of length 1.
        scale: whose limit parts the same person from strangers.
        num_frames: frames of the clip.
        ordered: whether the people were asked for in this order from left to right.
        is_placed: says who is where they were asked for; None asks for columns where there is an order.
        measure: how faces are compared.
    """
    lasting = [track for track in tracks if len(track.frame_indices) >= _LASTING * num_frames]
    cosines = mean_similarities(lasting, references, measure=measure)  # (T, N)
    seen = [most_alike(row, scale.same_person_limit) for row in cosines]
    rows, columns = linear_sum_assignment(cosines, maximize=True)
    track_of = dict(zip(columns.tolist(), rows.tolist(), strict=True))
    seen_as = tuple(seen[track_of[person]] if person in track_of else MISSING for person in range(len(references)))
    all_right = seen_as == tuple(range(len(references)))
    own = {person: lasting[row] for person, row in sorted(track_of.items()) if seen[row] == person}
    in_order = [track.centre[0] for track in own.values()]
    if is_placed is None and ordered:
        is_placed = functools.partial(_is_in_column, num_people=len(references))
    extra = [row for row in range(len(lasting)) if row not in track_of.values()]
    return Confusion(
        seen_as=seen_as,
        swapped=in_order != sorted(in_order) if ordered and all_right else None,
        num_extra=max(0, len(lasting) - len(references)),
        switching=any(
            is_switching(compare_faces(track.embeddings, references, measure=measure), scale.same_person_limit)
            for track in lasting
        ),
        num_placed=None if is_placed is None else sum(is_placed(person, track) for person, track in own.items()),
        num_extra_taken=sum(seen[row] != STRANGER for row in extra),
    )


def _is_in_column(person: int, track: TrackEmbeddings, *, num_people: int) -> bool:
    return min(int(track.centre[0] * num_people), num_people - 1) == person


def nobody_seen(num_people: int, *, placed: bool = False) -> Confusion:
    """The confusion of a video that is not there; `placed` says whether places or an order were asked for."""
    return Confusion(
        seen_as=(MISSING,) * num_people,
        swapped=None,
        num_extra=0,
        switching=False,
        num_placed=0 if placed else None,
    )


def confusion_matrix(confusions: Sequence[Confusion], num_people: int) -> list[list[int]]:
    """Counts of (person asked for) x (seen as person 0 .. N - 1, stranger, missing) over clips."""
    matrix = [[0] * (num_people + 2) for _ in range(num_people)]
    for confusion in confusions:
        for person, seen in enumerate(confusion.seen_as):
            column = {STRANGER: num_people, MISSING: num_people + 1}.get(seen, seen)
            matrix[person][column] += 1
    return matrix


def most_alike(cosines: Float32Array, limit: float) -> int:
    """The person to whom a face is most alike, compared with each (N,); `STRANGER` if nobody lies above the limit."""
    best = int(cosines.argmax())
    return best if cosines[best] > limit else STRANGER


def is_switching(cosines: Float32Array, limit: float) -> bool:
    """Whether a track's frames (rows), compared with each person, show several people in turn."""
    seen = [most_alike(row, limit) for row in cosines]
    people = [person for person in seen if person != STRANGER]
    if not people:
        return False
    others = len(people) - max(people.count(person) for person in set(people))
    return others >= max(2, _SWITCHING * len(seen))


_MUCH = 0.5
"""Part of the way from a stranger to the same person from which a difference of likeness counts."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """Whose face each person has got, against the real clip."""

    difference: tuple[tuple[float, ...], ...]
    """N rows of N: likeness of generated person i to true person j, less that of true person i. A person without a
    face has lost all, and has gained nobody."""

    @property
    def own_losses(self) -> tuple[float, ...]:
        """What each person has lost of themselves."""
        return tuple(-row[person] for person, row in enumerate(self.difference))

    @property
    def gains(self) -> tuple[float, ...]:
        """What each person has got of somebody else, of the one that it is most; none for a single person."""
        return tuple(
            max(row[:person] + row[person + 1 :])
            for person, row in enumerate(self.difference)
            if len(self.difference) > 1
        )

    def count(self, word: BindingWord) -> int:
        """People to whom a word of this module's table applies."""
        return sum(self._word(person) == word for person in range(len(self.difference)))

    def _word(self, person: int) -> BindingWord | None:
        row = self.difference[person]
        others = [other for other in range(len(row)) if other != person and row[other] > _MUCH]
        is_lost = self.own_losses[person] > _MUCH
        if not others:
            return "drift" if is_lost else None
        if not is_lost:
            return "blending"
        other = max(others, key=row.__getitem__)
        is_exchange = self.difference[other][person] > _MUCH and self.own_losses[other] > _MUCH
        return "swap" if is_exchange else "dominance"


def measure_binding(
    generated: Sequence[Float32Array | None],
    real: Sequence[Float32Array | None],
    *,
    scale: SimilarityScale,
    measure: Measure = "cosine",
) -> Binding | None:
    """Compares the people of a video with those of the real clip; None if one of these is not seen in the real clip.

    Args:
        generated: embeddings (frames, D) of each person's track; None for one without.
        real: the same in the real clip.
        scale: whose two means are a stranger and the same person.
        measure: how faces are compared.
    """
    truth = [each for each in real if each is not None]
    if len(truth) < len(real):
        return None
    true_people = np.stack([average_faces(each, measure=measure) for each in truth])  # (N, D)
    way = scale.same_person_mean - scale.stranger_mean
    rows = []
    for person, (ours, theirs) in enumerate(zip(generated, truth, strict=True)):
        natural = compare_faces(theirs, true_people, measure=measure).mean(axis=0)  # (N,)
        if ours is None:
            difference = np.zeros(len(truth))
            difference[person] = scale.stranger_mean - natural[person]
        else:
            difference = compare_faces(ours, true_people, measure=measure).mean(axis=0) - natural
        rows.append(tuple(round(float(each) / way, 5) for each in difference))
    return Binding(difference=tuple(rows))


def copied_share(face: Float32Array, real: Float32Array, photo: Float32Array) -> float:
    """WithAnyone's copying of one face, from embeddings (D,) of any length: 1 is the photo, -1 the real clip."""

    def angle(first: Float32Array, second: Float32Array) -> float:
        cosine = float(first @ second) / max(float(np.linalg.norm(first) * np.linalg.norm(second)), 1e-12)
        return math.acos(min(max(cosine, -1.0), 1.0))

    return (angle(face, real) - angle(face, photo)) / max(angle(real, photo), 1e-6)


_THIRDS = 3


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FaceChanges:
    """Numbers of one track; each is None where the track is too short for it."""

    drift: float | None
    """Cosine to the person in the last third of the track's frames minus that in the first: below 0 it is lost."""

    copy_paste: float | None
    """Cosine to the photo in the third of the frames whose face is posed most like the photo's, minus that in the
    third posed least like it: what is lost where the photo does not show the way. Large: it only repeats the photo."""

    variety: float | None
    """Standard deviation of the landmarks over the frames, place, size and roll removed, in parts of the distance
    between the eyes: 0 is a face that never changes, such as a pasted photo."""


def measure_changes(
    embeddings: Float32Array,
    landmarks: Float32Array,
    reference: Float32Array,
    photo_landmarks: Float32Array,
    *,
    measure: Measure = "cosine",
) -> FaceChanges:
    """Measures a track against the person it should show.

    Args:
        embeddings: (T, D), in the order of the frames.
        landmarks: (T, 5, 2), of the same frames.
        reference: (D,).
        photo_landmarks: (5, 2), in the photo.
        measure: how faces are compared.
    """
    if len(embeddings) < _THIRDS:
        return FaceChanges(drift=None, copy_paste=None, variety=None)
    cosines = compare_faces(embeddings, reference[None], measure=measure)[:, 0]
    shapes = np.stack([_shape(points) for points in landmarks])  # (T, 5, 2)
    distances = np.linalg.norm(shapes - _shape(photo_landmarks), axis=(1, 2))
    third = len(cosines) // _THIRDS
    by_pose = cosines[np.argsort(distances, kind="stable")]
    return FaceChanges(
        drift=float(cosines[-third:].mean() - cosines[:third].mean()),
        copy_paste=float(by_pose[:third].mean() - by_pose[-third:].mean()),
        variety=face_variety(landmarks),
    )


def face_variety(landmarks: Float32Array) -> float:
    """How far the landmarks (T, 5, 2) of a face move, as `FaceChanges.variety` has it."""
    shapes = np.stack([_shape(points) for points in landmarks])
    return float(np.sqrt(shapes.var(axis=0).sum(axis=-1).mean()))


def _shape(landmarks: Float32Array) -> Float32Array:
    """Landmarks (5, 2) with the eyes' middle at 0, their distance 1, and no roll."""
    left, right = landmarks[0], landmarks[1]
    across = right - left
    scale = float(across @ across)
    rotation = np.array([[across[0], across[1]], [-across[1], across[0]]]) / max(scale, 1e-6)
    shape: Float32Array = ((landmarks - (left + right) / 2) @ rotation.T).astype(np.float32)
    return shape
