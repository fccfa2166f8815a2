"""Faces of single frames joined into tracks, one a person.

The clips are short and the faces large, so that geometry is enough; appearance is left out on purpose, because the
tracks are what appearance is then judged on.
"""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

from ingredients.core.arrays import Float32Array
from ingredients.core.faces_types import Face


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TrackingConfig:
    """What joins two faces of different frames."""

    max_distance: float = 0.75
    """Furthest step of the centre from one frame to the next, in face sizes (square root of the box's area)."""

    max_size_ratio: float = 2.0
    """Largest change of the face size from one frame to the next."""

    max_gap: int = 3
    """Frames in a row in which a face may be missed without ending its track."""

    min_frames: int = 2
    """Faces that a track needs; a face seen in fewer frames is taken for a false detection."""

    def __post_init__(self) -> None:
        """Checks the ranges."""
        if self.max_distance <= 0 or self.max_size_ratio <= 1:
            raise ValueError(
                f"max_distance must be above 0 and max_size_ratio above 1, not {self.max_distance} and "
                f"{self.max_size_ratio}"
            )
        if self.max_gap < 0 or self.min_frames < 1:
            raise ValueError(
                f"max_gap must be at least 0 and min_frames at least 1, not {self.max_gap} and {self.min_frames}"
            )


@dataclasses.dataclass(slots=True, kw_only=True)
class Track:
    """One face through the frames of a clip."""

    frame_indices: list[int]
    """Frames in which the face was found, ascending."""

    faces: list[Face]
    """The face in each of them."""

    @property
    def mean_centre(self) -> tuple[float, float]:
        """Mean centre of the boxes, x then y, in pixels."""
        centres = np.stack([_centre(face) for face in self.faces])  # (frames, 2)
        return float(centres[:, 0].mean()), float(centres[:, 1].mean())


def track_faces(faces_by_frame: Sequence[Sequence[Face]], *, config: TrackingConfig | None = None) -> list[Track]:
    """Joins the faces of each frame to the tracks so far, one to one, by the smallest sum of centre distances.

    Returns:
        The tracks of at least `min_frames` faces, the longest first and then from left to right.
    """
    config = config or TrackingConfig()
    tracks: list[Track] = []
    for frame_index, faces in enumerate(faces_by_frame):
        alive = [track for track in tracks if frame_index - track.frame_indices[-1] <= config.max_gap + 1]
        costs = np.array(
            [[_step_cost(track, face, frame_index, config) for face in faces] for track in alive], dtype=np.float64
        ).reshape(len(alive), len(faces))
        joined: set[int] = set()
        for track_index, face_index in zip(*linear_sum_assignment(costs), strict=True):
            if costs[track_index, face_index] < _NO_STEP:
                alive[track_index].frame_indices.append(frame_index)
                alive[track_index].faces.append(faces[face_index])
                joined.add(int(face_index))
        tracks += [
            Track(frame_indices=[frame_index], faces=[face])
            for face_index, face in enumerate(faces)
            if face_index not in joined
        ]
    kept = [track for track in tracks if len(track.faces) >= config.min_frames]
    return sorted(kept, key=lambda track: (-len(track.faces), track.mean_centre[0]))


_NO_STEP = 1e6


def _step_cost(track: Track, face: Face, frame_index: int, config: TrackingConfig) -> float:
    last = track.faces[-1]
    frames_passed = frame_index - track.frame_indices[-1]
    size, last_size = math.sqrt(max(face.area, 1.0)), math.sqrt(max(last.area, 1.0))
    distance = float(np.linalg.norm(_centre(face) - _centre(last))) / max(size, last_size)
    size_ratio = max(size, last_size) / min(size, last_size)
    # A face that was missed has had longer to move: the gate opens with the square root, as a random walk spreads.
    if distance > config.max_distance * math.sqrt(frames_passed) or size_ratio > config.max_size_ratio:
        return _NO_STEP
    return distance + math.log(size_ratio)


def _centre(face: Face) -> Float32Array:
    left, top, right, bottom = face.box
    return np.array([(left + right) / 2, (top + bottom) / 2], dtype=np.float32)
