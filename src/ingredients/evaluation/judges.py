"""Who judges: the face recogniser, the detector before it, CLIP and InceptionV3, chosen by name and file.

| judge | compares | the same person above |
|---|---|---|
| `model` | the recogniser that ships with a model, cosine | the calibration's midpoint |
| `dlib` | dlib's descriptors, 1 - distance | 0.4, dlib's own limit of 0.6 |
| `arcface:FILE.onnx` | cosine | 0.32 |
| `curricularface:FILE.onnx` | cosine | 0.32 |
| `facenet:FILE.onnx` | cosine | 0.6 |

The limits of the ONNX files are those that deepface uses to verify faces with ArcFace and FaceNet; CurricularFace is
trained with a margin like ArcFace's. They are replaced as soon as the judge is calibrated.
"""

import dataclasses
from pathlib import Path

from ingredients.core.errors import ModelFolderError, UserInputError
from ingredients.core.protocols import FaceDetector, FaceRecogniser
from ingredients.evaluation.calibration import JudgeCalibration, load_calibration
from ingredients.evaluation.evaluation_folder import judge_fingerprint
from ingredients.evaluation.inception import InceptionFeatures
from ingredients.evaluation.judge import Judge
from ingredients.evaluation.names import (
    ARCFACE,
    CURRICULARFACE,
    DLIB,
    FACENET,
    MODEL,
    parse_detector,
    parse_judge,
)
from ingredients.evaluation.text_encoders import ClipTextEncoder, DualTextEncoder, TextImageEncoder
from ingredients.faces.dlib_faces import SAME_PERSON_DISTANCE, DlibFaceDetector, DlibFaceRecogniser
from ingredients.faces.drawn_face_stack import load_judge, load_judge_detector, load_picture_kind
from ingredients.faces.face_stack import load_face_stack
from ingredients.faces.image_encoder import DualEncoder
from ingredients.faces.onnx_faces import ScrfdFaceDetector
from ingredients.faces.onnx_judges import OnnxArcFaceJudge, OnnxFaceNetJudge
from ingredients.faces.trait_judges import (
    ACTING_FILES,
    ATTRIBUTES_FILES,
    ActingJudge,
    AttributesJudge,
    load_acting_judge,
    load_attributes_judge,
)
from ingredients.model_folders.folder_names import FACE_ENCODER, JUDGE_FOLDER

CALIBRATION_NAME = "calibration.json"

_ONNX_JUDGES: dict[str, type[OnnxArcFaceJudge] | type[OnnxFaceNetJudge]] = {
    ARCFACE: OnnxArcFaceJudge,
    CURRICULARFACE: OnnxArcFaceJudge,
    FACENET: OnnxFaceNetJudge,
}
_LIMITS = {ARCFACE: 0.32, CURRICULARFACE: 0.32, FACENET: 0.6, DLIB: 1 - SAME_PERSON_DISTANCE}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Judges:
    """Everybody who judges."""

    judge: Judge
    """Judge of faces."""

    judge_name: str
    """Name by which it was chosen."""

    detector_name: str
    """Name by which the detector was chosen."""

    calibration: JudgeCalibration | None = None
    """What is known of the judge that ships with a model."""

    text_encoder: TextImageEncoder | None = None
    """Judge of text; None: nobody judges it."""

    inception: InceptionFeatures | None = None
    """Features for FID; None: there is none."""

    acting: ActingJudge | None = None
    """Judge of what drawn people do; None: nobody judges it."""

    attributes: AttributesJudge | None = None
    """Judge of what drawn people look like; None likewise."""

    @property
    def judge_id(self) -> str:
        """The judge wherever its file lies: its kind and a hash."""
        return f"{self.judge_name.partition(':')[0]} {judge_fingerprint(self.judge)}"


