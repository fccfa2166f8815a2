"""Who a followed face is over time: stretches in which it shows one person, and when it turns into another.

An evaluation says of a face as a whole whom it is most alike to (`changes.py`). A face that shows one person at first
and then another is neither as a whole. So its frames are cut into stretches: the cut that explains the frames best
(the Viterbi path) where each frame speaks for the people it is like, and each turn has its price. A frame speaks by
how far its likeness is above or below the same person's limit, and says no more than a clear frame of the person, or
of a stranger: no single one, however wrong, is worth a turn. Whom a stretch shows is then decided as for a whole face,
by its mean likeness. A face that does not turn is one stretch, of which the same is said as in an evaluation.

Where two faces pass each other, it may be the following of faces that goes wrong, and not the faces: by place and size
either could be either. There, looks decide (`untangle`).

Legend: T frames of a face, N people, D embedding.
"""

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import numpy as np

from ingredients.core.arrays import Float32Array
from ingredients.evaluation.assessment import Measure, SimilarityScale, TrackEmbeddings, compare_faces
from ingredients.evaluation.changes import STRANGER, most_alike
from ingredients.faces.tracking import TrackingConfig, step_cost

_TURN, _TURN_TO_STRANGER = 3.0, 2.0
"""What a turn costs, and one from or to a stranger, where a clear frame of one person speaks for that person rather
than for another by 2, and rather than for a stranger by 1. So the least that counts at either end of a video is two
clear frames of another person or three of a stranger; between two stretches of one person it is four, or five."""

SAME_MOMENT = 2
"""Frames, of those looked at, by which two turns may differ that are one event."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Some frames of a face, in a row, in which it shows one person."""

    first: int
    """The first of them, counted among the face's own T frames."""

    end: int
    """The one behind the last."""

    seen_as: int
    """Index of the person to whom the face is most alike in them, if above the limit; `STRANGER` otherwise."""

    also_like: tuple[int, ...] = ()
    """Others above the limit as well: a blend of two people."""

    def __len__(self) -> int:
        """Number of its frames."""
        return self.end - self.first


def find_stretches(likeness: Float32Array, *, limit: float, margin: float) -> tuple[Stretch, ...]:
    """Cuts a face into the stretches in which it shows one person each; neighbours show different ones.

    Args:
        likeness: (T, N), of each frame to each person.
        limit: above which a face is taken for a person.
        margin: how far from the limit a frame is clear.
    """
    return _explain(likeness, limit=limit, margin=margin)[0]


def _explain(likeness: Float32Array, *, limit: float, margin: float) -> tuple[tuple[Stretch, ...], float]:
    """The stretches of a face, as `find_stretches` says them, and how well they explain its frames."""
    path, score = _best_path(likeness, limit, margin)
    ends = [*np.flatnonzero(np.diff(path)) + 1, len(path)]
    named = [
        (first, end, most_alike(likeness[first:end].mean(axis=0), limit))
        for first, end in itertools.pairwise([0, *map(int, ends)])
    ]
    stretches = []
    for seen_as, group in itertools.groupby(named, key=lambda stretch: stretch[2]):
        joined = list(group)
        first, end = joined[0][0], joined[-1][1]
        above = np.flatnonzero(likeness[first:end].mean(axis=0) > limit)
        others = tuple(int(index) for index in above if index != seen_as)
        stretches.append(Stretch(first=first, end=end, seen_as=seen_as, also_like=others))
    return tuple(stretches), score


def _best_path(likeness: Float32Array, limit: float, margin: float) -> tuple[list[int], float]:
    """Whom each frame (T, N) shows, the number of people standing for a stranger, and how well that explains all."""
    evidence = np.clip((likeness - limit) / margin, -1.0, 1.0)
    evidence = np.concatenate([evidence, np.zeros_like(evidence[:, :1])], axis=1)  # (T, N + 1): a stranger is last
    number = evidence.shape[1]
    prices = np.full((number, number), _TURN)  # from the second to the first
    prices[-1], prices[:, -1] = _TURN_TO_STRANGER, _TURN_TO_STRANGER
    np.fill_diagonal(prices, 0.0)
    score, came_from = evidence[0], []
    for row in evidence[1:]:
        reached = score - prices  # (N + 1, N + 1)
        came_from.append(reached.argmax(axis=1))
        score = reached.max(axis=1) + row
    path = [int(score.argmax())]
    for origins in reversed(came_from):
        path.append(int(origins[path[-1]]))
    return path[::-1], float(score.max())


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FollowedFace:
    """A face, and who it is."""

    track: TrackEmbeddings
    """What was seen of it."""

    likeness: Float32Array
    """(T, N), to each person."""

    stretches: tuple[Stretch, ...]
    """Whom it shows."""

    score: float
    """How well that explains its frames."""


