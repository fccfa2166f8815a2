"""Who is in a clip, decided from embeddings alone: the definitions of the identity metrics.

Legend: T tracks, N references, M distractors of one reference, D embedding.
"""

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

from ingredients.core.arrays import BoolArray, Float32Array


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SimilarityScale:
    """The two cosines that give a similarity its meaning: 0 is a stranger, 1 the same person in a real clip."""

    same_person_mean: float
    """Mean cosine between a real clip's face and a photo of the same person."""

    stranger_mean: float
    """Mean cosine between a real clip's face and a photo of somebody else."""

    def __post_init__(self) -> None:
        """Checks that the judge tells people apart at all."""
        if not self.same_person_mean > self.stranger_mean:
            raise ValueError(
                f"same_person_mean must be above stranger_mean, not {self.same_person_mean} and {self.stranger_mean}"
            )

    def normalise(self, cosine: float) -> float:
        """(cosine - stranger mean) / (same-person mean - stranger mean), not clipped."""
        return (cosine - self.stranger_mean) / (self.same_person_mean - self.stranger_mean)


COSINE_SCALE = SimilarityScale(same_person_mean=1.0, stranger_mean=0.0)
"""Leaves cosines as they are."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrackEmbeddings:
    """A track as the judge sees it."""

    frame_indices: tuple[int, ...]
    """Frames in which the face was found."""

    embeddings: Float32Array
    """(frames, D), each of length 1."""

    centre: tuple[float, float]
    """Mean centre of the face, x then y, as a share of the frame's width and height."""

    landmarks: Float32Array | None = None
    """(frames, 5, 2) pixels; None where they are not known."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PersonAssessment:
    """How one reference fared in one clip."""

    found: bool
    """Whether a track was matched to the reference."""

    similarity: float
    """Normalised similarity of the matched track; 0 if none was."""

    cosine: float | None = None
    """Mean cosine over the matched track's frames."""

    track: int | None = None
    """Index of the matched track."""

    centre: tuple[float, float] | None = None
    """Mean centre of the matched track, x then y, as a share of the frame's width and height."""

    frames_found: int = 0
    """Frames in which the matched track has a face."""

    frames_ranked_first: int = 0
    """Frames in which the face ranks the reference first among all candidates."""

    right_person: bool = False
    """Whether the track ranks the reference first among the clip's references and the reference's distractors."""

    present: bool = False
    """Whether the reference is matched and ranked first in at least half of the clip's frames."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ClipAssessment:
    """How all references fared in one clip."""

    people: tuple[PersonAssessment, ...]
    """One a reference, in their order."""

    num_tracks: int
    """Faces that were tracked, matched or not."""

    greedy_minimum: float
    """The paper's measure: references matched greedily by similarity, the lowest of them; a missing person is 0."""

    blended: bool
    """Whether some track lies above the midpoint of the scale for two references."""

    doubled: bool
    """Whether two tracks that share a frame are both ranked to one reference."""

    @property
    def mean_similarity(self) -> float:
        """Mean normalised similarity over the people, those not found included."""
        return float(np.mean([person.similarity for person in self.people]))

    @property
    def all_present(self) -> bool:
        """Whether everybody is present."""
        return all(person.present for person in self.people)


def assess_tracks(
    tracks: Sequence[TrackEmbeddings],
    references: Float32Array,
    *,
    scale: SimilarityScale,
    num_frames: int,
    distractors: Sequence[Float32Array] | None = None,
) -> ClipAssessment:
    """Matches tracks to references one to one, so that the sum of their mean cosines is largest, and judges each.

    Args:
        tracks: faces of the clip.
        references: (N, D), each of length 1.
        scale: what turns a cosine into a similarity.
        num_frames: frames of the clip.
        distractors: for each reference, (M, D) embeddings of length 1 of other people to rank it among; without them
            it is ranked among the clip's references alone.
    """
    num_references = len(references)
    if distractors is None:
        distractors = [references[:0]] * num_references
    if len(distractors) != num_references:
        raise ValueError(f"{len(distractors)} sets of distractors for {num_references} references")

    cosines = np.array([(track.embeddings @ references.T).mean(axis=0) for track in tracks])
    cosines = cosines.reshape(len(tracks), num_references)  # (T, N), also where there is no track
    rows, columns = linear_sum_assignment(cosines, maximize=True)
    track_of = dict(zip(columns.tolist(), rows.tolist(), strict=True))

    candidates = [
        _Candidates(
            own=references[index], others=np.concatenate([np.delete(references, index, axis=0), distractors[index]])
        )
        for index in range(num_references)
    ]
    people = []
    for index in range(num_references):
        if index not in track_of:
            people.append(PersonAssessment(found=False, similarity=0.0))
            continue
        track, cosine = tracks[track_of[index]], float(cosines[track_of[index], index])
        frames_ranked_first = int(candidates[index].rank_own_first(track.embeddings).sum())
        people.append(
            PersonAssessment(
                found=True,
                similarity=scale.normalise(cosine),
                cosine=cosine,
                track=track_of[index],
                centre=track.centre,
                frames_found=len(track.frame_indices),
                frames_ranked_first=frames_ranked_first,
                right_person=candidates[index].is_track(track),
                present=2 * frames_ranked_first >= num_frames,
            )
        )
    midpoint = (scale.same_person_mean + scale.stranger_mean) / 2
    return ClipAssessment(
        people=tuple(people),
        num_tracks=len(tracks),
        greedy_minimum=_greedy_minimum(cosines, scale),
        blended=bool(((cosines > midpoint).sum(axis=1) >= 2).any()),
        doubled=any(_is_doubled(tracks, each) for each in candidates),
    )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Candidates:
    """A reference and everybody it is ranked against."""

    own: Float32Array
    """(D,): the reference."""

    others: Float32Array
    """(N - 1 + M, D): the other references and the distractors."""

    def rank_own_first(self, embeddings: Float32Array) -> BoolArray:
        """Whether each embedding (rows) is strictly nearer to the reference than to every other candidate."""
        if len(self.others) == 0:
            return np.ones(len(embeddings), dtype=np.bool_)
        return np.asarray(embeddings @ self.own > (embeddings @ self.others.T).max(axis=1))

    def is_track(self, track: TrackEmbeddings) -> bool:
        """Whether a track as a whole ranks the reference first."""
        return bool(self.rank_own_first(track.embeddings.mean(axis=0, keepdims=True))[0])


def _greedy_minimum(cosines: Float32Array, scale: SimilarityScale) -> float:
    """Section 4.1 of the paper: the most similar pair is matched first, then the next; the lowest match counts."""
    num_tracks, num_references = cosines.shape
    matched = [0.0] if num_tracks < num_references else []
    remaining = cosines.astype(np.float64)
    for _ in range(min(num_tracks, num_references)):
        track, reference = np.unravel_index(int(remaining.argmax()), remaining.shape)
        matched.append(scale.normalise(float(remaining[track, reference])))
        remaining[track, :] = -np.inf
        remaining[:, reference] = -np.inf
    return min(matched)


def _is_doubled(tracks: Sequence[TrackEmbeddings], candidates: _Candidates) -> bool:
    """Whether two tracks that share a frame are both ranked to the reference."""
    frames = [set(track.frame_indices) for track in tracks if candidates.is_track(track)]
    return any(not first.isdisjoint(second) for first, second in itertools.combinations(frames, 2))
