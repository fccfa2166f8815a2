"""How one face changes through a clip: does it stay the person, and is it more than the photo pasted in?

Legend: T frames of a track, D embedding.
"""

import dataclasses

import numpy as np

from ingredients.core.arrays import Float32Array
from ingredients.evaluation.comparison import Measure, compare_faces

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
