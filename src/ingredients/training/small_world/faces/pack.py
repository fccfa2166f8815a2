"""From training runs to the `face_encoder/` and `judge/` folders of a model."""

from pathlib import Path

from ingredients.core.config import load_config
from ingredients.core.errors import ModelFolderError
from ingredients.faces.detector import HeatmapFaceDetector
from ingredients.faces.drawn_face_stack import (
    DrawnFaceStack,
    DrawnFaceStackConfig,
    build_judge,
    build_recogniser,
    save_judge,
    save_judge_detector,
)
from ingredients.faces.image_encoder import load_dual_encoder
from ingredients.faces.judge_recogniser import DepthwiseFaceNetwork
from ingredients.faces.recogniser import ArcFaceRecogniser
from ingredients.training.small_world.faces import detector, image_encoder, picture_kind, recognition

FACE_ENCODER_FOLDER, JUDGE_FOLDER = "face_encoder", "judge"


def load_trained_face_stack(output: Path) -> DrawnFaceStack:
    """Detector, recogniser, image encoder, and what tells drawings from photographs, from the runs in `output`.

    Raises:
        ModelFolderError: if one of them is not trained yet.
    """
    _require(output, detector.PART, recognition.RECOGNISER_PART, image_encoder.PART, picture_kind.PART)
    detector_config = load_config(detector.DetectorTrainingConfig, output / detector.PART / detector.CONFIG_NAME)
    recogniser_folder = output / recognition.RECOGNISER_PART
    recogniser_config = load_config(
        recognition.RecogniserTrainingConfig, recogniser_folder / recognition.CONFIG_NAME
    ).recogniser
    found: HeatmapFaceDetector = detector.load_trained_detector(output)
    return DrawnFaceStack(
        config=DrawnFaceStackConfig(detector=detector_config.detector, recogniser=recogniser_config),
        detector=found,
        recogniser=build_recogniser(recogniser_config, recogniser_folder / recognition.RECOGNISER_WEIGHTS_NAME),
        image_encoder=load_dual_encoder(output / image_encoder.PART),
        picture_kind=picture_kind.load_trained_picture_kind(output),
    )


def load_trained_judge(output: Path) -> ArcFaceRecogniser:
    """The judge from its run in `output`.

    Raises:
        ModelFolderError: if it is not trained yet.
    """
    _require(output, recognition.JUDGE_PART)
    folder = output / recognition.JUDGE_PART
    config = load_config(recognition.JudgeTrainingConfig, folder / recognition.CONFIG_NAME).judge
    return build_judge(config, folder / recognition.JUDGE_WEIGHTS_NAME)


def pack_face_networks(output: Path, model_folder: Path) -> None:
    """Writes `face_encoder/` and `judge/` into a model folder from the runs in `output`, in half precision.

    A judge without a detector of its own finds faces by the one that conditions the generator.

    Raises:
        ModelFolderError: if a part is not trained yet.
    """
    load_trained_face_stack(output).save(model_folder / FACE_ENCODER_FOLDER)
    judge = load_trained_judge(output)
    assert isinstance(judge.network, DepthwiseFaceNetwork)
    config = load_config(
        recognition.JudgeTrainingConfig, output / recognition.JUDGE_PART / recognition.CONFIG_NAME
    ).judge
    save_judge(judge.network, config, model_folder / JUDGE_FOLDER)
    if (output / detector.JUDGE_PART / detector.WEIGHTS_NAME).is_file():
        own = detector.load_trained_detector(output, part=detector.JUDGE_PART)
        save_judge_detector(own, model_folder / JUDGE_FOLDER)


def _require(output: Path, *parts: str) -> None:
    for part in parts:
        if not (output / part / "metrics.json").is_file():
            raise ModelFolderError(
                f"The part {part} is not trained in {output}; run: ingredients world train {part} --output {output}"
            )
