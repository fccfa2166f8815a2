"""The published model's face stack: antelopev2's detector and recogniser, and the EVA-CLIP image tower.

face_encoder/
EVA02_CLIP_L_336_psz14_s6B.pt              or the same as .safetensors
models/antelopev2/glintr100.onnx
models/antelopev2/scrfd_10g_bnkps.onnx     not needed where dlib finds the faces
config.json                                optional: what differs from the published settings

Further files of the published folder (RetinaFace, face parsing, insightface's other networks) are not read. The
weights of antelopev2 are for non-commercial use only.
"""

import dataclasses
import shutil
from pathlib import Path
from typing import Literal

from ingredients.core.config import save_config
from ingredients.core.model_files import read_model_record
from ingredients.faces.dlib_faces import DlibFaceDetector
from ingredients.faces.eva_clip import EvaClipConfig, EvaClipImageEncoder, load_eva_clip
from ingredients.faces.face_stack_names import ANTELOPE_FOLDER, DETECTOR_NAME, EVA_NAME, EVA_NAMES, RECOGNISER_NAME
from ingredients.faces.facial_extractor import PHOTOGRAPH_REMEDY, FacialExtractor
from ingredients.faces.network_settings import ScaleSource
from ingredients.faces.onnx_faces import OnnxFaceRecogniser, RecognitionInput, ScrfdFaceDetector
from ingredients.faces.photo_quality import PHOTOGRAPH_LIMITS, PhotoLimits

_CONFIG_NAME = "config.json"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AntelopeFaceStackConfig:
    """The published settings; `face_encoder/config.json` may change them."""

    detector: Literal["scrfd", "dlib"] = "scrfd"
    """Who finds faces and landmarks: antelopev2's detector, or dlib's, whose weights are free for any use."""

    image_encoder: EvaClipConfig = dataclasses.field(default_factory=EvaClipConfig)
    """The image tower's sizes."""

    recognition_input: RecognitionInput = "published"
    """Which crop is recognised: the wide FFHQ crop, as published, or the tight one that the network was trained on."""

    recognition_dim: int = 512
    """Width of the recognition embedding."""

    detector_input_size: int = 640
    """Pixels to which a photo's longer side is brought for detection by SCRFD."""

    canvas_crop_size: int = 512
    """Side in pixels of the crops for the canvas."""

    scale_source: ScaleSource = "clip"
    """Where the multi-scale features come from."""

    same_face_threshold: float = 0.9
    """Cosine from which two names are one face: high, for no photographs were at hand to measure it on."""

    different_face_threshold: float | None = None
    """Cosine below which two photos of one name may show two people; None, not looked at, for the same reason."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AntelopeFaceStack:
    """The published face networks, ready for use: a `FaceStack`."""

    config: AntelopeFaceStackConfig
    """How they are used."""

    folder: Path
    """Where they were read from: ONNX files cannot be written from memory."""

    detector: ScrfdFaceDetector | DlibFaceDetector
    """Finds faces."""

    recogniser: OnnxFaceRecogniser
    """Embeds them."""

    image_encoder: EvaClipImageEncoder
    """Semantic embedding and hidden states."""

    @property
    def picture_kind(self) -> None:
        """Nobody asks: it is made for photographs."""
        return None

    @property
    def reads_photographs(self) -> bool:
        """Its networks know photographs."""
        return True

    @property
    def canvas_crop_size(self) -> int:
        """Side in pixels of the crops for the canvas."""
        return self.config.canvas_crop_size

    @property
    def photo_limits(self) -> PhotoLimits:
        """From where on a photo is doubtful."""
        return PHOTOGRAPH_LIMITS

    def facial_extractor(self) -> FacialExtractor:
        """The paper's facial extractor on these networks."""
        return FacialExtractor(
            self.detector,
            self.recogniser,
            self.image_encoder,
            canvas_crop_size=self.config.canvas_crop_size,
            scale_source=self.config.scale_source,
            same_face_threshold=self.config.same_face_threshold,
            different_face_threshold=self.config.different_face_threshold,
            no_face_remedy=PHOTOGRAPH_REMEDY,
            photo_limits=self.photo_limits,
        )

    def save(self, folder: Path) -> None:
        """Copies the files that were read into a `face_encoder/` folder, and writes the settings beside them."""
        networks = [ANTELOPE_FOLDER / RECOGNISER_NAME]
        if self.config.detector == "scrfd":
            networks.append(ANTELOPE_FOLDER / DETECTOR_NAME)
        for name in [*networks, Path(_find_eva(self.folder).name)]:
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.resolve() != (self.folder / name).resolve():
                shutil.copyfile(self.folder / name, target)
        save_config(self.config, folder / _CONFIG_NAME)


def load_antelope_face_stack(folder: Path, *, detector: Literal["scrfd", "dlib"] | None = None) -> AntelopeFaceStack:
    """Reads a `face_encoder/` folder of the published layout; pickles are read as tensors only.

    Args:
        folder: the folder.
        detector: who finds faces; None leaves it to the folder's settings.

    Raises:
        ModelFolderError: if a file is missing or damaged, or a tensor does not fit.
        MissingDependencyError: without onnxruntime, or without dlib where it finds the faces.
    """
    config = AntelopeFaceStackConfig()
    if (folder / _CONFIG_NAME).is_file():
        config = read_model_record(AntelopeFaceStackConfig, folder / _CONFIG_NAME, what="an antelopev2 face stack")
    if detector is not None:
        config = dataclasses.replace(config, detector=detector)
    return AntelopeFaceStack(
        config=config,
        folder=folder,
        detector=_load_detector(folder, config),
        recogniser=OnnxFaceRecogniser(
            folder / ANTELOPE_FOLDER / RECOGNISER_NAME,
            recognition_input=config.recognition_input,
            embedding_dim=config.recognition_dim,
        ),
        image_encoder=load_eva_clip(_find_eva(folder), config.image_encoder),
    )


def _load_detector(folder: Path, config: AntelopeFaceStackConfig) -> ScrfdFaceDetector | DlibFaceDetector:
    if config.detector == "dlib":
        return DlibFaceDetector()
    return ScrfdFaceDetector(folder / ANTELOPE_FOLDER / DETECTOR_NAME, input_size=config.detector_input_size)


def _find_eva(folder: Path) -> Path:
    candidates = [folder / name for name in EVA_NAMES]
    return next((path for path in candidates if path.is_file()), folder / f"{EVA_NAME}.pt")
