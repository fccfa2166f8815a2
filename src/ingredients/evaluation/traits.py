"""What is seen of people in a video: what each does and looks like, how much moves, and how sharp the faces are.

Traits are told by two judges, beside what was asked for and drawn: an action, an expression, and what a picture of
head and shoulders shows (hat, hair, glasses, beard, clothes). The face that the judge of faces matched to a person is
the person here, too; but where the prompt says by place who does what, actions and expressions are those of whoever
stands there.

Legend: F frames, H/W pixels, N people.
"""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ingredients.casebook.cases import Case
from ingredients.core.arrays import Float32Array, UInt8Array
from ingredients.evaluation.assessment import ClipAssessment, TrackEmbeddings
from ingredients.faces.trait_judges import ActingJudge, AttributesJudge
from ingredients.pipelines.video_shape import FPS

ACTS = ("action", "expression")
"""Traits that a prompt asks for; the others are the person's own."""

_BRIGHTNESS = np.array([0.299, 0.587, 0.114], dtype=np.float32)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LandmarkMotion:
    """How far the five landmarks of a face go from one frame to the next."""

    pixels: float
    """Mean distance."""

    eyes: float
    """Distance between the eyes, in pixels."""

    @property
    def share(self) -> float:
        """The mean distance in parts of that between the eyes, which does not depend on the video's size."""
        return self.pixels / max(self.eyes, 1e-6)


def see_traits(
    case: Case,
    frames: UInt8Array,
    tracks: Sequence[TrackEmbeddings],
    assessment: ClipAssessment,
    *,
    acting: ActingJudge,
    attributes: AttributesJudge,
) -> tuple[Mapping[str, str] | None, ...]:
    """The traits of each person of a case as they are seen in a video; None for a person without a face.

    Args:
        case: who is asked for what.
        frames: (F, H, W, 3).
        tracks: faces of the video.
        assessment: which of them is whose.
        acting: the judge of actions and expressions.
        attributes: the judge of everything else.
    """
    values = case.trait_values
    seen: dict[int, dict[str, str]] = {}
    for person in assessment.people:
        if person.track is None:
            continue
        boxes = boxes_by_frame(tracks[person.track], len(frames))
        (did,) = acting.judge_video(frames, [boxes], fps=FPS)
        (looks,) = attributes.judge_video(frames, [boxes])
        shares = {**looks, "action": did.actions, "expression": did.expressions}
        seen[person.track] = {
            name: max(values[name], key=lambda value, name=name: shares[name].get(value, 0.0))  # type: ignore[misc]
            for name in values
            if name in shares
        }
    own = [None if person.track is None else seen[person.track] for person in assessment.people]
    doers = own if case.manner != "place" else _from_left(assessment, own)
    return tuple(
        None if looks is None or doer is None else looks | {name: doer[name] for name in ACTS if name in doer}
        for looks, doer in zip(own, doers, strict=True)
    )


def _from_left(assessment: ClipAssessment, seen: Sequence[dict[str, str] | None]) -> Sequence[dict[str, str] | None]:
    """What is seen in each place from left to right; as it is where somebody is missing, and places are not known."""
    across = [person.centre[0] for person in assessment.people if person.centre is not None]
    return [seen[index] for index in np.argsort(across)] if len(across) == len(seen) else seen


def boxes_by_frame(track: TrackEmbeddings, num_frames: int) -> Float32Array:
    """Boxes (F, 4) of a track's face, NaN where it was not found."""
    assert track.boxes is not None  # the judge that looks at frames gives them
    boxes = np.full((num_frames, 4), np.nan, dtype=np.float32)
    boxes[list(track.frame_indices)] = track.boxes
    return boxes


def frame_changes(frames: UInt8Array) -> list[float]:
    """Mean absolute change of a pixel at each transition of (F, H, W, 3), as a share of the full range."""
    return [
        float(np.abs(after.astype(np.int16) - before).mean() / 255) for before, after in itertools.pairwise(frames)
    ]


def landmark_motion(track: TrackEmbeddings) -> LandmarkMotion | None:
    """How far the landmarks of a face go in a frame; None where they are not known, or of no two frames in a row."""
    if track.landmarks is None:
        return None
    steps = [
        np.linalg.norm(track.landmarks[after] - track.landmarks[before], axis=-1)  # (5,)
        for before, after in itertools.pairwise(range(len(track.frame_indices)))
        if track.frame_indices[after] == track.frame_indices[before] + 1
    ]
    if not steps:
        return None
    eyes = np.linalg.norm(track.landmarks[:, 1] - track.landmarks[:, 0], axis=-1)
    return LandmarkMotion(pixels=round(float(np.mean(steps)), 4), eyes=round(float(np.median(eyes)), 3))


def face_details(frames: UInt8Array, faces: Sequence[Sequence[Float32Array]]) -> tuple[float | None, ...]:
    """High-frequency energy of the faces of each frame (F, H, W, 3); None for one without.

    It is the mean square of the brightness' Laplacian (the four neighbours less four times the pixel, in parts of the
    full range) over the pixels of the faces' boxes: 0 for an even face, and what blur takes away first.

    Args:
        frames: the video.
        faces: boxes (4,) in pixels for each frame.
    """
    return tuple(_detail(frame, boxes) for frame, boxes in zip(frames, faces, strict=True))


def _detail(frame: UInt8Array, boxes: Sequence[Float32Array]) -> float | None:
    brightness = frame.astype(np.float32) @ _BRIGHTNESS / 255.0  # (H, W)
    laplacian: NDArray[np.float32] = (
        brightness[:-2, 1:-1] + brightness[2:, 1:-1] + brightness[1:-1, :-2] + brightness[1:-1, 2:]
        - 4.0 * brightness[1:-1, 1:-1]
    )  # fmt: skip  # of pixel (1, 1) on
    energies = []
    for left, top, right, bottom in boxes:
        columns, rows = (
            slice(max(round(float(start)) - 1, 0), max(round(float(end)) - 1, 0))
            for start, end in ((left, right), (top, bottom))
        )
        inside = laplacian[rows, columns]
        if inside.size:
            energies.append(float(np.square(inside).mean()))
    return round(float(np.mean(energies)), 7) if energies else None
