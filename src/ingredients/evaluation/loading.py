"""The judge that ships with a model, from the model's folder."""

from pathlib import Path

from ingredients.core.errors import ModelFolderError, UserInputError
from ingredients.core.protocols import FaceDetector
from ingredients.evaluation.calibration import JudgeCalibration, load_calibration
from ingredients.evaluation.judge import Judge
from ingredients.evaluation.text_encoders import DualTextEncoder, TextImageEncoder
from ingredients.faces.drawn_face_stack import load_judge, load_judge_detector, load_picture_kind
from ingredients.faces.face_stack import load_face_stack
from ingredients.faces.image_encoder import DualEncoder

JUDGE_FOLDER = "judge"
CALIBRATION_NAME = "calibration.json"
_FACE_ENCODER_FOLDER = "face_encoder"


def load_model_judge(model_folder: str | Path, *, detector: FaceDetector | None = None) -> Judge:
    """Loads the judge of a model folder, with its scale.

    Args:
        model_folder: folder of the model, which holds `judge/`.
        detector: finds the faces; without one, the judge's own, as `load_model_detector` finds it.

    Raises:
        ModelFolderError: if a part is missing or damaged.
    """
    calibration = load_model_calibration(model_folder)
    return Judge(
        detector=detector or load_model_detector(model_folder),
        recogniser=load_judge(Path(model_folder) / JUDGE_FOLDER),
        picture_kind=load_picture_kind(Path(model_folder) / _FACE_ENCODER_FOLDER),
        scale=calibration.scale,
        one_photo_scale=calibration.one_photo_scale,
    )


def load_uncalibrated_judge(model_folder: str | Path, *, detector: FaceDetector | None = None) -> Judge:
    """As `load_model_judge`, without the scale: for `calibrate_judge` to find it.

    Raises:
        ModelFolderError: if a part is missing or damaged.
    """
    return Judge(
        detector=detector or load_model_detector(model_folder),
        recogniser=load_judge(Path(model_folder) / JUDGE_FOLDER),
    )


def load_model_detector(model_folder: str | Path) -> FaceDetector:
    """Loads the detector of the judge of a model folder; where it has none of its own, the one that aligns the photos.

    Raises:
        ModelFolderError: if a part is missing or damaged.
    """
    own = load_judge_detector(Path(model_folder) / JUDGE_FOLDER)
    return own or load_face_stack(Path(model_folder) / _FACE_ENCODER_FOLDER).detector


def has_own_detector(model_folder: str | Path) -> bool:
    """Whether the judge of a model folder finds faces by a detector that conditions nothing.

    Raises:
        ModelFolderError: if it is damaged.
    """
    return load_judge_detector(Path(model_folder) / JUDGE_FOLDER) is not None


def load_model_text_encoder(model_folder: str | Path) -> TextImageEncoder | None:
    """Loads the dual encoder of a model folder; None if its image encoder has no text tower.

    Raises:
        ModelFolderError: if a part is missing or damaged.
    """
    encoder = load_face_stack(Path(model_folder) / _FACE_ENCODER_FOLDER).image_encoder
    return DualTextEncoder(encoder) if isinstance(encoder, DualEncoder) else None


def load_model_calibration(model_folder: str | Path) -> JudgeCalibration:
    """Loads what was measured about the judge of a model folder.

    Raises:
        ModelFolderError: if it is missing or damaged.
    """
    path = calibration_path(model_folder)
    if not path.is_file():
        raise ModelFolderError(
            f"The model folder {model_folder} lacks {JUDGE_FOLDER}/{CALIBRATION_NAME}, the judge's scale; take it "
            "from a complete copy of the model."
        )
    try:
        return load_calibration(path)
    except (UserInputError, ValueError) as error:
        raise ModelFolderError(f"The file {path} is no calibration of a judge ({error}); copy it again.") from error


def calibration_path(model_folder: str | Path) -> Path:
    """Where a model folder keeps the judge's scale."""
    return Path(model_folder) / JUDGE_FOLDER / CALIBRATION_NAME
