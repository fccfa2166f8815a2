"""How well each person was kept in a video, right after it was made, by whichever judge there is.

The model's own judge gives a similarity. For models that come without one, and whose people are photographed, dlib
gives a distance of descriptors on its own scale: photos of one person lie within 0.6 of each other, those of strangers
further apart. dlib's recogniser conditions no model, and nothing was calibrated on clips, so this is no normalised
similarity.

Legend: F frames, H/W pixels, R photos of one person, T tracks, N people, D descriptor.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from scipy.optimize import linear_sum_assignment

from ingredients.core.arrays import Float32Array, UInt8Array
from ingredients.core.errors import MissingDependencyError
from ingredients.core.protocols import Face
from ingredients.evaluation.judge import Judge
from ingredients.evaluation.judges import JUDGE_FOLDER, load_model_judge
from ingredients.faces.dlib_faces import SAME_PERSON_DISTANCE, DlibFaceReader
from ingredients.faces.drawn_face_stack import load_judge_detector
from ingredients.faces.face_choice import without_flat
from ingredients.faces.face_stack import FaceStack
from ingredients.faces.facial_extractor import ExtractedIdentities
from ingredients.faces.tracking import track_faces

JudgeName: TypeAlias = Literal["model", "dlib"]

MAX_FRAMES = 16
"""Frames that dlib looks at, spread evenly over longer videos."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PersonReport:
    """How one person fared."""

    name: str
    """As given."""

    found: bool | None = None
    """Whether a face of the video was matched to the person; None if nobody looked."""

    similarity: float | None = None
    """By the model's judge: normalised, 0 is a stranger (or no face at all), 1 the person in a real clip; not clipped.
    """

    distance: float | None = None
    """By dlib: mean distance of the face in the video to the photos; below 0.6 dlib takes them for one person."""

    frames_found: int = 0
    """Frames in which that face was seen, of those looked at."""

    is_photographed: bool = False
    """Whether the judge knows drawings only, and a photo is none."""

    @property
    def verdict(self) -> str:
        """The same in words."""
        if self.is_photographed:
            return "not judged: the photo looks like a photograph, and the model's judge knows drawn people only"
        if self.found is None:
            return "not measured"
        if not self.found:
            return "no face found in the video"
        if self.distance is None:
            return f"found, similarity {self.similarity:.2f}"
        if self.distance < SAME_PERSON_DISTANCE:
            return f"same person (distance {self.distance:.2f}, below dlib's {SAME_PERSON_DISTANCE})"
        return f"another person (distance {self.distance:.2f}, not below dlib's {SAME_PERSON_DISTANCE})"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PeopleCheck:
    """Looks for people in videos."""

    judge: Judge | DlibFaceReader | None
    """Who looks; None: nobody can."""

    @property
    def judge_name(self) -> JudgeName | None:
        """Who looks, for reports."""
        if self.judge is None:
            return None
        return "model" if isinstance(self.judge, Judge) else "dlib"

    def __call__(self, frames: UInt8Array, identities: ExtractedIdentities) -> tuple[PersonReport, ...]:
        """Says how each person fared, in the order of `identities`.

        Args:
            frames: (F, H, W, 3) RGB.
            identities: the people and what was seen in their photos.
        """
        seen = dict(zip(identities.names, identities.photos, strict=True))
        photos = {name: [photo.image for photo in of_person] for name, of_person in seen.items()}
        faces = {name: [photo.face for photo in of_person] for name, of_person in seen.items()}
        if isinstance(self.judge, Judge):
            known = {name: of_person for name, of_person in photos.items() if name not in identities.photographed}
            reports = {report.name: report for report in report_people(self.judge, frames, known, faces)}
            return tuple(reports.get(name) or PersonReport(name=name, is_photographed=True) for name in photos)
        if self.judge is not None:
            return tuple(report_distances(self.judge, frames, photos, faces))
        return tuple(PersonReport(name=name) for name in photos)


def load_people_check(folder: Path, face_encoder: FaceStack) -> PeopleCheck:
    """The judge beside the model; without one dlib, if it is installed and the model's people are photographed.

    Raises:
        ModelFolderError: if the model's judge is damaged.
    """
    if (folder / JUDGE_FOLDER).is_dir():
        detector = load_judge_detector(folder / JUDGE_FOLDER) or face_encoder.detector
        return PeopleCheck(judge=load_model_judge(folder, detector=detector))
    if face_encoder.reads_photographs:
        try:
            return PeopleCheck(judge=DlibFaceReader())
        except MissingDependencyError:
            pass
    return PeopleCheck(judge=None)


def report_people(
    judge: Judge,
    frames: UInt8Array,
    photos: Mapping[str, Sequence[UInt8Array]],
    faces: Mapping[str, Sequence[Face]] | None = None,
) -> list[PersonReport]:
    """Matches the faces of a video to people, one to one, by the model's judge.

    Args:
        judge: with its scale.
        frames: (F, H, W, 3) RGB.
        photos: photos (H, W, 3) by name, one or several each.
        faces: the person's face in each of them; None has the judge choose.

    Raises:
        PhotoError: as `Judge.find_person`.
    """
    if not photos:
        return []
    references = [
        judge.embed_person(of_person, None if faces is None else faces[name], name=name)
        for name, of_person in photos.items()
    ]
    one_photo_each = all(len(of_person) == 1 for of_person in photos.values())
    assessment = judge.assess(frames, references, scale=judge.one_photo_scale if one_photo_each else judge.scale)
    return [
        PersonReport(name=name, found=person.found, similarity=person.similarity, frames_found=person.frames_found)
        for name, person in zip(photos, assessment.people, strict=True)
    ]


def report_distances(
    reader: DlibFaceReader,
    frames: UInt8Array,
    photos: Mapping[str, Sequence[UInt8Array]],
    faces: Mapping[str, Sequence[Face]],
) -> list[PersonReport]:
    """Matches the faces of a video to people, one to one, so that the sum of their distances by dlib is smallest.

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
        PersonReport(
            name=name,
            found=index in track_of,
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
    """Distance of a track's descriptors (frames, D) to each reference (N, D), averaged over frames: (N,)."""
    distances = np.linalg.norm(descriptors[:, None] - references[None], axis=-1)
    return np.asarray(distances.mean(axis=0), dtype=np.float32)
