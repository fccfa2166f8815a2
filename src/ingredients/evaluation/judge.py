"""The judge: who is in a video, told by a detector and a recogniser that never condition the generator.

The model that ships has both under `judge/`. A model folder whose judge lacks a detector lends it the one that aligns
the photos: "found" and "present" are then said by a network that the generator was made to please.

Legend: F frames, H/W pixels, N references, R photos of one person, M distractors, D embedding.
"""

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np
import torch

from ingredients.core.arrays import Float32Array, UInt8Array
from ingredients.core.errors import NoFaceError, PhotographError
from ingredients.core.protocols import Face, FaceDetector, FaceRecogniser, ProgressCallback
from ingredients.evaluation.assessment import (
    ClipAssessment,
    Measure,
    SimilarityScale,
    TrackEmbeddings,
    assess_tracks,
    average_faces,
)
from ingredients.faces.detector import intersection_over_union
from ingredients.faces.face_choice import FaceChoice, choose_face, without_flat
from ingredients.faces.picture_kind import PictureKind, PictureKindClassifier
from ingredients.faces.tracking import Track, TrackingConfig, track_faces

_SAME_PLACE = 0.3
"""Intersection over union from which two detectors' boxes are of one face."""

_EMBEDDED_AT_ONCE = 32
"""Frames whose faces are embedded together: enough to be quick, few enough for a time left that is true."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ClipView:
    """The faces that the judge sees in a clip."""

    faces: tuple[tuple[Face, ...], ...]
    """The faces of each frame."""

    embeddings: tuple[Float32Array, ...]
    """Embeddings of each frame's faces, in their order: (faces, D)."""

    tracks: list[TrackEmbeddings]
    """The faces that were followed from frame to frame."""

    @property
    def boxes(self) -> list[list[Float32Array]]:
        """The box (4,) of each face of each frame."""
        return [[face.box for face in faces] for faces in self.faces]


