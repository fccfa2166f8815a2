"""Training of the face networks: detector, recogniser, dual encoder, judge."""

from ingredients.training.small_world.faces.detector import (
    DetectorTrainingConfig,
    load_trained_detector,
    train_detector,
)
from ingredients.training.small_world.faces.image_encoder import ImageEncoderTrainingConfig, train_image_encoder
from ingredients.training.small_world.faces.pack import load_trained_face_stack, load_trained_judge, pack_face_networks
from ingredients.training.small_world.faces.picture_kind import (
    PictureKindTrainingConfig,
    load_trained_picture_kind,
    train_picture_kind,
)
from ingredients.training.small_world.faces.recognition import (
    JudgeTrainingConfig,
    RecogniserTrainingConfig,
    train_judge,
    train_recogniser,
)

__all__ = [
    "DetectorTrainingConfig",
    "ImageEncoderTrainingConfig",
    "JudgeTrainingConfig",
    "PictureKindTrainingConfig",
    "RecogniserTrainingConfig",
    "load_trained_detector",
    "load_trained_face_stack",
    "load_trained_judge",
    "load_trained_picture_kind",
    "pack_face_networks",
    "train_detector",
    "train_image_encoder",
    "train_judge",
    "train_picture_kind",
    "train_recogniser",
]
