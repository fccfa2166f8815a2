"""Who of those asked for is seen in a video of photographed people, by dlib: for models that come without a judge.

dlib's recogniser conditions no model. What it says is a distance of descriptors, on its own scale: photos of one
person lie within 0.6 of each other, those of strangers further apart. Nothing was calibrated on clips, so this is no
normalised similarity.

Legend: F frames, H/W pixels, R photos of one person, T tracks, N people, D descriptor.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

from ingredients.core.arrays import Float32Array, UInt8Array
from ingredients.core.faces_types import Face
from ingredients.evaluation.tracking import track_faces
from ingredients.faces.dlib_faces import DlibFaceReader
from ingredients.faces.flat_places import without_flat

MAX_FRAMES = 16
"""Frames that are looked at, spread evenly over longer videos."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DistanceReport:
    """How one person fared."""

    name: str
    """As given."""

    distance: float | None
    """Mean distance of the person's face in the video to the photos; None if no face was matched to the person."""

    frames_found: int
    """Frames in which that face was seen, of those looked at."""


def report_distances(
    reader: DlibFaceReader,
    frames: UInt8Array,
    photos: Mapping[str, Sequence[UInt8Array]],
    faces: Mapping[str, Sequence[Face]],
) -> list[DistanceReport]:
    """Matches the faces of a video to people, one to one, so that the sum of their distances is smallest.

    Args:
        reader: dlib's networks.
        frames: (F, H, W, 3) RGB.
        photos: photos (H, W, 3) by name, one or several each.
        faces: the person's face in each of them.
    """
    references = np.stack(
        [_describe(reader, of_person, faces[name]).mean(axis=0) for name, of_person in photos.items()]
    )
    seen = frames[np.unique(np.linspace(0, len(frames) - 1, num=min(len(frames), MAX_FRAMES)).round().astype(int))]
    tracks = track_faces([without_flat(frame, reader.detector.detect(frame)) for frame in seen])
    distances = np.array(
        [_mean_distances(_describe(reader, seen[track.frame_indices], track.faces), references) for track in tracks]
    ).reshape(len(tracks), len(references))  # (T, N), also where there is no track
    rows, columns = linear_sum_assignment(distances)
    track_of = dict(zip(columns.tolist(), rows.tolist(), strict=True))
    return [
        DistanceReport(
            name=name,
            distance=float(distances[track_of[index], index]) if index in track_of else None,
            frames_found=len(tracks[track_of[index]].faces) if index in track_of else 0,
        )
        for index, name in enumerate(photos)
    ]


def _describe(
    reader: DlibFaceReader, images: Sequence[UInt8Array] | UInt8Array, faces: Sequence[Face]
) -> Float32Array:
    """Descriptors (faces, D) of one face of each image."""
    crops = [reader.recogniser.align(image, face.landmarks) for image, face in zip(images, faces, strict=True)]
    return np.asarray(reader.recogniser.embed(np.stack(crops)).numpy(), dtype=np.float32)


def _mean_distances(descriptors: Float32Array, references: Float32Array) -> Float32Array:
    """Of a track's descriptors (frames, D) to each reference (N, D), averaged over frames: (N,)."""
    distances = np.linalg.norm(descriptors[:, None] - references[None], axis=-1)
    return np.asarray(distances.mean(axis=0), dtype=np.float32)
