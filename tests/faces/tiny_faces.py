"""Tiny real networks, and a detector that says what it is told; every width is another number."""

import dataclasses

import numpy as np
import torch

from ingredients.core.arrays import UInt8Array
from ingredients.core.protocols import Face
from ingredients.faces.alignment import FFHQ_TEMPLATE
from ingredients.faces.detector import FaceHeatmapNetwork, HeatmapFaceDetector
from ingredients.faces.drawn_face_stack import DrawnFaceStack, DrawnFaceStackConfig
from ingredients.faces.image_encoder import SPECIAL_WORDS, DualEncoder, WordTokenizer, build_clip
from ingredients.faces.network_settings import DetectorConfig, ImageEncoderConfig, PictureKindConfig, RecogniserConfig
from ingredients.faces.picture_kind import PictureKindClassifier, PictureKindNetwork
from ingredients.faces.recogniser import ArcFaceRecogniser, ResidualFaceNetwork

WORDS = ("a", "beach", "on", "people", "two", "wave")
DETECTOR = DetectorConfig(widths=(4, 6, 8, 10, 12), head_width=6)
RECOGNISER = RecogniserConfig(crop_size=32, embedding_dim=11, widths=(4, 6, 8, 10))
IMAGE_ENCODER = ImageEncoderConfig(
    crop_size=24,
    patch_size=8,
    hidden_size=12,
    intermediate_size=20,
    num_layers=6,
    num_text_layers=1,
    num_attention_heads=3,
    projection_dim=7,
    max_text_length=9,
)

TINY_KIND = PictureKindConfig(crop_size=24, widths=(3, 4, 5, 6))
TINY_CLOSE_UPS = PictureKindConfig(crop_size=24, widths=(3, 4, 5, 6), close_ups=True)


class PlacedFaces:
    """A detector that finds given boxes (left, top, side), with landmarks as in the FFHQ template."""

    def __init__(self, *places: tuple[float, float, float]) -> None:
        self.places = places

    def detect(self, image: UInt8Array) -> list[Face]:
        del image
        faces = [
            Face(
                box=np.array([left, top, left + side, top + side], np.float32),
                score=0.9,
                landmarks=np.array(FFHQ_TEMPLATE, np.float32) * side + np.array([left, top], np.float32),
            )
            for left, top, side in self.places
        ]
        return sorted(faces, key=lambda face: face.area, reverse=True)


def tiny_recogniser() -> ArcFaceRecogniser:
    torch.manual_seed(1)
    return ArcFaceRecogniser(ResidualFaceNetwork(RECOGNISER), crop_size=32, embedding_dim=11)


def tiny_encoder() -> DualEncoder:
    torch.manual_seed(2)
    clip = build_clip(IMAGE_ENCODER, vocab_size=len(WORDS) + len(SPECIAL_WORDS))
    return DualEncoder(clip, WordTokenizer(WORDS, max_length=9), IMAGE_ENCODER)


def tiny_stack() -> DrawnFaceStack:
    torch.manual_seed(3)
    return DrawnFaceStack(
        config=DrawnFaceStackConfig(
            detector=DETECTOR, recogniser=RECOGNISER, canvas_crop_size=20, same_face_threshold=0.7
        ),
        detector=HeatmapFaceDetector(FaceHeatmapNetwork(DETECTOR), DETECTOR),
        recogniser=tiny_recogniser(),
        image_encoder=tiny_encoder(),
    )


def noise_photo(seed: int, height: int = 90, width: int = 70) -> UInt8Array:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def classifier_that_says(scores: tuple[float, float, float], **settings: float) -> PictureKindClassifier:
    """A tiny network whose head ignores what it sees; how flat a picture is counts only if it is asked for."""
    torch.manual_seed(4)
    network = PictureKindNetwork(TINY_KIND)
    torch.nn.init.zeros_(network.head.weight)
    with torch.no_grad():
        network.head.bias.copy_(torch.tensor(scores).log())
    return PictureKindClassifier(network, dataclasses.replace(TINY_KIND, **{"min_edge_share": 0.999} | settings))
