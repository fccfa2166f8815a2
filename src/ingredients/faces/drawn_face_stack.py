"""The small model's face stack, the `face_encoder/` folder that it is kept in, and the `judge/` folder.

face_encoder/
config.json                how the parts are built and joined
detector.safetensors
recogniser.safetensors
image_encoder/             config.json, vocabulary.json, model.safetensors
picture_kind/              config.json, model.safetensors, and where a second network looks from close up
                           close_ups.json, close_ups.safetensors; nothing in it changes what a face's features are
judge/
config.json
judge.safetensors
detector.json              only where the judge has a detector of its own
detector.safetensors
"""

import dataclasses
from pathlib import Path
from typing import TypeVar

from ingredients.core.config import save_config
from ingredients.core.model_files import read_model_record
from ingredients.core.protocols import FaceDetector
from ingredients.faces.detector import FaceHeatmapNetwork, HeatmapFaceDetector
from ingredients.faces.facial_extractor import (
    DEFAULT_DIFFERENT_FACE_THRESHOLD,
    DEFAULT_SAME_FACE_THRESHOLD,
    DRAWN_FACES_ONLY,
    PHOTOGRAPH_REMEDY,
    FacialExtractor,
)
from ingredients.faces.image_encoder import DualEncoder, load_dual_encoder, save_dual_encoder
from ingredients.faces.judge_recogniser import DepthwiseFaceNetwork
from ingredients.faces.network_settings import (
    DetectorConfig,
    JudgeConfig,
    PictureKindConfig,
    RecogniserConfig,
    ScaleSource,
)
from ingredients.faces.photo_quality import DRAWN_LIMITS, PHOTOGRAPH_LIMITS, PhotoLimits
from ingredients.faces.picture_kind import WEIGHTS_NAME, PictureKindClassifier, build_picture_kind
from ingredients.faces.recogniser import ArcFaceRecogniser, ResidualFaceNetwork
from ingredients.faces.weights import load_weights, save_weights

IMAGE_ENCODER_FOLDER = "image_encoder"
PICTURE_KIND_FOLDER = "picture_kind"
CLOSE_UPS_NAME = "close_ups.safetensors"
CONFIG_NAME = "config.json"
_DETECTOR_NAME, _RECOGNISER_NAME, _JUDGE_NAME = "detector.safetensors", "recogniser.safetensors", "judge.safetensors"
_JUDGE_DETECTOR_CONFIG_NAME = "detector.json"
_CLOSE_UPS_CONFIG_NAME = "close_ups.json"

_ConfigT = TypeVar("_ConfigT", "DrawnFaceStackConfig", JudgeConfig, DetectorConfig, PictureKindConfig)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DrawnFaceStackConfig:
    """How the small model's face stack is built; `face_encoder/config.json`."""

    detector: DetectorConfig = dataclasses.field(default_factory=DetectorConfig)
    """The detector's network and thresholds."""

    recogniser: RecogniserConfig = dataclasses.field(default_factory=RecogniserConfig)
    """The recogniser's network."""

    canvas_crop_size: int = 64
    """Side in pixels of the crops for the canvas."""

    scale_source: ScaleSource = "clip"
    """Where the multi-scale features come from."""

    same_face_threshold: float = DEFAULT_SAME_FACE_THRESHOLD
    """Cosine of recognition embeddings from which two names are one face."""

    different_face_threshold: float | None = DEFAULT_DIFFERENT_FACE_THRESHOLD
    """Cosine below which two photos of one name may show two people; None: not looked at."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DrawnFaceStack:
    """The small model's face networks, ready for use: a `FaceStack`."""

    config: DrawnFaceStackConfig
    """How they are built and joined."""

    detector: HeatmapFaceDetector
    """Finds faces."""

    recogniser: ArcFaceRecogniser
    """Embeds them."""

    image_encoder: DualEncoder
    """Semantic embedding, hidden states, and the text tower."""

    picture_kind: PictureKindClassifier | None = None
    """Tells the drawn world from photographs and other drawings; None where nobody can."""

    photo_detector: FaceDetector | None = None
    """Finds the faces of photographs; None leaves all photos to `detector`, which alone is kept with the model."""

    @property
    def reads_photographs(self) -> bool:
        """Its networks know drawings."""
        return False

    def facial_extractor(self) -> FacialExtractor:
        """The paper's facial extractor on these networks."""
        return FacialExtractor(
            self.photo_detector or self.detector,
            self.recogniser,
            self.image_encoder,
            canvas_crop_size=self.config.canvas_crop_size,
            scale_source=self.config.scale_source,
            same_face_threshold=self.config.same_face_threshold,
            different_face_threshold=self.config.different_face_threshold,
            no_face_remedy=DRAWN_FACES_ONLY if self.photo_detector is None else PHOTOGRAPH_REMEDY,
            photo_limits=self.photo_limits,
            picture_kind=self.picture_kind,
        )

    @property
    def canvas_crop_size(self) -> int:
        """Side in pixels of the crops for the canvas."""
        return self.config.canvas_crop_size

    @property
    def photo_limits(self) -> PhotoLimits:
        """From where on a photo is doubtful."""
        return DRAWN_LIMITS if self.photo_detector is None else PHOTOGRAPH_LIMITS

    def save(self, folder: Path) -> None:
        """Writes a `face_encoder/` folder, weights in half precision."""
        folder.mkdir(parents=True, exist_ok=True)
        save_config(self.config, folder / CONFIG_NAME)
        save_weights(self.detector.network, folder / _DETECTOR_NAME)
        save_weights(self.recogniser.network, folder / _RECOGNISER_NAME)
        save_dual_encoder(self.image_encoder, folder / IMAGE_ENCODER_FOLDER)
        if self.picture_kind is not None:
            (folder / PICTURE_KIND_FOLDER).mkdir(exist_ok=True)
            save_config(self.picture_kind.config, folder / PICTURE_KIND_FOLDER / CONFIG_NAME)
            save_weights(self.picture_kind.network, folder / PICTURE_KIND_FOLDER / WEIGHTS_NAME)
            if (second := self.picture_kind.second) is not None:
                save_config(second.config, folder / PICTURE_KIND_FOLDER / _CLOSE_UPS_CONFIG_NAME)
                save_weights(second.network, folder / PICTURE_KIND_FOLDER / CLOSE_UPS_NAME)


