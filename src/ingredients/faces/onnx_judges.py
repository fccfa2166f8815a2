"""Recognisers for judging, from ONNX files that a researcher has: ArcFace, CurricularFace and FaceNet.

Each is fed what it was trained on: ArcFace and CurricularFace insightface's aligned crop of 112 pixels in -1..1,
FaceNet a crop of 160 pixels with "fixed image standardisation", (pixel - 127.5) / 128. FaceNet's own crops are the
boxes of MTCNN, stretched to a square; here the face is aligned by its landmarks to where such a box has them, so that
it does not matter who detects it.

Legend: H/W pixels, B crops, S side of a crop, D embedding.
"""

from pathlib import Path

import numpy as np
import torch

from ingredients.core.arrays import Float32Array, UInt8Array
from ingredients.core.errors import ModelFolderError
from ingredients.faces.alignment import ARCFACE_TEMPLATE, Template, align_face
from ingredients.faces.onnx_faces import OnnxNetwork

FACENET_TEMPLATE: Template = ((0.30, 0.35), (0.70, 0.35), (0.50, 0.57), (0.335, 0.74), (0.665, 0.74))
"""Landmarks in the square that has an MTCNN box's middle and area, in parts of its side."""

_MEAN, _FACENET_SCALE, _ARCFACE_SCALE = 127.5, 128.0, 127.5
_OUTSIDE = (0, 0, 0)
"""What both libraries show beyond the picture's edge."""


class _OnnxJudge:
    """What the recognisers share: a file whose only output is the embedding."""

    crop_size: int
    scale: float

    def __init__(self, path: Path) -> None:
        self.network = OnnxNetwork(path, num_outputs=1)
        self.network.check_input_size(self.crop_size)
        if self.network.width is None:
            raise ModelFolderError(
                f"The network {path} does not say how wide its embedding is; export it with a fixed width."
            )
        self.embedding_dim = self.network.width

    def embed(self, crops: UInt8Array) -> torch.Tensor:
        """Embeds crops (B, S, S, 3) as float32 (B, D), not normalised."""
        pixel_values = (np.moveaxis(crops, -1, 1).astype(np.float32) - _MEAN) / self.scale
        embeds = self.network.run_in_batches(np.ascontiguousarray(pixel_values))
        return torch.from_numpy(embeds.reshape(len(crops), self.embedding_dim))


class OnnxArcFaceJudge(_OnnxJudge):
    """A `FaceRecogniser` of `ingredients.core.protocols`: ArcFace, or CurricularFace, which takes the same crops.

    Raises:
        MissingDependencyError: without onnxruntime.
        ModelFolderError: if the file is damaged, or no such network.
    """

    crop_size = 112
    scale = _ARCFACE_SCALE

    def align(self, image: UInt8Array, landmarks: Float32Array) -> UInt8Array:
        """Cuts the face with landmarks (5, 2) out of an RGB image (H, W, 3), as a crop (S, S, 3)."""
        return align_face(image, landmarks, template=ARCFACE_TEMPLATE, size=self.crop_size, fill=_OUTSIDE)


class OnnxFaceNetJudge(_OnnxJudge):
    """A `FaceRecogniser` of `ingredients.core.protocols`: FaceNet; arguments and errors as `OnnxArcFaceJudge`."""

    crop_size = 160
    scale = _FACENET_SCALE

    def align(self, image: UInt8Array, landmarks: Float32Array) -> UInt8Array:
        """Cuts the face with landmarks (5, 2) out of an RGB image (H, W, 3), as a crop (S, S, 3)."""
        return align_face(image, landmarks, template=FACENET_TEMPLATE, size=self.crop_size, fill=_OUTSIDE)
