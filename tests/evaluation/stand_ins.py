"""Exact face parts for tests: people are patches of one flat colour, so that every answer is known."""

import numpy as np
import torch

from ingredients.core.arrays import Float32Array, UInt8Array
from ingredients.core.protocols import Face
from ingredients.faces.network_settings import ActingJudgeConfig, AttributesJudgeConfig
from ingredients.faces.trait_judges import ActingJudge, ActingNetwork, AttributesJudge, AttributesNetwork
from ingredients.world.captions import EXPRESSIONS, ROLE_ACTIONS
from ingredients.world.identity import ATTRIBUTES

COLOURS = {
    "red": (255, 0, 0),
    "green": (0, 255, 0),
    "blue": (0, 0, 255),
}


class ColourPatchDetector:
    """Finds the bounding box of each column of coloured (not black) pixels."""

    def detect(self, image: UInt8Array) -> list[Face]:
        coloured = image.any(axis=-1)
        columns = np.flatnonzero(np.diff(np.concatenate([[0], coloured.any(axis=0).astype(int), [0]])))
        faces = []
        for left, right in columns.reshape(-1, 2).tolist():
            rows = np.flatnonzero(coloured[:, left:right].any(axis=1))
            faces.append(make_face(left, int(rows[0]), right, int(rows[-1]) + 1))
        return sorted(faces, key=lambda face: -face.area)


class MeanColourRecogniser:
    """Embeds a crop as its mean colour: patches of pure colours are orthogonal, mixtures lie between."""

    crop_size = 4
    embedding_dim = 3

    def align(self, image: UInt8Array, landmarks: Float32Array) -> UInt8Array:
        column, row = landmarks.mean(axis=0).round().astype(int)
        return np.ascontiguousarray(image[row - 2 : row + 2, column - 2 : column + 2])

    def embed(self, crops: UInt8Array) -> torch.Tensor:
        return torch.from_numpy(crops).float().mean(dim=(1, 2))


def make_face(left: float, top: float, right: float, bottom: float) -> Face:
    across, down = (right - left) / 4, (bottom - top) / 4
    middle, centre = (left + right) / 2, (top + bottom) / 2
    landmarks = [
        (middle - across, centre - down),
        (middle + across, centre - down),
        (middle, centre),
        (middle - across, centre + down),
        (middle + across, centre + down),
    ]
    return Face(
        box=np.array([left, top, right, bottom], dtype=np.float32),
        score=1.0,
        landmarks=np.array(landmarks, dtype=np.float32),
    )


def make_frames(num_frames: int, patches: dict[int, tuple[int, int, int]]) -> UInt8Array:
    """Black frames 24 high and 60 wide, with a patch 12 x 12 of each colour that begins at the given column."""
    frames = np.zeros((num_frames, 24, 60, 3), dtype=np.uint8)
    for left, colour in patches.items():
        frames[:, 6:18, left : left + 12] = colour
    return frames


def make_trait_judges() -> tuple[ActingJudge, AttributesJudge]:
    """The judges of what people do and look like, tiny and untrained."""
    torch.manual_seed(12)
    acting = ActingJudgeConfig(
        actions=tuple(ROLE_ACTIONS), expressions=tuple(EXPRESSIONS), crop_size=8, widths=(8,), dim=8
    )
    attributes = AttributesJudgeConfig(attributes=ATTRIBUTES, crop_size=8, widths=(8,), dim=8)
    return ActingJudge(ActingNetwork(acting)), AttributesJudge(AttributesNetwork(attributes))
