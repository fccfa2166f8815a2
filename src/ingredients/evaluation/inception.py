"""InceptionV3's features of face regions, for FID (Heusel et al. 2017, arXiv 1706.08500).

The network is a file: the FID InceptionV3 of pytorch-fid up to the last pooling, exported to ONNX (docs/evaluation.md
says how). As there, pictures are brought to 299 pixels bilinearly without antialiasing and given in 0..1; the network
scales them to its own range.

Legend: B pictures, H/W pixels.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from ingredients.core.arrays import Float32Array, UInt8Array
from ingredients.core.errors import UserInputError
from ingredients.core.protocols import Face
from ingredients.evaluation.case_record import INCEPTION_DIM
from ingredients.faces.onnx_faces import OnnxNetwork

INPUT_SIZE = 299


class InceptionFeatures:
    """The network.

    Args:
        path: ONNX file: float32 RGB (B, 3, 299, 299) in 0..1 in, 2048 features out.

    Raises:
        UserInputError: if there is no such file, or it is another network.
        MissingDependencyError: without onnxruntime.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise UserInputError(f"The InceptionV3 network {path} does not exist; check the name and the folder.")
        self.network = OnnxNetwork(path, num_outputs=1)
        self.network.check_input_size(INPUT_SIZE)

    def embed(self, pictures: Sequence[UInt8Array]) -> Float32Array:
        """Features (B, 2048) of pictures (H, W, 3) of any size.

        Raises:
            UserInputError: if the network gives something else.
        """
        if not pictures:
            return np.zeros((0, INCEPTION_DIM), dtype=np.float32)
        pixel_values = np.concatenate([_to_input(picture) for picture in pictures])
        features = self.network.run_in_batches(pixel_values).reshape(len(pictures), -1)
        if features.shape[1] != INCEPTION_DIM:
            raise UserInputError(
                f"The network {self.network.path} gives {features.shape[1]} features instead of {INCEPTION_DIM} of "
                "InceptionV3's last pooling, so the distance would be no FID; export it as docs/evaluation.md says."
            )
        return features


def cut_face_region(picture: UInt8Array, face: Face) -> UInt8Array:
    """The box of a face, cut out of a picture (H, W, 3): at least one pixel, nothing beyond the picture."""
    height, width = picture.shape[:2]
    left, top, right, bottom = face.box.round().astype(int).tolist()
    left, top = min(max(left, 0), width - 1), min(max(top, 0), height - 1)
    return picture[top : max(bottom, top + 1), left : max(right, left + 1)]


def _to_input(picture: UInt8Array) -> Float32Array:
    pixels = torch.from_numpy(np.ascontiguousarray(np.moveaxis(picture, -1, 0))[None]).float() / 255
    resized = F.interpolate(pixels, size=(INPUT_SIZE, INPUT_SIZE), mode="bilinear", align_corners=False)
    return np.asarray(resized.numpy(), dtype=np.float32)
