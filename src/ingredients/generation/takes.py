"""Several takes of one video, of which the best is kept, as on a film set.

A take is judged by the model's own face stack, not by the judge, so that the judge's similarity remains a measurement
by somebody who had no say. The least like of the people decides; among takes that are equally alike by that, how
clearly everybody acts, where somebody can tell.

Legend: F frames, f/h/w grid of video tokens, J routed blocks, N people, T tracks.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Generic, TypeAlias, TypeVar

import numpy as np
from scipy.optimize import linear_sum_assignment

from ingredients.core.arrays import Float32Array, Int64Array, UInt8Array
from ingredients.core.errors import UserInputError
from ingredients.core.protocols import Face
from ingredients.faces.face_choice import without_flat
from ingredients.faces.face_stack import FaceStack
from ingredients.faces.facial_extractor import ExtractedIdentities
from ingredients.faces.tracking import track_faces
from ingredients.faces.trait_judges import ActingJudge
from ingredients.pipelines.video_shape import FPS

ResultT = TypeVar("ResultT")

MAX_FRAMES = 32
"""Frames that are looked at, spread evenly over longer videos."""

EQUALLY_ALIKE = 0.05
"""Cosines that differ by less say nothing of which take is better."""

ActionClarity: TypeAlias = Callable[[UInt8Array, Sequence[Float32Array]], Sequence[float]]
"""Frames (F, H, W, 3), and for each person who was found the boxes (F, 4) of the face, NaN where it was not seen, to
how clear it is what that person does, from 0 to 1."""


def acting_clarity(judge: ActingJudge) -> ActionClarity:
    """How sure a judge of what people do is of the likeliest action of each."""

    def clarity(frames: UInt8Array, boxes: Sequence[Float32Array]) -> list[float]:
        return [max(acting.actions.values()) for acting in judge.judge_video(frames, boxes, fps=FPS)]

    return clarity


class UndecidedError(UserInputError):
    """A take is not finished, for its router could not tell the people apart."""

    def __init__(self, message: str, *, step: int, decidedness: float) -> None:
        super().__init__(message)
        self.step = step
        self.decidedness = decidedness


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StopUndecided:
    """When a take is not worth being finished."""

    below: float
    """Decidedness, from 1 / N to 1, below which it is stopped; 0 stops none."""

    after: float = 0.6
    """Share of the steps after which it is looked at: when faces can be seen in what the step predicts."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class OwnLikeness:
    """How alike the people of a video are to their photos, by the face stack that conditioned it."""

    cosines: tuple[float, ...]
    """For each person, over all frames looked at; 0 in those in which the face was not found."""

    boxes: tuple[Float32Array | None, ...]
    """For each person, (F, 4) of the face in all frames of the video, NaN where it was not seen or nobody looked;
    None for somebody who was not found."""

    @property
    def least(self) -> float:
        """The cosine of the person who is least alike."""
        return min(self.cosines)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Take(Generic[ResultT]):
    """One of several takes."""

    number: int
    """Which, from 1."""

    seed: int
    """The seed that makes it again."""

    result: ResultT | None
    """The video; None if it was stopped."""

    likeness: tuple[float, ...] = ()
    """For each person, cosine to the photos by the face stack; empty if it was stopped."""

    clarity: float | None = None
    """How clear it is what people do, the mean over all; None where nobody can tell."""

    decidedness: float | None = None
    """How sure the router was of who is who, when it was looked at; None if it was not."""

    stopped_after: int | None = None
    """Steps, if it was not finished."""

    @property
    def least_alike(self) -> float:
        """Likeness of the person who is least alike."""
        return min(self.likeness, default=-1.0)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Takes(Generic[ResultT]):
    """All takes, and the one that is kept."""

    all: tuple[Take[ResultT], ...]
    """The takes, in the order in which they were made."""

    kept: Take[ResultT]
    """The best."""

    reason: str
    """Why it is the best: one sentence."""

    @property
    def result(self) -> ResultT:
        """The video that is kept."""
        assert self.kept.result is not None
        return self.kept.result


def choose_take(takes: Sequence[Take[ResultT]], names: Sequence[str]) -> Takes[ResultT]:
    """Keeps the best of some takes.

    Args:
        takes: finished or stopped, at least one of them finished.
        names: the names of the people.
    """
    finished = [take for take in takes if take.result is not None]
    best = max(finished, key=lambda take: take.least_alike)
    alike = [take for take in finished if best.least_alike - take.least_alike < EQUALLY_ALIKE]
    clear = [take for take in alike if take.clarity is not None]
    kept = max(clear, key=lambda take: take.clarity or 0.0) if len(clear) > 1 else best
    return Takes(all=tuple(takes), kept=kept, reason=_reason(kept, finished, clear, names))