def untangle(
    tracks: Sequence[TrackEmbeddings],
    references: Float32Array,
    *,
    limit: float,
    margin: float,
    frame_size: tuple[int, int],
    measure: Measure = "cosine",
    tracking: TrackingConfig | None = None,
) -> list[FollowedFace]:
    """Gives back to each person the rest of their face where two were taken for each other as they met.

    A face turns into somebody whose own face, at the same moment, ended or turned close by: where place and size allow
    the one to go on as the other, nobody has changed, and the two are exchanged from there on.

    Args:
        tracks: faces with boxes and landmarks.
        references: (N, D).
        limit: above which a face is taken for a person.
        margin: how far from the limit a frame is clear.
        frame_size: height and width of the frames.
        measure: how faces are compared.
        tracking: what joined the faces.
    """
    config = tracking or TrackingConfig()

    def look(track: TrackEmbeddings) -> FollowedFace:
        likeness = compare_faces(track.embeddings, references, measure=measure)
        stretches, score = _explain(likeness, limit=limit, margin=margin)
        return FollowedFace(track=track, likeness=likeness, stretches=stretches, score=score)

    faces = [look(track) for track in tracks]
    while True:
        for one, other in itertools.permutations(range(len(faces)), 2):
            best = faces[one].score + faces[other].score + _ROUNDING
            exchanged = None
            for frame in _crossings(faces[one], faces[other], config):
                joined = [look(each) for each in _exchange(faces[one].track, faces[other].track, frame, frame_size)]
                if sum(each.score for each in joined) > best:
                    best, exchanged = sum(each.score for each in joined), joined
            if exchanged is not None:  # the score rises each time, so it comes to an end
                faces[one], faces[other] = exchanged
                break
        else:
            return faces


_ROUNDING = 1e-3


def _crossings(one: FollowedFace, other: FollowedFace, config: TrackingConfig) -> Iterator[int]:
    """Frames from which two faces might be each other, close to where the first turns into whom the second was."""
    reach = max(SAME_MOMENT, config.max_gap)
    for before, after in itertools.pairwise(one.stretches):
        frame = one.track.frame_indices[after.first]
        if after.seen_as != STRANGER and _was_until(other, frame, reach) == after.seen_as != before.seen_as:
            for near in range(frame - reach, frame + reach + 1):
                if _can_be_exchanged(one.track, other.track, near, config):
                    yield near


def _was_until(face: FollowedFace, frame: int, reach: int) -> int | None:
    """Whom a face showed that ended shortly before a frame, or turned at about that frame; None of any other."""
    frames = face.track.frame_indices
    if frames[-1] < frame:
        return face.stretches[-1].seen_as if frame - frames[-1] <= reach + 1 else None
    for before, after in itertools.pairwise(face.stretches):
        if abs(frames[after.first] - frame) <= reach:
            return before.seen_as
    return None


def _can_be_exchanged(one: TrackEmbeddings, other: TrackEmbeddings, frame: int, config: TrackingConfig) -> bool:
    """Whether two faces could be each other from a frame on, by place and size; the second may have ended before."""
    cuts = _cuts(one, other, frame)
    if not 0 < cuts[0] < len(one.frame_indices) or not cuts[1]:
        return False
    goes_on = cuts[1] == len(other.frame_indices) or _can_go_on(one, cuts[0] - 1, other, cuts[1], config)
    return goes_on and _can_go_on(other, cuts[1] - 1, one, cuts[0], config)


def _cuts(one: TrackEmbeddings, other: TrackEmbeddings, frame: int) -> tuple[int, int]:
    """How many of each face's frames are before a frame."""
    return sum(index < frame for index in one.frame_indices), sum(index < frame for index in other.frame_indices)


def _can_go_on(start: TrackEmbeddings, last: int, rest: TrackEmbeddings, first: int, config: TrackingConfig) -> bool:
    assert start.boxes is not None
    assert rest.boxes is not None
    passed = rest.frame_indices[first] - start.frame_indices[last]
    return step_cost(start.boxes[last], rest.boxes[first], passed, config) is not None


def _exchange(
    one: TrackEmbeddings, other: TrackEmbeddings, frame: int, frame_size: tuple[int, int]
) -> tuple[TrackEmbeddings, TrackEmbeddings]:
    """Two faces, each of which goes on as the other from a frame on."""
    cuts = _cuts(one, other, frame)
    return _joined(one, other, cuts, frame_size), _joined(other, one, cuts[::-1], frame_size)


