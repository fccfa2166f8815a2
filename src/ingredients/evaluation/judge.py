"""The judge: who is in a video, told by a detector and a recogniser that never condition the generator.

Legend: F frames, H/W pixels, N references, R photos of one person, M distractors, D embedding.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import torch

from ingredients.core.arrays import Float32Array, UInt8Array
from ingredients.core.errors import NoFaceError
from ingredients.core.faces_types import Face
from ingredients.core.protocols import FaceDetector, FaceRecogniser
from ingredients.evaluation.assessment import (
    COSINE_SCALE,
    ClipAssessment,
    SimilarityScale,
    TrackEmbeddings,
    assess_tracks,
)
from ingredients.evaluation.tracking import Track, TrackingConfig, track_faces


class Judge:
    """Finds the faces of a clip, follows them, and says which reference each of them is.

    Args:
        detector: finds faces and landmarks in frames and photos.
        recogniser: embeds faces; of another architecture and other training people than the generator's.
        scale: the cosines of strangers and of the same person on real clips; without it, similarities are cosines.
        one_photo_scale: the same where people are known by one photo each; without it, `scale`.
        tracking: what joins faces of different frames.
    """

    def __init__(
        self,
        *,
        detector: FaceDetector,
        recogniser: FaceRecogniser,
        scale: SimilarityScale | None = None,
        one_photo_scale: SimilarityScale | None = None,
        tracking: TrackingConfig | None = None,
    ) -> None:
        self.detector = detector
        self.recogniser = recogniser
        self.scale = scale or COSINE_SCALE
        self.one_photo_scale = one_photo_scale or self.scale
        self.tracking = tracking or TrackingConfig()

    def embed_faces(self, images: Sequence[UInt8Array], faces: Sequence[Face]) -> Float32Array:
        """Embeds one face of each image, as vectors of length 1 (images, D)."""
        return self.embed_landmarks(images, [face.landmarks for face in faces])

    @torch.inference_mode()
    def embed_landmarks(self, images: Sequence[UInt8Array], landmarks: Sequence[Float32Array]) -> Float32Array:
        """Embeds the face at the landmarks (5, 2) of each image, as vectors of length 1 (images, D)."""
        if not images:
            return np.zeros((0, self.recogniser.embedding_dim), dtype=np.float32)
        crops = np.stack(
            [self.recogniser.align(image, points) for image, points in zip(images, landmarks, strict=True)]
        )
        embeddings = torch.nn.functional.normalize(self.recogniser.embed(crops).float(), dim=-1)
        return np.asarray(embeddings.cpu().numpy(), dtype=np.float32)

    def embed_person(
        self, photos: Sequence[UInt8Array], faces: Sequence[Face] | None = None, *, name: str = "the person"
    ) -> Float32Array:
        """Embeds a person by one face of each of the R photos, averaged, as a vector of length 1 (D,).

        Args:
            photos: RGB photos (H, W, 3).
            faces: the person's, one a photo; None takes the largest that the judge finds.
            name: the person's, for the error.

        Raises:
            NoFaceError: if a photo shows no face.
        """
        if faces is None:
            faces = [self._find_largest(photo, name) for photo in photos]
        mean = self.embed_faces(photos, faces).mean(axis=0)
        return np.asarray(mean / np.linalg.norm(mean), dtype=np.float32)

    def _find_largest(self, photo: UInt8Array, name: str) -> Face:
        found = self.detector.detect(photo)
        if not found:
            raise NoFaceError(f"The judge finds no face in a photo of {name}; give one that shows it larger.")
        return found[0]

    def track(self, frames: UInt8Array) -> list[TrackEmbeddings]:
        """Follows and embeds the faces of a clip (F, H, W, 3)."""
        height, width = frames.shape[1:3]
        tracks = track_faces([self.detector.detect(frame) for frame in frames], config=self.tracking)
        embeddings = self.embed_faces(
            [frames[index] for track in tracks for index in track.frame_indices],
            [face for track in tracks for face in track.faces],
        )
        by_track = np.split(embeddings, np.cumsum([len(track.faces) for track in tracks])[:-1]) if tracks else []
        return [
            TrackEmbeddings(
                frame_indices=tuple(track.frame_indices),
                embeddings=rows,
                centre=_relative_centre(track, height, width),
                landmarks=np.stack([face.landmarks for face in track.faces]),
            )
            for track, rows in zip(tracks, by_track, strict=True)
        ]

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
            scale: of the similarities; the judge's own by default.
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
    ) -> ClipAssessment:
        """As `assess`, for a clip that `track` has seen."""
        return assess_tracks(
            tracks,
            np.stack(list(references)),
            scale=scale or self.scale,
            num_frames=num_frames,
            distractors=distractors,
        )


def _relative_centre(track: Track, height: int, width: int) -> tuple[float, float]:
    horizontal, vertical = track.mean_centre
    return horizontal / width, vertical / height
