"""Who is in a clip: faces found, tracked and counted; only clips with two people or more are kept (the paper, 4.1).

Legend: F frames, N faces of a frame, H/W pixels, D embedding.
"""

import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ingredients.core.arrays import BoolArray, Float32Array, UInt8Array
from ingredients.core.boxes import shared_area
from ingredients.core.errors import UserInputError
from ingredients.core.protocols import Face, FaceDetector, FaceRecogniser
from ingredients.curation.config import PeopleConfig
from ingredients.curation.identities import LIKENESS
from ingredients.curation.step import Clip, ClipStep, Measured, Rejection
from ingredients.faces.tracking import Track, TrackingConfig, bridge_gaps, track_faces

_DECIMALS = 2
"""The decimals of boxes and landmarks, in pixels."""

_INSIDE = 0.8
"""Part of a face's box that lies in another one's from which the face is inside it."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FaceReading:
    """What finds faces and tells them apart."""

    detector: FaceDetector
    """Finds them."""

    recogniser: FaceRecogniser
    """Embeds them."""


class People(ClipStep):
    """Finds the people of a clip."""

    name, cost, title = "people", "network", "Looking for people"
    needs = ("cut",)
    version = 4
    measured_by = (
        "people.faces",
        "people.face_encoder",
        "people.min_presence",
        "people.min_face",
        "people.min_face_pixels",
        "people.max_gap",
        "people.min_confidence",
        "people.seen_confidence",
        "people.min_likeness",
        "people.join_likeness",
    )

    @functools.cached_property
    def reading(self) -> FaceReading:
        """The networks, read when the first clip comes."""
        return open_faces(self.config.people.faces, self.config.people.face_encoder)

    def measure(self, clip: Clip) -> Measured:
        """The tracks of the clip's people from left to right, and how many are seen at once."""
        return describe_people(clip.frames, self.reading, self.config.people)

    def decide(self, measured: Measured) -> Rejection | None:
        """Leaves out clips with too few or too many people, or with people who are hardly ever seen together."""
        config, number = self.config.people, int(measured["num_people"])
        if number < config.min_people:
            small = " and too small faces" if measured["num_small"] else ""
            return self.rejection(f"too few people{small}", number, config.min_people)
        if number > config.max_people:
            return self.rejection("too many people", number, config.max_people)
        together = float(np.mean(np.asarray(measured["num_at_once"]) >= config.min_people))
        if together < config.min_together:
            return self.rejection("people not seen together", together, config.min_together)
        return None


def describe_people(frames: UInt8Array, reading: FaceReading, config: PeopleConfig) -> dict[str, Any]:
    """Who is in frames (F, H, W, 3): plain values.

    Returns:
        `tracks`, from left to right, each with `boxes` and `landmarks` (None in frames without the face), `presence`,
        the part of the frames in which it is clearly seen, and `embed`, its mean embedding; `others`, the boxes of all
        other faces of each frame; `num_people`; `num_at_once` in each frame, gaps bridged; `num_runs`, unbroken
        stretches of faces; and `num_small`, people whose faces are too small.
    """
    faces = [without_faces_around_two(found) for found in _detect(frames, reading.detector)]
    embeds = [_embed(frame, found, reading.recogniser) for frame, found in zip(frames, faces, strict=True)]
    likeness = LIKENESS[config.faces]
    tracking = TrackingConfig(
        max_gap=config.max_gap,
        min_likeness=likeness.step if config.min_likeness is None else config.min_likeness,
        join_likeness=likeness.join if config.join_likeness is None else config.join_likeness,
    )
    surest = likeness.min_confidence if config.min_confidence is None else config.min_confidence
    clear = likeness.seen_confidence if config.seen_confidence is None else config.seen_confidence
    least = max(config.min_face * min(frames.shape[1:3]), config.min_face_pixels)
    present = [
        track
        for track in track_faces(faces, embeds_by_frame=embeds, config=tracking)
        if _seen(track, len(frames), config.max_gap, clear).mean() >= config.min_presence
        and (surest is None or max(face.score for face in track.faces) >= surest)
    ]
    people = [track for track in present if _height(track) >= least]
    people.sort(key=lambda track: track.mean_centre[0])
    seen = [_seen(track, len(frames), config.max_gap, clear) for track in people]
    of_people = {id(face) for track in people for face in track.faces}
    return {
        "num_people": len(people),
        "num_small": len(present) - len(people),
        "num_at_once": np.sum(seen, axis=0).astype(int).tolist() if seen else [0] * len(frames),
        "num_runs": int(sum(np.count_nonzero(np.diff(each.astype(int), prepend=0) == 1) for each in seen)),
        "others": [[_plain(face.box) for face in found if id(face) not in of_people] for found in faces],
        "tracks": [
            {
                "boxes": _by_frame(track, len(frames), [face.box for face in track.faces]),
                "landmarks": _by_frame(track, len(frames), [face.landmarks for face in track.faces]),
                "presence": round(float(there.mean()), 4),
                "embed": [round(value, 5) for value in track.mean_embed.tolist()],
            }
            for track, there in zip(people, seen, strict=True)
        ],
    }


