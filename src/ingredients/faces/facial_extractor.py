"""The facial extractor (paper, 3.2): from photos of people to everything the transformer is told about their faces.

Local and separate for each person: a recognition embedding joined with the image encoder's, and five hidden states.
Global: the aligned crop that goes on the canvas.

Legend: N people, R recognition dim, D image-encoder dim, P image-encoder tokens, C channels, S side of a crop,
H/W pixels of a photo.
"""

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ingredients.core.arrays import UInt8Array
from ingredients.core.errors import NoFaceError, NotFiniteError, PhotographError, UserInputError
from ingredients.core.finite import all_finite
from ingredients.core.protocols import Face, FaceDetector, FaceRecogniser, ImageEncoder, ImageFeatures
from ingredients.faces.alignment import crop_ffhq, sharpness
from ingredients.faces.face_choice import choose_face, without_flat
from ingredients.faces.identity_photos import IdentityPhotos
from ingredients.faces.network_settings import ScaleSource
from ingredients.faces.photo_quality import DRAWN_LIMITS, PhotoLimits, PhotoQuality, find_doubts, measure_photo
from ingredients.faces.picture_kind import (
    PictureKind,
    PictureKindClassifier,
    PictureLook,
    doubts_about,
    explain_photograph,
)

DEFAULT_SAME_FACE_THRESHOLD = 0.75

DEFAULT_DIFFERENT_FACE_THRESHOLD = 0.6
"""Threshold of the drawn world: 0.1 % of pairs of photos of one person are below, and all but 0.03 % of strangers'."""

DRAWN_FACES_ONLY = (
    "The small model knows drawn faces only: draw one with `ingredients world portrait --seed 7`, or load the "
    "published weights with --model for photographs."
)

PHOTOGRAPH_REMEDY = "Give a photo that shows the face larger, from the front, uncovered and in more light."


@runtime_checkable
class ScaleRecogniser(Protocol):
    """A recogniser that also gives the feature maps of its backbone."""

    def scale_features(self, crops: UInt8Array, *, num_patches: int) -> tuple[Tensor, ...]:
        """Five tensors (B, P, C), shallow to deep, on the token grid of the image encoder."""
        ...


def scale_recogniser(recogniser: FaceRecogniser) -> ScaleRecogniser:
    """The recogniser, which must give feature maps.

    Raises:
        UserInputError: if it gives none.
    """
    if isinstance(recogniser, ScaleRecogniser):
        return recogniser
    raise UserInputError(
        f"The recogniser {type(recogniser).__name__} gives no feature maps, which scale_source=recognition_and_clip "
        "and --recognition-maps need; leave them out, or take the face networks of the drawn world or of antelopev2."
    )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DetectedPhoto:
    """What was seen in one photo."""

    label: str
    """The photo's name."""

    image: UInt8Array
    """(H, W, 3): the photo."""

    faces: tuple[Face, ...]
    """All faces found, largest first."""

    face: Face
    """The one that was taken."""

    crop: UInt8Array
    """(S, S, 3): that face, aligned to the FFHQ template."""

    recognition_embedding: Tensor
    """(R,): the recogniser's raw embedding."""

    sharpness: float
    """Sharpness of the crop."""

    quality: PhotoQuality
    """What was measured about the face."""

    look: PictureLook | None = None
    """What kind of picture the photo is; None where nobody asks."""

    @property
    def is_photograph(self) -> bool:
        """Whether the stack knows drawings only, and this is none."""
        return self.look is not None and self.look.kind is PictureKind.PHOTOGRAPH


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ExtractedIdentities:
    """What is known about N people."""

    names: tuple[str, ...]
    """The people, in the order given."""

    id_embeds: Tensor
    """(N, R + D): recognition embedding (raw norm) | image-encoder embedding (norm 1)."""

    id_vit_hidden_states: tuple[Tensor, ...]
    """Five tensors (N, P, C), shallow to deep."""

    canvas_crops: UInt8Array
    """(N, S, S, 3): the aligned crops for the canvas."""

    recognition_embeds: Tensor
    """(N, R): the first part of `id_embeds`."""

    photos: tuple[tuple[DetectedPhoto, ...], ...]
    """What was seen in each photo of each person."""

    warnings: tuple[str, ...]
    """Sentences about photos that are usable but doubtful."""

    @property
    def photographed(self) -> frozenset[str]:
        """The people of whom a model that knows drawings only was given a photograph: nobody can judge them."""
        return frozenset(
            name
            for name, seen in zip(self.names, self.photos, strict=True)
            if any(photo.is_photograph for photo in seen)
        )

    def __len__(self) -> int:
        return len(self.names)