def _joined(
    start: TrackEmbeddings, rest: TrackEmbeddings, cuts: tuple[int, int], frame_size: tuple[int, int]
) -> TrackEmbeddings:
    """So many frames of one face, and those of another but its first."""
    assert start.boxes is not None
    assert rest.boxes is not None
    assert start.landmarks is not None
    assert rest.landmarks is not None  # the judge's faces have both
    until, since = cuts
    boxes = np.concatenate([start.boxes[:until], rest.boxes[since:]])
    height, width = frame_size
    return TrackEmbeddings(
        frame_indices=start.frame_indices[:until] + rest.frame_indices[since:],
        embeddings=np.concatenate([start.embeddings[:until], rest.embeddings[since:]]),
        centre=(float(boxes[:, 0::2].mean()) / width, float(boxes[:, 1::2].mean()) / height),
        landmarks=np.concatenate([start.landmarks[:until], rest.landmarks[since:]]),
        boxes=boxes,
    )


class TurningFace(Protocol):
    """A face that was followed through a clip, and who it is over time."""

    @property
    def number(self) -> int:
        """The number of the face."""
        ...

    @property
    def frames(self) -> Sequence[int]:
        """Frames of the clip in which it is seen, ascending."""
        ...

    @property
    def likeness(self) -> Float32Array:
        """(T, N), to each person."""
        ...

    @property
    def stretches(self) -> Sequence[Stretch]:
        """Whom it shows, one after the other."""
        ...


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A moment from which on a face shows somebody else."""

    face: int
    """The number of the face."""

    frame: int
    """The first frame, of those looked at, that shows the other."""

    was: int
    """Index of who it showed until then, or `STRANGER`."""

    becomes: int
    """Index of who it shows from then on, or `STRANGER`."""

    likeness_before: float
    """Mean likeness to whom it showed, until then; to nobody, for a stranger: 0."""

    likeness_after: float
    """Mean likeness to the same person from then on."""

    is_exchange: bool = False
    """Whether another face becomes at that moment whom this one was."""


def find_turns(faces: Iterable[TurningFace]) -> tuple[Turn, ...]:
    """All moments at which a face becomes somebody else, in their order."""
    turns = [
        Turn(
            face=face.number,
            frame=face.frames[after.first],
            was=before.seen_as,
            becomes=after.seen_as,
            likeness_before=_mean_likeness(face, before, before.seen_as),
            likeness_after=_mean_likeness(face, after, before.seen_as),
        )
        for face in faces
        for before, after in itertools.pairwise(face.stretches)
    ]
    return tuple(
        dataclasses.replace(turn, is_exchange=any(is_exchange(turn, other) for other in turns))
        for turn in sorted(turns, key=lambda turn: (turn.frame, turn.face))
    )


def _mean_likeness(face: TurningFace, stretch: Stretch, person: int) -> float:
    if person == STRANGER:
        return 0.0
    return float(face.likeness[stretch.first : stretch.end, person].mean())


def is_exchange(one: Turn, other: Turn) -> bool:
    """Whether of two faces each becomes whom the other was, at one moment."""
    return (
        one.face != other.face
        and STRANGER not in (one.was, one.becomes)
        and (one.was, one.becomes) == (other.becomes, other.was)
        and abs(one.frame - other.frame) <= SAME_MOMENT
    )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _TurningTrack:
    """A `TurningFace` of a clip that is looked at as a whole."""

    number: int
    """The number of the face."""

    frames: Sequence[int]
    """Frames of the clip in which it is seen."""

    likeness: Float32Array
    """(T, N), to each person."""

    stretches: Sequence[Stretch]
    """Whom it shows, one after the other."""


def follow_turns(
    tracks: Sequence[TrackEmbeddings],
    references: Float32Array,
    *,
    limit: float,
    margin: float,
    frame_size: tuple[int, int],
    measure: Measure = "cosine",
    tracking: TrackingConfig | None = None,
) -> tuple[Turn, ...]:
    """All moments of a clip at which a face becomes somebody else; arguments as of `untangle`."""
    untangled = untangle(
        tracks, references, limit=limit, margin=margin, frame_size=frame_size, measure=measure, tracking=tracking
    )
    return find_turns(
        _TurningTrack(number=number, frames=face.track.frame_indices, likeness=face.likeness, stretches=face.stretches)
        for number, face in enumerate(untangled, start=1)
    )


def clear_margin(scale: SimilarityScale, *, measure: Measure, is_calibrated: bool) -> float:
    """How far a stranger lies below the same person's limit, and a clear face of the person above it.

    Args:
        scale: with the limit.
        measure: how faces are compared.
        is_calibrated: whether the scale's means were measured.
    """
    is_distance = measure == "distance" and not is_calibrated
    return scale.same_person_limit - (1 - _STRANGER_DISTANCE if is_distance else scale.stranger_mean)


_STRANGER_DISTANCE = 0.8
"""Distance by dlib of two people's photographs, as far as they were compared: 0.78 to 0.83."""
