"""What is detected, aligned and recognised in some photos.

Legend: H/W pixels, S side of a crop, N faces.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np
import torch

from ingredients.core.arrays import Float32Array, UInt8Array
from ingredients.core.protocols import Face
from ingredients.faces.alignment import crop_ffhq
from ingredients.faces.face_choice import from_left, largest_face, without_flat
from ingredients.faces.face_stack import FaceReader
from ingredients.faces.facial_extractor import check_embeds
from ingredients.faces.photo_quality import PhotoDoubt, find_doubts, measure_photo
from ingredients.faces.picture_kind import PictureKind, PictureLook, doubts_about
from ingredients.visualisation.faces_sheet import faces_sheet, photo_row


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class InspectedFace:
    """One face of one photo."""

    number: int
    """Counted from 1 in each photo, from left to right: what `--photo NAME=FILE#N` chooses by, where the same
    `--face-stack` is named."""

    photo: str
    """Name of the photo."""

    face: Face
    """What the detector said."""

    crop: UInt8Array
    """(S, S, 3): what the image encoder and the canvas get."""

    recognition_crop: UInt8Array
    """(S, S, 3): the tighter crop that the recogniser gets."""

    doubts: tuple[PhotoDoubt, ...]
    """What makes the photo of this face doubtful."""

    look: PictureLook | None = None
    """What kind of picture it is in; None where nobody asks."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FacesReport:
    """All faces of some photos."""

    photos: Mapping[str, UInt8Array]
    """The photos (H, W, 3) by name, in the order given."""

    faces: tuple[InspectedFace, ...]
    """Photo by photo, from left to right."""

    cosines: Float32Array
    """(N, N): how alike the recogniser finds each pair of faces."""

    def faces_of(self, photo: str) -> list[InspectedFace]:
        """The faces of one photo."""
        return [face for face in self.faces if face.photo == photo]

    def taken(self, photo: str) -> InspectedFace | None:
        """The face of one photo that is taken where none is named; None if it has none."""
        found = self.faces_of(photo)
        largest = largest_face([each.face for each in found]) if found else None
        return next((each for each in found if each.face is largest), None)

    def first_photograph(self) -> str | None:
        """The first photo whose face is in a photograph, where the reader knows drawings only."""
        for photo in self.photos:
            taken = self.taken(photo)
            if taken is not None and taken.look is not None and taken.look.kind is PictureKind.PHOTOGRAPH:
                return photo
        return None

    def most_alike(self, face: InspectedFace) -> tuple[InspectedFace, float] | None:
        """The other face that is most alike, with the cosine; None if there is no other."""
        if len(self.faces) < 2:
            return None
        index = self.faces.index(face)
        cosines = self.cosines[index].copy()
        cosines[index] = -np.inf
        other = int(cosines.argmax())
        return self.faces[other], float(cosines[other])

    def draw(self) -> UInt8Array:
        """Draws a row a photo: the photo with its faces marked, then the crops that the model's parts get."""
        rows = []
        for name, image in self.photos.items():
            found = self.faces_of(name)
            crops = [
                crop
                for face in found
                for crop in (
                    (f"#{face.number}, aligned", face.crop),
                    (f"#{face.number}, for recognition", face.recognition_crop),
                )
            ]
            taken = self.taken(name)
            index = 0 if taken is None else taken.number - 1
            rows.append(photo_row(name, image, [face.face for face in found], taken=index, crops=crops))
        return faces_sheet(rows)


@torch.inference_mode()
def inspect_faces(photos: Mapping[str, UInt8Array], reader: FaceReader) -> FacesReport:
    """Finds, aligns and compares every face of some RGB photos (H, W, 3)."""
    limits, sharpness_size = reader.photo_limits, reader.photo_limits.sharpness_size

    def look_at(photo: UInt8Array, face: Face) -> PictureLook | None:
        return None if reader.picture_kind is None else reader.picture_kind.look(photo, face.landmarks)

    found = [
        (name, number, face)
        for name, image in photos.items()
        for number, face in enumerate(from_left(without_flat(image, reader.detector.detect(image))), start=1)
    ]
    looks = [look_at(photos[name], face) for name, _, face in found]
    faces = tuple(
        InspectedFace(
            number=number,
            photo=name,
            face=face,
            crop=crop_ffhq(photos[name], face.landmarks, size=reader.canvas_crop_size),
            recognition_crop=reader.recogniser.align(photos[name], face.landmarks),
            doubts=(
                *(() if look is None else doubts_about(look)),
                *find_doubts(measure_photo(photos[name], face, sharpness_size=sharpness_size), limits),
            ),
            look=look,
        )
        for (name, number, face), look in zip(found, looks, strict=True)
    )
    cosines = np.zeros((len(faces), len(faces)), np.float32)
    if faces:
        embeds = reader.recogniser.embed(np.stack([face.recognition_crop for face in faces]))
        check_embeds(embeds)
        embeds = torch.nn.functional.normalize(embeds.float(), dim=-1)
        cosines = (embeds @ embeds.T).cpu().numpy()
    return FacesReport(photos=photos, faces=faces, cosines=cosines)
