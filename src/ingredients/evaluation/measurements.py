"""What is measured on a video, whoever made it: parts of its record.

Legend: F frames, H/W pixels, N people, D embedding.
"""

from collections.abc import Sequence

import numpy as np

from ingredients.core.arrays import Float32Array, UInt8Array
from ingredients.core.faces_types import Face
from ingredients.evaluation.assessment import ClipAssessment, SimilarityScale, TrackEmbeddings
from ingredients.evaluation.case_record import ChangesRecord, MotionRecord, Vector, pack_features
from ingredients.evaluation.changes import FaceChanges, face_variety, find_confusion, measure_changes
from ingredients.evaluation.inception import InceptionFeatures, cut_face_region
from ingredients.evaluation.metrics.motion import frame_changes
from ingredients.evaluation.similarity import Measure

_DECIMALS = 5
"""Of embeddings in records."""


def follow_changes(
    assessment: ClipAssessment,
    tracks: Sequence[TrackEmbeddings],
    references: Float32Array,
    photo_landmarks: Sequence[Float32Array],
    *,
    scale: SimilarityScale,
    measure: Measure,
    num_frames: int,
    ordered: bool,
    real_variety: float | None,
) -> ChangesRecord:
    """Who appears as whom, and how each person's face changes.

    Args:
        assessment: of these tracks, against these references.
        tracks: faces of the video.
        references: (N, D).
        photo_landmarks: (5, 2) of the photo that each person was asked for by.
        scale: parts the same person from strangers.
        measure: how faces are compared.
        num_frames: frames of the video.
        ordered: whether the people were asked for in this order from left to right.
        real_variety: `mean_variety` of a real video of the same people and prompt.
    """
    faces: list[FaceChanges | None] = []
    for person, reference, landmarks in zip(assessment.people, references, photo_landmarks, strict=True):
        track = None if person.track is None else tracks[person.track]
        if track is None or track.landmarks is None:
            faces.append(None)
        else:
            faces.append(measure_changes(track.embeddings, track.landmarks, reference, landmarks, measure=measure))
    confusion = find_confusion(
        tracks, references, scale=scale, num_frames=num_frames, ordered=ordered, measure=measure
    )
    return ChangesRecord(confusion=confusion, faces=tuple(faces), real_variety=real_variety)


def measure_motion(
    frames: UInt8Array, real_changes: Sequence[float] | None, *, temporal_ratio: int | None
) -> MotionRecord:
    """What changes from frame to frame of a video (F, H, W, 3).

    Args:
        frames: of the video.
        real_changes: `frame_changes` of a real video of the same people and prompt; None without one.
        temporal_ratio: frames in each latent frame of the video's VAE but the first; None if nobody knows.
    """
    changes = frame_changes(frames)
    return MotionRecord(
        generated=_mean(changes),
        real=None if real_changes is None else _mean(real_changes),
        by_transition=_rounded(changes),
        real_by_transition=_rounded(real_changes or ()),
        temporal_ratio=temporal_ratio,
    )


def _mean(changes: Sequence[float]) -> float:
    return float(np.mean(changes)) if changes else 0.0


def _rounded(numbers: Sequence[float]) -> tuple[float, ...]:
    return tuple(round(number, 6) for number in numbers)


def mean_variety(tracks: Sequence[TrackEmbeddings]) -> float | None:
    """How far the faces of a real video move in themselves; None without a face."""
    varieties = [face_variety(track.landmarks) for track in tracks if track.landmarks is not None]
    return float(np.mean(varieties)) if varieties else None


def face_vectors(tracks: Sequence[TrackEmbeddings]) -> tuple[Vector, ...]:
    """The embeddings of all faces of the tracks, rounded."""
    return tuple(
        tuple(np.round(row.astype(np.float64), _DECIMALS).tolist()) for track in tracks for row in track.embeddings
    )


def region_features(
    inception: InceptionFeatures, pictures: Sequence[UInt8Array] | UInt8Array, faces: Sequence[Sequence[Face]]
) -> str:
    """Packed features of the face regions of pictures (H, W, 3), one row a face."""
    regions = [
        cut_face_region(picture, face) for picture, found in zip(pictures, faces, strict=True) for face in found
    ]
    return pack_features(inception.embed(regions))
