"""Faces of photographs by dlib: works offline, on a processor, and its weights are in the public domain.

Detector: King's max-margin detector on histograms of gradients; landmarks: the 68 points of Kazemi and Sullivan 2014,
of which five are kept; recogniser: dlib's residual network, 128 wide, trained so that photos of one person lie within
0.6 of each other. No model is conditioned by that recogniser: it compares faces for `ingredients faces`, and judges
the videos of models that come without a judge. The detector may find the faces for any model.

Legend: H/W pixels, B crops, S side of a crop, D embedding.
"""

import dataclasses
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ingredients.core.arrays import Float32Array, UInt8Array
from ingredients.core.errors import MissingDependencyError
from ingredients.core.optional_dependencies import import_optional
from ingredients.core.protocols import Face
from ingredients.faces.alignment import Template, align_face
from ingredients.faces.photo_quality import PHOTOGRAPH_LIMITS, PhotoLimits

_MODELS = "face_recognition_models"
_LANDMARKS_NAME = "shape_predictor_68_face_landmarks.dat"
_RECOGNISER_NAME = "dlib_face_recognition_resnet_model_v1.dat"

_LANDMARKS = (range(36, 42), range(42, 48), (30,), (48,), (54,))
"""Which of the 68 points are the left eye, the right eye, the nose tip and the corners of the mouth."""

_UPSAMPLING = 1
"""How often a photo is doubled before detection: once finds faces from about 40 pixels on."""

_LOWEST_MARGIN = 0.2
"""Below it things that are no faces turn up: a badge on a suit has 0.12, the face above it 1.16."""

SAME_PERSON_DISTANCE = 0.6
"""dlib's own limit: descriptors nearer than this are taken for one person's."""

_CHIP_SIZE, _CHIP_PADDING = 150, 0.25
_MEAN_FACE: Template = (
    (0.22549, 0.21599),
    (0.75476, 0.21599),
    (0.49013, 0.51562),
    (0.25415, 0.78023),
    (0.72610, 0.78023),
)
"""The five landmarks in dlib's mean face, in parts of its side."""


def _padded(part: float) -> float:
    return (part + _CHIP_PADDING) / (1 + 2 * _CHIP_PADDING)


CHIP_TEMPLATE: Template = tuple((_padded(x), _padded(y)) for x, y in _MEAN_FACE)
"""Landmarks of the crop that the recogniser was trained on, in parts of its side."""


class DlibFaceDetector:
    """A `FaceDetector` of `ingredients.core.protocols`.

    Raises:
        MissingDependencyError: without dlib or its models.
    """

    def __init__(self) -> None:
        self._dlib: Any = import_optional("dlib", extra="dlib")
        self._detector = self._dlib.get_frontal_face_detector()
        self._predictor = self._dlib.shape_predictor(str(_model_file(_LANDMARKS_NAME)))

    def detect(self, image: UInt8Array) -> list[Face]:
        """Finds the faces in one RGB image (H, W, 3), the largest first."""
        image = np.ascontiguousarray(image)
        rectangles, scores, _ = self._detector.run(image, _UPSAMPLING, _LOWEST_MARGIN)
        faces = []
        for rectangle, score in zip(rectangles, scores, strict=True):
            points = self._outline(image, rectangle)
            faces.append(
                Face(
                    box=np.array(
                        [rectangle.left(), rectangle.top(), rectangle.right() + 1, rectangle.bottom() + 1],
                        dtype=np.float32,
                    ),
                    score=float(1 / (1 + np.exp(-score))),  # a margin, made a confidence
                    landmarks=np.stack([points[list(group)].mean(axis=0) for group in _LANDMARKS]),
                )
            )
        return sorted(faces, key=lambda face: -face.area)

    def outline(self, image: UInt8Array, face: Face) -> Float32Array:
        """The 68 points (68, 2) of a face that was found in an RGB image (H, W, 3).

        They are those of the iBUG 300-W set: 0 to 16 the jaw, to 26 the brows, to 35 the nose, to 47 the eyes, to 67
        the lips.
        """
        left, top, right, bottom = (round(edge) for edge in face.box.tolist())
        rectangle = self._dlib.rectangle(left, top, right - 1, bottom - 1)
        return self._outline(np.ascontiguousarray(image), rectangle)

    def _outline(self, image: UInt8Array, rectangle: Any) -> Float32Array:
        shape = self._predictor(image, rectangle)
        return np.array([(point.x, point.y) for point in shape.parts()], dtype=np.float32) + np.float32(0.5)


class DlibFaceRecogniser:
    """A `FaceRecogniser` of `ingredients.core.protocols`; raises as `DlibFaceDetector`."""

    crop_size = _CHIP_SIZE
    embedding_dim = 128

    def __init__(self) -> None:
        self._dlib: Any = import_optional("dlib", extra="dlib")
        self._network = self._dlib.face_recognition_model_v1(str(_model_file(_RECOGNISER_NAME)))

    def align(self, image: UInt8Array, landmarks: Float32Array) -> UInt8Array:
        """Cuts the face with landmarks (5, 2) out of an RGB image (H, W, 3), as a crop (S, S, 3)."""
        return align_face(image, landmarks, template=CHIP_TEMPLATE, size=_CHIP_SIZE)

    def embed(self, crops: UInt8Array) -> torch.Tensor:
        """Embeds crops (B, S, S, 3) as float32 (B, D), not normalised."""
        embeds = [np.array(self._network.compute_face_descriptor(np.ascontiguousarray(crop))) for crop in crops]
        return torch.from_numpy(np.array(embeds, dtype=np.float32).reshape(len(crops), self.embedding_dim))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DlibFaceReader:
    """Finds, aligns and tells apart the faces of photographs: a `FaceReader`."""

    detector: DlibFaceDetector = dataclasses.field(default_factory=DlibFaceDetector)
    """Finds faces."""

    recogniser: DlibFaceRecogniser = dataclasses.field(default_factory=DlibFaceRecogniser)
    """Embeds them."""

    canvas_crop_size: int = 512
    """Side in pixels of the crops for the canvas."""

    photo_limits: PhotoLimits = PHOTOGRAPH_LIMITS
    """From where on a photo is doubtful."""

    picture_kind: None = None
    """Nobody asks: dlib is made for photographs."""


def _model_file(name: str) -> Path:
    """A file of the models' package, found without importing it: that would need a part of setuptools that is gone."""
    spec = importlib.util.find_spec(_MODELS)
    if spec is None or not spec.submodule_search_locations:
        raise MissingDependencyError('dlib\'s models are not installed; run: pip install "ingredients[dlib]"')
    return Path(spec.submodule_search_locations[0]) / "models" / name
