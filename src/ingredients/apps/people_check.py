"""How well each person was kept in a video, by whichever judge there is: the model's own, or dlib for photographs."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, TypeAlias

from ingredients.core.arrays import UInt8Array
from ingredients.core.errors import MissingDependencyError
from ingredients.evaluation.dlib_report import report_distances
from ingredients.evaluation.judge import Judge
from ingredients.evaluation.judges import JUDGE_FOLDER, load_model_judge
from ingredients.evaluation.people_report import report_people
from ingredients.faces.dlib_faces import SAME_PERSON_DISTANCE, DlibFaceReader
from ingredients.faces.drawn_face_stack import load_judge_detector
from ingredients.faces.face_stack import FaceStack
from ingredients.faces.facial_extractor import ExtractedIdentities

JudgeName: TypeAlias = Literal["model", "dlib"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PersonResult:
    """How well one person was kept."""

    name: str
    """As in the request."""

    photos: tuple[str, ...]
    """The files that showed the person, with the face that was meant where one was named."""

    found: bool | None = None
    """Whether the person's face was found in the video; None if nobody looked."""

    similarity: float | None = None
    """By the model's judge: normalised, 0 is a stranger (or no face at all), 1 the person in a real clip."""

    is_photographed: bool = False
    """Whether the judge knows drawings only, and a photo is none."""

    distance: float | None = None
    """By dlib: of the face in the video to the photos; below 0.6 dlib takes them for one person."""

    @property
    def verdict(self) -> str:
        """The same in words."""
        if self.is_photographed:
            return "not judged: the photo looks like a photograph, and the model's judge knows drawn people only"
        if self.found is None:
            return "not measured"
        if not self.found:
            return "no face found in the video"
        if self.distance is None:
            return f"found, similarity {self.similarity:.2f}"
        if self.distance < SAME_PERSON_DISTANCE:
            return f"same person (distance {self.distance:.2f}, below dlib's {SAME_PERSON_DISTANCE})"
        return f"another person (distance {self.distance:.2f}, not below dlib's {SAME_PERSON_DISTANCE})"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PeopleCheck:
    """Looks for people in videos."""

    judge: Judge | DlibFaceReader | None
    """Who looks; None: nobody can."""

    @property
    def judge_name(self) -> JudgeName | None:
        """Who looks, for reports."""
        if self.judge is None:
            return None
        return "model" if isinstance(self.judge, Judge) else "dlib"

    def __call__(
        self, frames: UInt8Array, identities: ExtractedIdentities, files: Mapping[str, Sequence[str]]
    ) -> tuple[PersonResult, ...]:
        """Says how each person fared.

        Args:
            frames: (F, H, W, 3) RGB.
            identities: the people and what was seen in their photos.
            files: what the photos are called, by the person's name, in the order of the results.
        """
        seen = dict(zip(identities.names, identities.photos, strict=True))
        photos = {name: [photo.image for photo in seen[name]] for name in files}
        faces = {name: [photo.face for photo in seen[name]] for name in files}
        if isinstance(self.judge, Judge):
            known = {name: photos[name] for name in files if name not in identities.photographed}
            reports = {report.name: report for report in report_people(self.judge, frames, known, faces)}
            return tuple(
                PersonResult(
                    name=name,
                    photos=tuple(given),
                    found=reports[name].found,
                    similarity=reports[name].similarity,
                )
                if name in reports
                else PersonResult(name=name, photos=tuple(given), is_photographed=True)
                for name, given in files.items()
            )
        if self.judge is not None:
            return tuple(
                PersonResult(
                    name=report.name,
                    photos=tuple(files[report.name]),
                    found=report.distance is not None,
                    distance=report.distance,
                )
                for report in report_distances(self.judge, frames, photos, faces)
            )
        return tuple(PersonResult(name=name, photos=tuple(given)) for name, given in files.items())


def load_people_check(folder: Path, face_encoder: FaceStack) -> PeopleCheck:
    """The judge beside the model; without one dlib, if it is installed and the model's people are photographed.

    Raises:
        ModelFolderError: if the model's judge is damaged.
    """
    if (folder / JUDGE_FOLDER).is_dir():
        detector = load_judge_detector(folder / JUDGE_FOLDER) or face_encoder.detector
        return PeopleCheck(judge=load_model_judge(folder, detector=detector))
    if face_encoder.reads_photographs:
        try:
            return PeopleCheck(judge=DlibFaceReader())
        except MissingDependencyError:
            pass
    return PeopleCheck(judge=None)