def load_judges(
    model_folder: Path,
    *,
    judge: str = MODEL,
    detector: str | None = None,
    clip: Path | None = None,
    inception: Path | None = None,
    own_videos: bool = False,
) -> Judges:
    """Loads whom the names and files say.

    Args:
        model_folder: where the judge `model`, its detector and its dual encoder come from.
        judge: `model`, `dlib`, or `arcface:FILE`, `curricularface:FILE`, `facenet:FILE`.
        detector: `model`, `dlib` or `scrfd:FILE`; None: the model's for its judge and for drawings, dlib otherwise.
        clip: folder of CLIP; None: the model's dual encoder where its judge is asked, nobody otherwise.
        inception: file of InceptionV3.
        own_videos: whether the model itself makes the videos: its detector is taken where none is named, and its dual
            encoder, which judges text where nobody else does, comes with it.

    Raises:
        UserInputError: for a name or a file that there is not.
        ModelFolderError: if a part is missing or damaged.
        MissingDependencyError: without the library that the judge needs.
    """
    kind, file = parse_judge(judge)
    if detector is None:
        detector = MODEL if kind == MODEL or own_videos else DLIB
    found_by = _load_detector(detector, model_folder)
    calibration = None
    if kind == MODEL:
        face_judge = load_model_judge(model_folder, detector=found_by)
        calibration = load_model_calibration(model_folder)
    else:
        recogniser: FaceRecogniser = DlibFaceRecogniser() if file is None else _ONNX_JUDGES[kind](file)
        face_judge = Judge(
            detector=found_by,
            recogniser=recogniser,
            measure="distance" if kind == DLIB else "cosine",
            limit=_LIMITS[kind],
        )
    text_encoder: TextImageEncoder | None = None
    if clip is not None:
        text_encoder = ClipTextEncoder(clip)
    elif kind == MODEL and not own_videos:
        text_encoder = load_model_text_encoder(model_folder)
    acting, attributes = load_trait_judges(model_folder) if own_videos or kind == MODEL else (None, None)
    return Judges(
        judge=face_judge,
        judge_name=judge,
        detector_name=detector,
        calibration=calibration,
        text_encoder=text_encoder,
        inception=None if inception is None else InceptionFeatures(inception),
        acting=acting,
        attributes=attributes,
    )


def _load_detector(name: str, model_folder: Path) -> FaceDetector:
    kind, file = parse_detector(name)
    if file is not None:
        return ScrfdFaceDetector(file)
    return load_model_detector(model_folder) if kind == MODEL else DlibFaceDetector()


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
        picture_kind=load_picture_kind(Path(model_folder) / FACE_ENCODER),
        scale=calibration.scale,
        one_photo_scale=calibration.one_photo_scale,
    )


def load_dlib_judge() -> Judge:
    """Dlib as a judge, which compares by distance within its own limit.

    Raises:
        MissingDependencyError: without dlib or its models.
    """
    return Judge(detector=DlibFaceDetector(), recogniser=DlibFaceRecogniser(), measure="distance", limit=_LIMITS[DLIB])


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
    return own or load_face_stack(Path(model_folder) / FACE_ENCODER).detector


def has_own_detector(model_folder: str | Path) -> bool:
    """Whether the judge of a model folder finds faces by a detector that conditions nothing.

    Raises:
        ModelFolderError: if it is damaged.
    """
    return load_judge_detector(Path(model_folder) / JUDGE_FOLDER) is not None


def load_trait_judges(model_folder: str | Path) -> tuple[ActingJudge | None, AttributesJudge | None]:
    """Loads the judges of what drawn people do and look like; None for one that the model folder does not have.

    Raises:
        ModelFolderError: if one is damaged, or lacks one of its two files.
    """
    folder = Path(model_folder) / JUDGE_FOLDER

    def has(*names: str) -> bool:
        return any((folder / name).exists() for name in names)

    return (
        load_acting_judge(folder) if has(*ACTING_FILES) else None,
        load_attributes_judge(folder) if has(*ATTRIBUTES_FILES) else None,
    )


def load_model_text_encoder(model_folder: str | Path) -> TextImageEncoder | None:
    """Loads the dual encoder of a model folder; None if its image encoder has no text tower.

    Raises:
        ModelFolderError: if a part is missing or damaged.
    """
    encoder = load_face_stack(Path(model_folder) / FACE_ENCODER).image_encoder
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
