"""Who is in a clip, decided from embeddings alone: how two faces are compared, and what the identity metrics mean.

Faces are compared by the cosine of their embeddings, or by the distance of their descriptors. Both measures are 1 for
the same face and fall as faces differ, so that everything else need not know which is used.

Legend: T tracks (or embeddings), N references, M distractors of one reference, D embedding.
"""

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Literal

import numpy as np
from scipy.optimize import linear_sum_assignment

from ingredients.core.arrays import BoolArray, Float32Array

Measure = Literal["cosine", "distance"]
"""`cosine` of embeddings of length 1, or `distance`: 1 less the Euclidean distance, for recognisers like dlib's."""


def compare_faces(embeddings: Float32Array, references: Float32Array, *, measure: Measure = "cosine") -> Float32Array:
    """Compares each embedding (T, D) with each reference (N, D).

    Returns:
        (T, N): 1 for the same face.
    """
    if measure == "cosine":
        return np.asarray(embeddings @ references.T, dtype=np.float32)
    distances = np.linalg.norm(embeddings[:, None] - references[None], axis=-1)
    return np.asarray(1 - distances, dtype=np.float32)


def average_faces(embeddings: Float32Array, *, measure: Measure = "cosine") -> Float32Array:
    """One person's embedding (D,) from those of several photos (R, D); of length 1 where cosines are taken."""
    mean = embeddings.mean(axis=0)
    length = np.linalg.norm(mean)
    is_direction = measure == "cosine" and length > 0  # what is like nobody stays so, and is no number otherwise
    return np.asarray(mean / length if is_direction else mean, dtype=np.float32)


def greedy_matches(similarities: Float32Array) -> list[float]:
    """Section 4.1 of the paper: the most similar pair of (T, N) is matched first, then the next, one to one.

    Returns:
        The similarity of each of the min(T, N) matches.
    """
    matched: list[float] = []
    remaining = similarities.astype(np.float64)
    for _ in range(min(similarities.shape)):
        face, reference = np.unravel_index(int(remaining.argmax()), remaining.shape)
        matched.append(float(remaining[face, reference]))
        remaining[face, :] = -np.inf
        remaining[:, reference] = -np.inf
    return matched


def paper_face_similarity(
    embeddings: Sequence[Float32Array], references: Float32Array, *, measure: Measure = "cosine"
) -> float:
    """Mean over frames of the lowest greedy match of each.

    Args:
        embeddings: (faces, D) of each of the F frames.
        references: (N, D).
        measure: how faces are compared.
    """
    return float(np.mean([_lowest_match(faces, references, measure) for faces in embeddings]))


