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
from typing import Literal, TypeAlias

from ingredients.core.protocols import FaceDetector, FaceRecogniser
from ingredients.evaluation.backend_names import (
    ARCFACE,
    CURRICULARFACE,
    DLIB,
    FACENET,
    MODEL,
    parse_detector,
    parse_judge,
)
from ingredients.evaluation.calibration import JudgeCalibration
from ingredients.evaluation.clip_folder import ClipFolder
from ingredients.evaluation.folder import judge_fingerprint
from ingredients.evaluation.inception import InceptionFeatures
from ingredients.evaluation.judge import Judge
from ingredients.evaluation.loading import (
    load_model_calibration,
    load_model_detector,
    load_model_judge,
    load_model_text_encoder,
)
from ingredients.evaluation.text_encoders import TextImageEncoder
from ingredients.faces.dlib_faces import SAME_PERSON_DISTANCE, DlibFaceDetector, DlibFaceRecogniser
from ingredients.faces.onnx_faces import ScrfdFaceDetector
from ingredients.faces.onnx_judges import OnnxArcFaceJudge, OnnxFaceNetJudge

_ONNX_JUDGES: dict[str, type[OnnxArcFaceJudge] | type[OnnxFaceNetJudge]] = {
    ARCFACE: OnnxArcFaceJudge,
    CURRICULARFACE: OnnxArcFaceJudge,
    FACENET: OnnxFaceNetJudge,
}
_LIMITS = {ARCFACE: 0.32, CURRICULARFACE: 0.32, FACENET: 0.6, DLIB: 1 - SAME_PERSON_DISTANCE}

Pictures: TypeAlias = Literal["drawings", "photographs"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Backends:
    """Everybody who judges."""

    judge: Judge
    """Of faces."""

    judge_name: str
    """As it was chosen."""

    detector_name: str
    """As it was chosen."""

    calibration: JudgeCalibration | None = None
    """Of the judge that ships with a model."""

    text_encoder: TextImageEncoder | None = None
    """Of text; None: nobody judges it."""

    inception: InceptionFeatures | None = None
    """For FID; None: there is none."""

    @property
    def judge_id(self) -> str:
        """The judge wherever its file lies: its kind and a hash."""
        return f"{self.judge_name.partition(':')[0]} {judge_fingerprint(self.judge)}"


def load_backends(
    model_folder: Path,
    *,
    judge: str = MODEL,
    detector: str | None = None,
    clip: Path | None = None,
    inception: Path | None = None,
    pictures: Pictures = "photographs",
) -> Backends:
    """Loads whom the names and files say.

    Args:
        model_folder: where the judge `model`, its detector and its dual encoder come from.
        judge: `model`, `dlib`, or `arcface:FILE`, `curricularface:FILE`, `facenet:FILE`.
        detector: `model`, `dlib` or `scrfd:FILE`; None: the model's for its judge and for drawings, dlib otherwise.
        clip: folder of CLIP; None: the model's dual encoder where its judge is asked, nobody otherwise.
        inception: file of InceptionV3.
        pictures: what the videos show, for the detector that is taken where none is named.

    Raises:
        UserInputError: for a name or a file that there is not.
        ModelFolderError: if a part is missing or damaged.
        MissingDependencyError: without the library that the judge needs.
    """
    kind, file = parse_judge(judge)
    if detector is None:
        detector = MODEL if kind == MODEL or pictures == "drawings" else DLIB
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
        text_encoder = ClipFolder(clip)
    elif kind == MODEL:
        text_encoder = load_model_text_encoder(model_folder)
    return Backends(
        judge=face_judge,
        judge_name=judge,
        detector_name=detector,
        calibration=calibration,
        text_encoder=text_encoder,
        inception=None if inception is None else InceptionFeatures(inception),
    )


def _load_detector(name: str, model_folder: Path) -> FaceDetector:
    kind, file = parse_detector(name)
    if file is not None:
        return ScrfdFaceDetector(file)
    return load_model_detector(model_folder) if kind == MODEL else DlibFaceDetector()