def _reason(
    kept: Take[ResultT], finished: Sequence[Take[ResultT]], clear: Sequence[Take[ResultT]], names: Sequence[str]
) -> str:
    least = names[int(np.argmin(kept.likeness))]
    if len(finished) == 1:
        return f"Take {kept.number} is kept, for it is the only one that was finished."
    if len(clear) > 1:
        return (
            f"Take {kept.number} is kept: of the {len(clear)} whose people are alike to within {EQUALLY_ALIKE}, it is "
            f"the one in which it is clearest what people do ({kept.clarity:.2f})."
        )
    others = max(take.least_alike for take in finished if take is not kept)
    if len(names) == 1:
        return f"Take {kept.number} is kept: {least} is most alike in it ({kept.least_alike:.2f}, else {others:.2f})."
    return (
        f"Take {kept.number} is kept: {least}, who is least alike in it ({kept.least_alike:.2f}), is more so than "
        f"whoever is least alike in the others ({others:.2f} at best)."
    )


def own_likeness(face_stack: FaceStack, frames: UInt8Array, identities: ExtractedIdentities) -> OwnLikeness:
    """Matches the faces of a video to people, one to one, by the recogniser that conditioned it.

    Args:
        face_stack: the face stack of the model.
        frames: (F, H, W, 3) RGB.
        identities: the people.
    """
    seen = np.unique(np.linspace(0, len(frames) - 1, num=min(len(frames), MAX_FRAMES)).round().astype(int))
    tracks = track_faces([without_flat(frames[index], face_stack.detector.detect(frames[index])) for index in seen])
    references = _normalised(identities.recognition_embeds.float().cpu().numpy())  # (N, R)
    sums = np.array(
        [
            (_embed(face_stack, frames[seen[track.frame_indices]], track.faces) @ references.T).sum(axis=0)
            for track in tracks
        ]
    ).reshape(len(tracks), len(references))  # (T, N), also where there is no track
    rows, columns = linear_sum_assignment(-sums)
    track_of = dict(zip(columns.tolist(), rows.tolist(), strict=True))
    cosines, boxes = [], list[Float32Array | None]()
    for person in range(len(references)):
        if (index := track_of.get(person)) is None:
            cosines.append(0.0)
            boxes.append(None)
            continue
        cosines.append(float(sums[index, person]) / len(seen))
        box = np.full((len(frames), 4), np.nan, np.float32)
        box[seen[tracks[index].frame_indices]] = [face.box for face in tracks[index].faces]
        boxes.append(box)
    return OwnLikeness(cosines=tuple(cosines), boxes=tuple(boxes))


def decidedness(
    routing_maps: Int64Array, faces: Sequence[Sequence[Face]], *, frame_size: tuple[int, int], num_people: int
) -> float | None:
    """How sure the router is of who is who where there are faces.

    Each token under a face has the votes of the last half of the routed blocks; what counts is the share of the votes
    under a face that go to one person, averaged over faces.

    Args:
        routing_maps: (J, f, h, w), the person that each block chose, -1 for none.
        faces: those that are seen in each of f frames of tokens.
        frame_size: height and width of the pictures in which they were seen.
        num_people: N.

    Returns:
        From 1 / N to 1; None where no face is seen.
    """
    rows, columns = routing_maps.shape[2:]
    last_half = routing_maps[routing_maps.shape[0] // 2 :]
    shares = []
    for index, of_frame in enumerate(faces):
        for face in of_frame:
            left, top, right, bottom = face.box.tolist()
            across = _tokens(left / frame_size[1], right / frame_size[1], columns)
            down = _tokens(top / frame_size[0], bottom / frame_size[0], rows)
            votes = last_half[:, index, down, across]
            counts = [(votes == person).sum() for person in range(num_people)]
            if sum(counts):
                shares.append(max(counts) / sum(counts))
    return float(np.mean(shares)) if shares else None


def _tokens(first: float, last: float, number: int) -> slice:
    """The tokens of a row or column whose middles lie between two parts of it; the nearest one if none does."""
    start, stop = (int(np.clip(np.ceil(edge * number - 0.5), 0, number)) for edge in (first, last))
    if start < stop:
        return slice(start, stop)
    nearest = int(np.clip((first + last) / 2 * number, 0, number - 1))
    return slice(nearest, nearest + 1)


def _embed(face_stack: FaceStack, images: UInt8Array, faces: Sequence[Face]) -> Float32Array:
    """Normalised embeddings (faces, R) of one face of each image."""
    crops = [face_stack.recogniser.align(image, face.landmarks) for image, face in zip(images, faces, strict=True)]
    return _normalised(face_stack.recogniser.embed(np.stack(crops)).float().cpu().numpy())


def _normalised(embeds: Float32Array) -> Float32Array:
    lengths = np.linalg.norm(embeds, axis=-1, keepdims=True)
    return np.asarray(embeds / np.maximum(lengths, 1e-12), np.float32)