def _lowest_match(faces: Float32Array, references: Float32Array, measure: Measure) -> float:
    if len(faces) < len(references):
        return 0.0
    return max(0.0, min(greedy_matches(compare_faces(faces, references, measure=measure))))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SimilarityScale:
    """The two cosines that give a similarity its meaning: 0 is a stranger, 1 the same person in a real clip."""

    same_person_mean: float
    """Mean cosine between a real clip's face and a photo of the same person."""

    stranger_mean: float
    """Mean cosine between a real clip's face and a photo of somebody else."""

    limit: float | None = None
    """Cosine above which two faces are one person's; None: the midpoint of the two means."""

    def __post_init__(self) -> None:
        """Checks that the judge tells people apart at all."""
        if not self.same_person_mean > self.stranger_mean:
            raise ValueError(
                f"same_person_mean must be above stranger_mean, not {self.same_person_mean} and {self.stranger_mean}"
            )

    @property
    def same_person_limit(self) -> float:
        """Cosine above which a face is taken for the person."""
        return (self.same_person_mean + self.stranger_mean) / 2 if self.limit is None else self.limit

    def normalise(self, cosine: float) -> float:
        """(cosine - stranger mean) / (same-person mean - stranger mean), not clipped."""
        return (cosine - self.stranger_mean) / (self.same_person_mean - self.stranger_mean)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrackEmbeddings:
    """A track as the judge sees it."""

    frame_indices: tuple[int, ...]
    """Frames in which the face was found."""

    embeddings: Float32Array
    """(frames, D), each of length 1 where cosines are taken."""

    centre: tuple[float, float]
    """Mean centre of the face, x then y, as a share of the frame's width and height."""

    landmarks: Float32Array | None = None
    """(frames, 5, 2) pixels; None where they are not known."""

    boxes: Float32Array | None = None
    """(frames, 4) pixels: left, top, right, bottom; None where they are not known."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PersonAssessment:
    """How one reference fared in one clip."""

    found: bool
    """Whether a track was matched to the reference."""

    similarity: float
    """Normalised similarity of the matched track; 0 if none was."""

    cosine: float | None = None
    """Mean cosine over the matched track's frames; 1 less the mean distance, where the judge measures distances."""

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
    """Whether some track lies above the same person's limit for two references."""

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
    measure: Measure = "cosine",
    needs_limit: bool = False,
) -> ClipAssessment:
    """Matches tracks to references one to one, so that the sum of their mean cosines is largest, and judges each.

    Args:
        tracks: faces of the clip.
        references: (N, D), each of length 1.
        scale: what turns a cosine into a similarity.
        num_frames: frames of the clip.
        distractors: for each reference, (M, D) embeddings of length 1 of other people to rank it among; without them
            it is ranked among the clip's references alone.
        measure: how faces are compared.
        needs_limit: whether a face that ranks a reference first must lie above the same person's limit as well. Among
            few distractors, somebody is always ranked first.
    """
    num_references = len(references)
    if distractors is None:
        distractors = [references[:0]] * num_references
    if len(distractors) != num_references:
        raise ValueError(f"{len(distractors)} sets of distractors for {num_references} references")

    cosines = mean_similarities(tracks, references, measure=measure)  # (T, N)
    rows, columns = linear_sum_assignment(cosines, maximize=True)
    track_of = dict(zip(columns.tolist(), rows.tolist(), strict=True))

    candidates = [
        _Candidates(
            own=references[index],
            others=np.concatenate([np.delete(references, index, axis=0), distractors[index]]),
            measure=measure,
            limit=scale.same_person_limit if needs_limit else None,
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
    missing = [0.0] * max(0, num_references - len(tracks))
    return ClipAssessment(
        people=tuple(people),
        num_tracks=len(tracks),
        greedy_minimum=min(missing + [scale.normalise(cosine) for cosine in greedy_matches(cosines)]),
        blended=bool(((cosines > scale.same_person_limit).sum(axis=1) >= 2).any()),
        doubled=any(_is_doubled(tracks, each) for each in candidates),
    )


def mean_similarities(
    tracks: Sequence[TrackEmbeddings], references: Float32Array, *, measure: Measure = "cosine"
) -> Float32Array:
    """Compares each track with each reference (N, D), averaged over its frames: (T, N), also where T is 0."""
    rows = [compare_faces(track.embeddings, references, measure=measure).mean(axis=0) for track in tracks]
    return np.array(rows, dtype=np.float32).reshape(len(tracks), len(references))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Candidates:
    """A reference and everybody it is ranked against."""

    own: Float32Array
    """(D,): the reference."""

    others: Float32Array
    """(N - 1 + M, D): the other references and the distractors."""

    measure: Measure
    """How faces are compared."""

    limit: float | None
    """Which a face that ranks the reference first must pass as well; None: none."""

    def rank_own_first(self, embeddings: Float32Array) -> BoolArray:
        """Whether each embedding (rows) is strictly nearer to the reference than to every other candidate."""
        own = compare_faces(embeddings, self.own[None], measure=self.measure)[:, 0]
        others = compare_faces(embeddings, self.others, measure=self.measure)
        return np.asarray(own > others.max(axis=1, initial=-np.inf if self.limit is None else self.limit))

    def is_track(self, track: TrackEmbeddings) -> bool:
        """Whether a track as a whole ranks the reference first."""
        return bool(self.rank_own_first(track.embeddings.mean(axis=0, keepdims=True))[0])


def _is_doubled(tracks: Sequence[TrackEmbeddings], candidates: _Candidates) -> bool:
    """Whether two tracks that share a frame are both ranked to the reference."""
    frames = [set(track.frame_indices) for track in tracks if candidates.is_track(track)]
    return any(not first.isdisjoint(second) for first, second in itertools.combinations(frames, 2))