class FacialExtractor:
    """Detects, aligns, recognises and encodes the faces of any number of people."""

    def __init__(
        self,
        detector: FaceDetector,
        recogniser: FaceRecogniser,
        image_encoder: ImageEncoder,
        *,
        canvas_crop_size: int = 64,
        scale_source: ScaleSource = "clip",
        same_face_threshold: float = DEFAULT_SAME_FACE_THRESHOLD,
        different_face_threshold: float | None = DEFAULT_DIFFERENT_FACE_THRESHOLD,
        no_face_remedy: str = DRAWN_FACES_ONLY,
        photo_limits: PhotoLimits = DRAWN_LIMITS,
        picture_kind: PictureKindClassifier | None = None,
    ) -> None:
        """Joins the parts.

        Args:
            detector: finds faces and landmarks.
            recogniser: embeds them.
            image_encoder: gives the semantic embedding and the five hidden states.
            canvas_crop_size: side in pixels of the crops for the canvas.
            scale_source: `clip` takes the image encoder's hidden states alone, as the published code does;
                `recognition_and_clip` joins the recogniser's feature maps to them on the channel axis, as the paper
                says. Both nets see the same face at nearly the same place, so a token describes one spot in both.
            same_face_threshold: cosine of recognition embeddings from which two names are one face.
            different_face_threshold: cosine below which two photos of one name may show two people, if any.
            no_face_remedy: what to do where no face is found, one sentence.
            photo_limits: the numbers from which on a photo is doubtful.
            picture_kind: tells drawings from photographs, for parts that know drawings only; None asks nobody.

        Raises:
            UserInputError: if `scale_source` needs feature maps that the recogniser does not give.
        """
        if scale_source == "recognition_and_clip":
            scale_recogniser(recogniser)
        self.detector = detector
        self.recogniser = recogniser
        self.image_encoder = image_encoder
        self.canvas_crop_size = canvas_crop_size
        self.scale_source = scale_source
        self.same_face_threshold = same_face_threshold
        self.different_face_threshold = different_face_threshold
        self.no_face_remedy = no_face_remedy
        self.photo_limits = photo_limits
        self.picture_kind = picture_kind

    def extract(self, people: Sequence[IdentityPhotos], *, allow_photographs: bool = False) -> ExtractedIdentities:
        """Says everything about the faces of some people.

        Several photos of one person: the mean of the normalised recognition embeddings at their mean norm; everything
        else from the sharpest photo.

        Args:
            people: whom.
            allow_photographs: whether parts that know drawings only take photographs all the same, with a warning.

        Raises:
            NoFaceError: if a photo shows no face; it names the photo.
            PhotographError: if a photo is a photograph, the parts know drawings only, and it is not allowed.
            PhotoError: if a photo has fewer faces than the number that is asked for.
        """
        if not people:
            raise ValueError("at least one person is needed")
        photos = tuple(tuple(self._detect(person, index) for index in range(len(person.images))) for person in people)
        if not allow_photographs:
            for photo in itertools.chain.from_iterable(photos):
                if photo.is_photograph:
                    raise PhotographError(explain_photograph(photo.label))
        best = [max(seen, key=lambda photo: photo.sharpness) for seen in photos]
        features = self.image_encoder.encode(
            np.stack(
                [crop_ffhq(photo.image, photo.face.landmarks, size=self.image_encoder.crop_size) for photo in best]
            )
        )
        recognition_embeds = torch.stack(
            [fuse_embeddings(torch.stack([photo.recognition_embedding for photo in seen])) for seen in photos]
        )
        hidden_states = features.hidden_states
        if self.scale_source == "recognition_and_clip":
            hidden_states = self._join_scales(best, features)
        check_embeds(recognition_embeds, features.embeds, *hidden_states)
        return ExtractedIdentities(
            names=tuple(person.name for person in people),
            id_embeds=torch.cat([recognition_embeds, F.normalize(features.embeds, dim=-1)], dim=1),
            id_vit_hidden_states=hidden_states,
            canvas_crops=np.stack([photo.crop for photo in best]),
            recognition_embeds=recognition_embeds,
            photos=photos,
            warnings=tuple(
                warning
                for person, seen in zip(people, photos, strict=True)
                for warning in (
                    *(doubt for index, photo in enumerate(seen) for doubt in self._doubts(person, index, photo)),
                    *self._doubt_same_person(person, seen),
                )
            ),
        )

    def same_faces(self, identities: ExtractedIdentities) -> list[tuple[str, str, float]]:
        """Pairs of different names whose faces are so alike that they must be one person, with their cosine."""
        embeds = F.normalize(identities.recognition_embeds, dim=-1)
        cosines = embeds @ embeds.T  # (N, N)
        return [
            (identities.names[first], identities.names[second], float(cosines[first, second]))
            for first in range(len(identities))
            for second in range(first + 1, len(identities))
            if cosines[first, second] >= self.same_face_threshold
        ]

    def _detect(self, person: IdentityPhotos, index: int) -> DetectedPhoto:
        image, label = person.images[index], person.label(index)
        faces = without_flat(image, self.detector.detect(image))
        if not faces:
            raise NoFaceError(f"No face was found in {label}{self._aside_about(image)}. {self.no_face_remedy}")
        choice = person.choice(index)
        face = choose_face(faces, "largest" if choice is None else choice, label=label)
        crop = crop_ffhq(image, face.landmarks, size=self.canvas_crop_size)
        recogniser_crop = self.recogniser.align(image, face.landmarks)
        return DetectedPhoto(
            label=label,
            image=image,
            faces=tuple(faces),
            face=face,
            crop=crop,
            recognition_embedding=self.recogniser.embed(recogniser_crop[None])[0],
            sharpness=sharpness(crop),
            quality=measure_photo(image, face, sharpness_size=self.photo_limits.sharpness_size),
            look=None if self.picture_kind is None else self.picture_kind.look(image, face.landmarks),
        )

    def _aside_about(self, image: UInt8Array) -> str:
        """What to say of a picture without a face."""
        if self.picture_kind is None or self.picture_kind.look_at_whole(image).kind is not PictureKind.PHOTOGRAPH:
            return ""
        return ", which looks like a photograph"

    def _doubts(self, person: IdentityPhotos, index: int, photo: DetectedPhoto) -> list[str]:
        warnings = []
        if len(photo.faces) > 1 and person.choice(index) is None:
            is_largest = all(face.area <= photo.face.area for face in photo.faces)
            which = "the largest" if is_largest else "the largest of those that the detector is sure of"
            warnings.append(
                f"{photo.label} shows {len(photo.faces)} faces; {which} is taken for {person.name} "
                "(`ingredients faces` draws their numbers)."
            )
        doubts = find_doubts(photo.quality, self.photo_limits)
        if photo.look is not None:
            doubts = [*doubts_about(photo.look), *doubts]
        return warnings + [doubt.sentence(person=person.name, label=photo.label) for doubt in doubts]

    def _doubt_same_person(self, person: IdentityPhotos, seen: Sequence[DetectedPhoto]) -> list[str]:
        """Names the two photos of a person that are least alike, if they are too little."""
        if self.different_face_threshold is None or len(seen) < 2:
            return []
        embeds = F.normalize(torch.stack([photo.recognition_embedding for photo in seen]), dim=-1)
        cosines = embeds @ embeds.T  # (photos, photos)
        first, second = divmod(int(cosines.argmin()), len(seen))
        least = float(cosines[first, second])
        if least >= self.different_face_threshold:
            return []
        return [
            f"{seen[first].label} and {seen[second].label} may show two people (similarity {least:.2f}, less than "
            f"{self.different_face_threshold:g}), but are both given for {person.name}; leave out the one that is "
            "somebody else."
        ]

    def _join_scales(self, best: Sequence[DetectedPhoto], features: ImageFeatures) -> tuple[Tensor, ...]:
        crops = np.stack([self.recogniser.align(photo.image, photo.face.landmarks) for photo in best])
        maps = scale_recogniser(self.recogniser).scale_features(crops, num_patches=features.hidden_states[0].shape[1])
        return tuple(
            torch.cat([hidden_state, feature_map], dim=-1)
            for hidden_state, feature_map in zip(features.hidden_states, maps, strict=True)
        )


def check_embeds(*embeds: Tensor) -> None:
    """Refuses what face networks say that holds no numbers: it has a likeness to nobody.

    Raises:
        NotFiniteError: if it does.
    """
    if not all(map(all_finite, embeds)):
        raise NotFiniteError(
            "The face networks give values that are not finite (NaN or infinite) for these photos; copy the model's "
            "face_encoder/ again."
        )


def fuse_embeddings(embeddings: Tensor) -> Tensor:
    """Mean of the normalised embeddings of one person's photos, at their mean norm.

    Args:
        embeddings: (photos, R), raw.

    Returns:
        (R,): for one photo, the embedding itself.
    """
    norms = embeddings.norm(dim=-1)
    direction = F.normalize(F.normalize(embeddings, dim=-1).mean(0), dim=0)
    fused: Tensor = direction * norms.mean()
    return fused
