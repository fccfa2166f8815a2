"""Face stacks: the networks that read people's photos, and the door to those of a model's `face_encoder/` folder.

| stack | photos of | kept as |
|---|---|---|
| `drawn` | the drawn world | `config.json` and weights, `drawn_face_stack.py` |
| `antelopev2` | people; the published model's | the published files, `antelope_face_stack.py` |

A model is conditioned by the recogniser and the image encoder that it was trained with. Who finds the faces of the
photos, and their landmarks, may be exchanged: `dlib` does it for either stack.
"""

import dataclasses
from pathlib import Path
from typing import Protocol

from ingredients.core.errors import ModelFolderError, UserInputError
from ingredients.core.protocols import FaceDetector, FaceRecogniser, ImageEncoder
from ingredients.faces.antelope_face_stack import load_antelope_face_stack
from ingredients.faces.dlib_faces import DlibFaceDetector
from ingredients.faces.drawn_face_stack import CONFIG_NAME, load_drawn_face_stack
from ingredients.faces.face_stack_names import ANTELOPE_FOLDER, FaceStackName
from ingredients.faces.facial_extractor import FacialExtractor
from ingredients.faces.photo_quality import PhotoLimits
from ingredients.faces.picture_kind import PictureKindClassifier


class FaceReader(Protocol):
    """Finds, aligns and tells apart the faces of photos."""

    @property
    def detector(self) -> FaceDetector:
        """Finds faces."""
        ...

    @property
    def recogniser(self) -> FaceRecogniser:
        """Embeds them."""
        ...

    @property
    def canvas_crop_size(self) -> int:
        """Side in pixels of the crops for the canvas."""
        ...

    @property
    def photo_limits(self) -> PhotoLimits:
        """From where on a photo is doubtful."""
        ...

    @property
    def picture_kind(self) -> PictureKindClassifier | None:
        """Tells the drawn world from photographs; None where photographs are welcome, or nobody can."""
        ...


class FaceStack(FaceReader, Protocol):
    """All that a model asks of photos."""

    @property
    def reads_photographs(self) -> bool:
        """Whether its networks know photographs; drawings otherwise."""
        ...

    @property
    def image_encoder(self) -> ImageEncoder:
        """Semantic embedding and hidden states."""
        ...

    def facial_extractor(self) -> FacialExtractor:
        """The paper's facial extractor on these networks."""
        ...

    def save(self, folder: Path) -> None:
        """Writes a `face_encoder/` folder from which `load_face_stack` makes the same stack."""
        ...


def load_face_stack(folder: str | Path, *, name: FaceStackName = "model") -> FaceStack:
    """Reads a `face_encoder/` folder, whichever stack it holds.

    Args:
        folder: the folder.
        name: `model`, or the stack that it holds, or `dlib` to have dlib find the faces of the photos.

    Raises:
        UserInputError: if another stack is named than the folder holds.
        ModelFolderError: if a part is missing or damaged, or a tensor does not fit.
        MissingDependencyError: if its networks need a library that is not installed.
    """
    folder = Path(folder)
    is_antelope = (folder / ANTELOPE_FOLDER).is_dir()
    if not is_antelope and not (folder / CONFIG_NAME).is_file() and any(folder.glob("*")):
        raise ModelFolderError(
            f"The folder {folder} holds no face stack: it has neither {CONFIG_NAME} nor {ANTELOPE_FOLDER}; copy it "
            "again."
        )
    held = "antelopev2" if is_antelope else "drawn"
    if name not in ("model", "dlib", held):
        raise UserInputError(
            f"The model of {folder} was trained with the face stack {held}, which {name} cannot stand in for; leave "
            "the face stack out, or choose dlib to have dlib find the faces."
        )
    if is_antelope:
        return load_antelope_face_stack(folder, detector="dlib" if name == "dlib" else None)
    stack = load_drawn_face_stack(folder)
    return dataclasses.replace(stack, photo_detector=DlibFaceDetector()) if name == "dlib" else stack