def build_detector(config: DetectorConfig, weights: Path) -> HeatmapFaceDetector:
    """Makes the detector from its weights; raises `ModelFolderError` as `load_weights` does."""
    network = FaceHeatmapNetwork(config)
    load_weights(network, weights)
    return HeatmapFaceDetector(network, config)


def build_recogniser(config: RecogniserConfig, weights: Path) -> ArcFaceRecogniser:
    """Makes the recogniser from its weights; raises `ModelFolderError` as `load_weights` does."""
    network = ResidualFaceNetwork(config)
    load_weights(network, weights)
    return ArcFaceRecogniser(network, crop_size=config.crop_size, embedding_dim=config.embedding_dim)


def load_drawn_face_stack(folder: str | Path) -> DrawnFaceStack:
    """Reads a `face_encoder/` folder.

    Raises:
        ModelFolderError: if a part is missing or damaged, or a tensor does not fit.
    """
    folder = Path(folder)
    config = _read_config(DrawnFaceStackConfig, folder)
    return DrawnFaceStack(
        config=config,
        detector=build_detector(config.detector, folder / _DETECTOR_NAME),
        recogniser=build_recogniser(config.recogniser, folder / _RECOGNISER_NAME),
        image_encoder=load_dual_encoder(folder / IMAGE_ENCODER_FOLDER),
        picture_kind=load_picture_kind(folder),
    )


def load_picture_kind(face_encoder: Path) -> PictureKindClassifier | None:
    """Reads what tells drawings from photographs out of a `face_encoder/` folder; None if it has nothing of the kind.

    Raises:
        ModelFolderError: if it is damaged, or one of the second network's two files is missing.
    """
    folder = face_encoder / PICTURE_KIND_FOLDER
    if not folder.is_dir():
        return None
    second = None
    if (folder / _CLOSE_UPS_CONFIG_NAME).exists() or (folder / CLOSE_UPS_NAME).exists():
        config = _read_config(PictureKindConfig, folder, _CLOSE_UPS_CONFIG_NAME)
        second = build_picture_kind(config, folder / CLOSE_UPS_NAME)
    return build_picture_kind(_read_config(PictureKindConfig, folder), folder / WEIGHTS_NAME, second)


def build_judge(config: JudgeConfig, weights: Path) -> ArcFaceRecogniser:
    """Makes the judge from its weights; raises `ModelFolderError` as `load_weights` does."""
    network = DepthwiseFaceNetwork(config)
    load_weights(network, weights)
    return ArcFaceRecogniser(network, crop_size=config.crop_size, embedding_dim=config.embedding_dim)


def load_judge(folder: str | Path) -> ArcFaceRecogniser:
    """Reads a `judge/` folder: the recogniser that measures videos and never conditions them.

    Raises:
        ModelFolderError: if a part is missing or damaged, or a tensor does not fit.
    """
    folder = Path(folder)
    return build_judge(_read_config(JudgeConfig, folder), folder / _JUDGE_NAME)


def save_judge(network: DepthwiseFaceNetwork, config: JudgeConfig, folder: str | Path) -> None:
    """Writes a `judge/` folder, weights in half precision."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    save_config(config, folder / CONFIG_NAME)
    save_weights(network, folder / _JUDGE_NAME)


def load_judge_detector(folder: str | Path) -> HeatmapFaceDetector | None:
    """Reads the detector of a `judge/` folder, which only measures; None if the judge has none of its own.

    Raises:
        ModelFolderError: if it is damaged, or one of its two files is missing.
    """
    folder = Path(folder)
    if not (folder / _JUDGE_DETECTOR_CONFIG_NAME).exists() and not (folder / _DETECTOR_NAME).exists():
        return None
    config = _read_config(DetectorConfig, folder, _JUDGE_DETECTOR_CONFIG_NAME)
    return build_detector(config, folder / _DETECTOR_NAME)


def save_judge_detector(detector: HeatmapFaceDetector, folder: str | Path) -> None:
    """Writes the detector of a `judge/` folder, weights in half precision."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    save_config(detector.config, folder / _JUDGE_DETECTOR_CONFIG_NAME)
    save_weights(detector.network, folder / _DETECTOR_NAME)


def _read_config(config_type: type[_ConfigT], folder: Path, name: str = CONFIG_NAME) -> _ConfigT:
    return read_model_record(config_type, folder / name, what="a face stack of this version")