class Judge:
    """Finds the faces of a clip, follows them, and says which reference each of them is.

    Args:
        detector: finds faces and landmarks in frames and photos.
        recogniser: embeds faces; of another architecture and other training people than the generator's.
        scale: the cosines of strangers and of the same person on real clips; without it, similarities are cosines.
        one_photo_scale: the same where people are known by one photo each; without it, `scale`.
        tracking: what joins faces of different frames.
        measure: how the recogniser's embeddings are compared.
        limit: without a scale, the cosine above which two faces are one person's.
        picture_kind: tells drawings from photographs, for a recogniser that knows drawings only; None asks nobody.
    """

    def __init__(
        self,
        *,
        detector: FaceDetector,
        recogniser: FaceRecogniser,
        scale: SimilarityScale | None = None,
        one_photo_scale: SimilarityScale | None = None,
        tracking: TrackingConfig | None = None,
        measure: Measure = "cosine",
        limit: float = 0.5,
        picture_kind: PictureKindClassifier | None = None,
    ) -> None:
        self.detector = detector
        self.recogniser = recogniser
        self.measure = measure
        self.is_calibrated = scale is not None
        self.scale = scale or SimilarityScale(same_person_mean=1.0, stranger_mean=0.0, limit=limit)
        self.one_photo_scale = one_photo_scale or self.scale
        self.tracking = tracking or TrackingConfig()
        self.picture_kind = picture_kind

    def with_scale(self, scale: SimilarityScale) -> "Judge":
        """The same judge, calibrated."""
        return Judge(
            detector=self.detector,
            recogniser=self.recogniser,
            scale=scale,
            tracking=self.tracking,
            measure=self.measure,
            picture_kind=self.picture_kind,
        )

    def embed_faces(self, images: Sequence[UInt8Array], faces: Sequence[Face]) -> Float32Array:
        """Embeds one face of each image (images, D), as vectors of length 1 where cosines are taken."""
        return self.embed_landmarks(images, [face.landmarks for face in faces])

    @torch.inference_mode()
    def embed_landmarks(self, images: Sequence[UInt8Array], landmarks: Sequence[Float32Array]) -> Float32Array:
        """As `embed_faces`, of the face at the landmarks (5, 2) of each image."""
        if not images:
            return np.zeros((0, self.recogniser.embedding_dim), dtype=np.float32)
        crops = np.stack(
            [self.recogniser.align(image, points) for image, points in zip(images, landmarks, strict=True)]
        )
        embeddings = self.recogniser.embed(crops).float()
        if self.measure == "cosine":
            embeddings = torch.nn.functional.normalize(embeddings, dim=-1)
        return np.asarray(embeddings.cpu().numpy(), dtype=np.float32)

    def embed_person(
        self, photos: Sequence[UInt8Array], faces: Sequence[Face] | None = None, *, name: str = "the person"
    ) -> Float32Array:
        """Embeds a person by one face of each of the R photos, averaged (D,).

        Args:
            photos: RGB photos (H, W, 3).
            faces: which face of each photo is the person's, as another detector found it; the judge looks at the
                same place for itself, and takes this where it sees nothing. None takes those that `find_person` finds.
            name: the person's, for the error.

        Raises:
            PhotoError: as `find_person`.
        """
        if faces is None:
            faces = [self.find_person(photo, label=f"a photo of {name}") for photo in photos]
        else:
            faces = [self._find_again(photo, face) for photo, face in zip(photos, faces, strict=True)]
        return average_faces(self.embed_faces(photos, faces), measure=self.measure)

    def find_person(
        self,
        photo: UInt8Array,
        *,
        label: str,
        choice: FaceChoice = "largest",
        allow_photographs: bool = False,
    ) -> Face:
        """The face of the person whom a photo (H, W, 3) shows.

        Args:
            photo: the photo.
            label: what messages call it.
            choice: which of its faces.
            allow_photographs: whether the picture is known to be drawn, whatever it looks like.

        Raises:
            NoFaceError: if the detector finds none.
            PhotoError: if it finds fewer than the choice asks for.
            PhotographError: if it is a photograph, and the recogniser knows drawings only.
        """
        found = without_flat(photo, self.detector.detect(photo))
        if not found:
            raise NoFaceError(
                f"The judge finds no face in {label}; give a larger one, or another judge or detector: `model` knows "
                "drawings, `dlib` photographs."
            )
        face = choose_face(found, choice, label=label)
        if self.picture_kind is not None and not allow_photographs:
            look = self.picture_kind.look(photo, face.landmarks)
            if look.kind is PictureKind.PHOTOGRAPH:
                raise PhotographError(
                    f"The judge `model` knows drawn people only, but {label} looks like a photograph; take another "
                    "judge, such as `dlib`."
                )
        return face

    def _find_again(self, photo: UInt8Array, face: Face) -> Face:
        overlaps = [
            (intersection_over_union(each.box, face.box), each)
            for each in without_flat(photo, self.detector.detect(photo))
        ]
        overlap, own = max(overlaps, key=lambda pair: pair[0], default=(0.0, face))
        return own if overlap >= _SAME_PLACE else face

    def look(self, frames: UInt8Array, *, progress: ProgressCallback | None = None) -> ClipView:
        """Finds, embeds and follows the faces of a clip (F, H, W, 3), and tells of each frame."""
        height, width = frames.shape[1:3]
        faces: list[list[Face]] = []
        embeddings: list[Float32Array] = []
        for start in range(0, len(frames), _EMBEDDED_AT_ONCE):
            some = frames[start : start + _EMBEDDED_AT_ONCE]
            found = []
            for frame in some:
                found.append(without_flat(frame, self.detector.detect(frame)))
                if progress is not None:
                    progress(start + len(found), len(frames))
            embedded = self.embed_faces(
                [frame for frame, of_frame in zip(some, found, strict=True) for _ in of_frame],
                [face for of_frame in found for face in of_frame],
            )
            embeddings += np.split(embedded, np.cumsum([len(of_frame) for of_frame in found])[:-1])
            faces += found
        row_of = {
            (index, id(face)): row
            for index, (of_frame, rows) in enumerate(zip(faces, embeddings, strict=True))
            for face, row in zip(of_frame, rows, strict=True)
        }
        return ClipView(
            faces=tuple(tuple(of_frame) for of_frame in faces),
            embeddings=tuple(embeddings),
            tracks=[
                TrackEmbeddings(
                    frame_indices=tuple(track.frame_indices),
                    embeddings=np.stack(
                        [row_of[at, id(face)] for at, face in zip(track.frame_indices, track.faces, strict=True)]
                    ),
                    centre=_relative_centre(track, height, width),
                    landmarks=np.stack([face.landmarks for face in track.faces]),
                    boxes=np.stack([face.box for face in track.faces]),
                )
                for track in track_faces(faces, config=self.tracking)
            ],
        )

    def track(self, frames: UInt8Array, *, progress: ProgressCallback | None = None) -> list[TrackEmbeddings]:
        """Follows and embeds the faces of a clip (F, H, W, 3), and tells of each frame."""
        return self.look(frames, progress=progress).tracks

    def assess(
        self,
        frames: UInt8Array,
        references: Iterable[Float32Array],
        *,
        distractors: Sequence[Float32Array] | None = None,
        scale: SimilarityScale | None = None,
    ) -> ClipAssessment:
        """Says for each reference whether and how well it is seen in a clip.

        Args:
            frames: (F, H, W, 3).
            references: one embedding (D,) a person, from `embed_person` or `embed_landmarks`.
            distractors: for each reference, embeddings (M, D) of people to rank it among.
            scale: the scale of the similarities; the judge's own by default.
        """
        return self.assess_tracks(
            self.track(frames), references, num_frames=len(frames), distractors=distractors, scale=scale
        )

    def assess_tracks(
        self,
        tracks: Sequence[TrackEmbeddings],
        references: Iterable[Float32Array],
        *,
        num_frames: int,
        distractors: Sequence[Float32Array] | None = None,
        scale: SimilarityScale | None = None,
        needs_limit: bool = False,
    ) -> ClipAssessment:
        """As `assess`, for a clip that `track` has seen; `needs_limit` as in `assessment.assess_tracks`."""
        return assess_tracks(
            tracks,
            np.stack(list(references)),
            scale=scale or self.scale,
            num_frames=num_frames,
            distractors=distractors,
            measure=self.measure,
            needs_limit=needs_limit,
        )


def _relative_centre(track: Track, height: int, width: int) -> tuple[float, float]:
    horizontal, vertical = track.mean_centre
    return horizontal / width, vertical / height