@functools.lru_cache(maxsize=2)
def open_faces(faces: Literal["drawn", "dlib", "antelopev2"], face_encoder: str | None) -> FaceReading:
    """Reads a face stack.

    Raises:
        UserInputError: if it is not there, or another one is.
        MissingDependencyError: if its library is not installed.
    """
    if faces == "dlib":
        from ingredients.faces.dlib_faces import DlibFaceReader

        dlib = DlibFaceReader()
        return FaceReading(detector=dlib.detector, recogniser=dlib.recogniser)
    from ingredients.faces.face_stack import load_face_stack
    from ingredients.model_folders.find_model import default_model_path
    from ingredients.model_folders.folder_names import FACE_ENCODER

    if face_encoder is None and faces == "antelopev2":
        raise UserInputError(
            "The faces of antelopev2 need the folder face_encoder/ of the published model; name it with "
            "people.face_encoder=FOLDER, or take people.faces=dlib."
        )
    folder = default_model_path() / FACE_ENCODER if face_encoder is None else Path(face_encoder)
    stack = load_face_stack(folder, name=faces)
    return FaceReading(detector=stack.detector, recogniser=stack.recogniser)


def _detect(frames: UInt8Array, detector: FaceDetector) -> list[list[Face]]:
    from ingredients.faces.detector import HeatmapFaceDetector

    if isinstance(detector, HeatmapFaceDetector):  # which looks at many frames at once
        return detector.detect_frames(frames)
    return [detector.detect(frame) for frame in frames]


def without_faces_around_two(faces: Sequence[Face]) -> list[Face]:
    """The faces of a frame without those around two others: side by side, heads look like a large face's eyes."""
    if len(faces) < 3:
        return list(faces)
    boxes = np.stack([face.box for face in faces])  # (N, 4)
    areas = np.array([max(face.area, 1.0) for face in faces])
    # (N, N): whether the second is inside the first
    is_inside = shared_area(boxes[:, None], boxes[None]) >= _INSIDE * areas
    is_inside &= areas[:, None] > areas
    return [face for face, num_inside in zip(faces, is_inside.sum(1), strict=True) if num_inside < 2]


def _embed(frame: UInt8Array, faces: Sequence[Face], recogniser: FaceRecogniser) -> Float32Array:
    if not faces:
        return np.zeros((0, recogniser.embedding_dim), np.float32)
    crops = np.stack([recogniser.align(frame, face.landmarks) for face in faces])
    return np.asarray(recogniser.embed(crops).numpy(), np.float32)


def _seen(track: Track, num_frames: int, max_gap: int, clear: float | None) -> BoolArray:
    """(F,): where a face is clearly seen, or was just before and will soon be."""
    there = np.zeros(num_frames, bool)
    for frame, face in zip(track.frame_indices, track.faces, strict=True):
        there[frame] = clear is None or face.score >= clear
    return bridge_gaps(there, max_gap)


def _height(track: Track) -> float:
    """Median height of a track's boxes."""
    return float(np.median([face.box[3] - face.box[1] for face in track.faces]))


def _by_frame(track: Track, num_frames: int, values: Sequence[Float32Array]) -> list[Any]:
    by_frame: list[Any] = [None] * num_frames
    for frame, value in zip(track.frame_indices, values, strict=True):
        by_frame[frame] = _plain(value)
    return by_frame


def _plain(value: Float32Array) -> Any:
    return np.round(value.astype(float), _DECIMALS).tolist()
