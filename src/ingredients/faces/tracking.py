"""Faces of single frames joined into tracks, one a person.

Geometry alone, where the tracks are what appearance is then judged on (`evaluation/judge.py`); with embeddings
where who is who shall be right (`curation/people.py`): a step to another face is refused then, and pieces of one
person's track are joined across occlusions, turned heads and absences of any length.

Legend: F frames, N faces of a frame, D embedding.
"""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

from ingredients.core.arrays import BoolArray, Float32Array
from ingredients.core.boxes import box_area
from ingredients.core.protocols import Face


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

    min_likeness: float = 0.3
    """Cosine of embeddings, where there are any, below which a step leads to somebody else, however near."""

    join_likeness: float = 0.6
    """Cosine of the mean embeddings of two tracks from which they are one person's, if they share no frame."""

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
        if not -1 <= self.min_likeness <= self.join_likeness <= 1:
            raise ValueError(
                "min_likeness and join_likeness must lie between -1 and 1, the first not above the second, not "
                f"{self.min_likeness} and {self.join_likeness}"
            )


@dataclasses.dataclass(slots=True, kw_only=True)
class Track:
    """One face through the frames of a clip."""

    frame_indices: list[int]
    """Frames in which the face was found, ascending."""

    faces: list[Face]
    """The face in each of them."""

    embeds: list[Float32Array] = dataclasses.field(default_factory=list)
    """The normalised embedding (D,) of each, where there are embeddings."""

    @property
    def mean_centre(self) -> tuple[float, float]:
        """Mean centre of the boxes, x then y, in pixels."""
        centres = np.stack([_centre(face.box) for face in self.faces])  # (frames, 2)
        return float(centres[:, 0].mean()), float(centres[:, 1].mean())

    @property
    def mean_embed(self) -> Float32Array:
        """The mean embedding (D,), normalised."""
        return _normalised(np.mean(self.embeds, axis=0))


def track_faces(
    faces_by_frame: Sequence[Sequence[Face]],
    *,
    embeds_by_frame: Sequence[Float32Array] | None = None,
    config: TrackingConfig | None = None,
) -> list[Track]:
    """Joins the faces of each frame to the tracks so far, one to one, by the smallest sum of costs.

    The cost of a step is how far the centre and the size of the face changed and, with embeddings, its looks.

    Args:
        faces_by_frame: the faces of each frame.
        embeds_by_frame: the embeddings (N, D) of the faces of each frame, or None.
        config: what joins two faces.

    Returns:
        The tracks of at least `min_frames` faces, the longest first and then from left to right.
    """
    config = config or TrackingConfig()
    tracks: list[Track] = []
    for frame_index, faces in enumerate(faces_by_frame):
        embeds = None if embeds_by_frame is None else [_normalised(each) for each in embeds_by_frame[frame_index]]
        alive = [track for track in tracks if frame_index - track.frame_indices[-1] <= config.max_gap + 1]
        costs = np.array(
            [
                [
                    _step_cost(track, face, frame_index, None if embeds is None else embeds[index], config)
                    for index, face in enumerate(faces)
                ]
                for track in alive
            ],
            dtype=np.float64,
        ).reshape(len(alive), len(faces))
        joined: set[int] = set()
        for track_index, face_index in zip(*linear_sum_assignment(costs), strict=True):
            if costs[track_index, face_index] < _NO_STEP:
                track = alive[track_index]
                track.frame_indices.append(frame_index)
                track.faces.append(faces[face_index])
                if embeds is not None:
                    track.embeds.append(embeds[face_index])
                joined.add(int(face_index))
        tracks += [
            Track(
                frame_indices=[frame_index],
                faces=[face],
                embeds=[] if embeds is None else [embeds[face_index]],
            )
            for face_index, face in enumerate(faces)
            if face_index not in joined
        ]
    if embeds_by_frame is not None:
        tracks = _join_pieces(tracks, config.join_likeness)
    kept = [track for track in tracks if len(track.faces) >= config.min_frames]
    return sorted(kept, key=lambda track: (-len(track.faces), track.mean_centre[0]))


def bridge_gaps(is_there: BoolArray, max_gap: int) -> BoolArray:
    """Takes the frames (F,) between two with a face for frames with it, where there are at most `max_gap`."""
    bridged = is_there.copy()
    there = np.flatnonzero(is_there)
    for first, second in zip(there[:-1].tolist(), there[1:].tolist(), strict=True):
        if second - first - 1 <= max_gap:
            bridged[first:second] = True
    return bridged


def _join_pieces(tracks: list[Track], likeness: float) -> list[Track]:
    """Joins tracks of one person that share no frame, the most alike first."""
    tracks = list(tracks)
    while len(tracks) > 1:
        means = np.stack([track.mean_embed for track in tracks])
        frames = [set(track.frame_indices) for track in tracks]
        cosines = means @ means.T
        for first in range(len(tracks)):
            for second in range(first + 1):
                if second == first or frames[first] & frames[second]:
                    cosines[first, second] = cosines[second, first] = -2.0
        earlier, later = sorted(divmod(int(cosines.argmax()), len(tracks)))
        if cosines[earlier, later] < likeness:
            break
        piece = tracks.pop(later)
        tracks[earlier] = _joined(tracks[earlier], piece)
    return tracks


def _joined(one: Track, other: Track) -> Track:
    parts = sorted(
        zip(
            [*one.frame_indices, *other.frame_indices],
            [*one.faces, *other.faces],
            [*one.embeds, *other.embeds],
            strict=True,
        ),
        key=lambda part: part[0],
    )
    return Track(
        frame_indices=[frame for frame, _, _ in parts],
        faces=[face for _, face, _ in parts],
        embeds=[embed for _, _, embed in parts],
    )


_NO_STEP = 1e6


def step_cost(last: Float32Array, box: Float32Array, frames_passed: int, config: TrackingConfig) -> float | None:
    """How far a face goes and grows from one box (4,) to another some frames later; None if no face goes so far."""
    size, last_size = (math.sqrt(max(box_area(each), 1.0)) for each in (box, last))
    distance = float(np.linalg.norm(_centre(box) - _centre(last))) / max(size, last_size)
    size_ratio = max(size, last_size) / min(size, last_size)
    # A face that was missed has had longer to move: the gate opens with the square root, as a random walk spreads.
    if distance > config.max_distance * math.sqrt(frames_passed) or size_ratio > config.max_size_ratio:
        return None
    return distance + math.log(size_ratio)


def _step_cost(
    track: Track, face: Face, frame_index: int, embed: Float32Array | None, config: TrackingConfig
) -> float:
    cost = step_cost(track.faces[-1].box, face.box, frame_index - track.frame_indices[-1], config)
    if cost is None or embed is None:
        return _NO_STEP if cost is None else cost
    likeness = float(track.mean_embed @ embed)
    return _NO_STEP if likeness < config.min_likeness else cost + 1.0 - likeness


def _centre(box: Float32Array) -> Float32Array:
    left, top, right, bottom = box
    return np.array([(left + right) / 2, (top + bottom) / 2], dtype=np.float32)


def _normalised(embed: Float32Array) -> Float32Array:
    return np.asarray(embed / max(float(np.linalg.norm(embed)), 1e-8), np.float32)
