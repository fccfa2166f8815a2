"""How well each person was kept in a video, right after it was made, by whichever judge there is.

The model's own judge gives a similarity. For models that come without one, and whose people are photographed, dlib
gives a distance of descriptors on its own scale: photos of one person lie within 0.6 of each other, those of strangers
further apart. dlib's recogniser conditions no model, and nothing was calibrated on clips, so this is no normalised
similarity.

Legend: F frames, H/W pixels.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, TypeAlias

from ingredients.core.arrays import UInt8Array
from ingredients.core.errors import MissingDependencyError
from ingredients.core.protocols import Face
from ingredients.evaluation.changes import STRANGER
from ingredients.evaluation.judge import Judge
from ingredients.evaluation.judges import load_dlib_judge, load_model_judge
from ingredients.faces.dlib_faces import SAME_PERSON_DISTANCE
from ingredients.faces.drawn_face_stack import load_judge_detector
from ingredients.faces.face_stack import FaceStack
from ingredients.faces.facial_extractor import ExtractedIdentities
from ingredients.generation.jobs import PersonAction, PersonTurn
from ingredients.generation.judgement import AskedPerson, Judgement
from ingredients.generation.judging import judge_frames
from ingredients.model_folders.folder_names import JUDGE_FOLDER
from ingredients.pipelines.video_shape import FPS

JudgeName: TypeAlias = Literal["model", "dlib"]

MAX_FRAMES = 16
"""Frames that dlib looks at, spread evenly over longer videos."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PersonReport:
    """How one person fared."""

    name: str
    """The name, as given."""

    found: bool | None = None
    """Whether a face of the video was matched to the person; None if nobody looked."""

    similarity: float | None = None
    """By the model's judge: normalised, 0 is a stranger (or no face at all), 1 the person in a real clip; not clipped.
    """

    distance: float | None = None
    """The mean distance by dlib of the face in the video to the photos; below 0.6 dlib takes them for one person."""

    frames_found: int = 0
    """Frames in which that face was seen, of those looked at."""

    turns: tuple[PersonTurn, ...] = ()
    """When the person's face becomes somebody else's, in their order."""

    turned: str = ""
    """The most telling of them in words; empty for a face that stays who it is."""

    action: PersonAction | None = None
    """What the person does; None where nobody can tell."""

    is_photographed: bool = False
    """Whether the judge knows drawings only, and a photo is none."""

    @property
    def verdict(self) -> str:
        """The same in words."""
        if self.is_photographed:
            return "not judged: the photo looks like a photograph, and the model's judge knows drawn people only"
        if self.found is None:
            return "not measured"
        if not self.found:
            return "no face found in the video"
        if any(turn.becomes is not None for turn in self.turns):
            return f"found, but {self.turned}"
        if self.distance is None:
            found = f"found, similarity {self.similarity:.2f}"
        elif self.distance < SAME_PERSON_DISTANCE:
            found = f"same person (distance {self.distance:.2f}, below dlib's {SAME_PERSON_DISTANCE})"
        else:
            found = f"another person (distance {self.distance:.2f}, not below dlib's {SAME_PERSON_DISTANCE})"
        return f"{found}; {self.turned}" if self.turned else found


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PeopleFindings:
    """What was found out about the people of a video."""

    people: tuple[PersonReport, ...]
    """How each person fared."""

    judgement: Judgement | None
    """The whole of what the judge saw, of those whom it knows; None if nobody looked."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PeopleCheck:
    """Looks for people in videos."""

    judge: Judge | None
    """Who looks; None: nobody can."""

    @property
    def judge_name(self) -> JudgeName | None:
        """Who looks, for reports."""
        if self.judge is None:
            return None
        return "dlib" if self.judge.measure == "distance" else "model"

    def __call__(self, frames: UInt8Array, identities: ExtractedIdentities) -> PeopleFindings:
        """Says how each person fared, in the order of `identities`.

        Args:
            frames: (F, H, W, 3) RGB.
            identities: the people and what was seen in their photos.
        """
        seen = dict(zip(identities.names, identities.photos, strict=True))
        is_drawn_only = self.judge_name == "model"
        known = {name: of for name, of in seen.items() if not (is_drawn_only and name in identities.photographed)}
        if self.judge is None or not known:
            return PeopleFindings(
                people=tuple(
                    PersonReport(name=name, is_photographed=self.judge is not None and name not in known)
                    for name in seen
                ),
                judgement=None,
            )
        judgement = judge_people(
            self.judge,
            frames,
            {name: [photo.image for photo in of_person] for name, of_person in known.items()},
            {name: [photo.face for photo in of_person] for name, of_person in known.items()},
        )
        reports = {report.name: report for report in reports_of(judgement)}
        return PeopleFindings(
            people=tuple(reports.get(name) or PersonReport(name=name, is_photographed=True) for name in seen),
            judgement=judgement,
        )


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
            return PeopleCheck(judge=load_dlib_judge())
        except MissingDependencyError:
            pass
    return PeopleCheck(judge=None)


def judge_people(
    judge: Judge,
    frames: UInt8Array,
    photos: Mapping[str, Sequence[UInt8Array]],
    faces: Mapping[str, Sequence[Face]] | None = None,
) -> Judgement:
    """Looks for people in a video that was made of them; dlib looks at some of its frames only.

    Args:
        judge: with its scale, if it has one.
        frames: (F, H, W, 3) RGB.
        photos: photos (H, W, 3) by name, one or several each, of at least one person.
        faces: the person's face in each of them; None has the judge choose.

    Raises:
        PhotoError: as `Judge.find_person`.
    """
    asked = []
    for name, of_person in photos.items():
        chosen = None if faces is None else list(faces[name])
        if chosen is None:
            chosen = [judge.find_person(photo, label=f"a photo of {name}") for photo in of_person]
        reference = judge.embed_person(of_person, chosen, name=name)
        asked.append(AskedPerson(name=name, photos=tuple(of_person), faces=tuple(chosen), reference=reference))
    most_looks = MAX_FRAMES if judge.measure == "distance" else None
    return judge_frames(frames, judge, asked, fps=FPS, most_looks=most_looks)


def reports_of(judgement: Judgement) -> list[PersonReport]:
    """How each person of a video without cuts fared, by the face that was matched to them."""
    reports = []
    for person in judgement.people:
        found, distance, similarity = person.likeness is not None, None, None
        if judgement.measure == "distance":
            distance = None if person.likeness is None else 1 - person.likeness
        else:
            similarity = 0.0 if person.likeness is None else judgement.scale.normalise(person.likeness)
        reports.append(
            PersonReport(
                name=person.name,
                found=found,
                similarity=similarity,
                distance=distance,
                frames_found=person.frames_matched,
                turns=tuple(
                    PersonTurn(
                        seconds=round(judgement.times[turn.frame], 3),
                        becomes=None if turn.becomes == STRANGER else judgement.asked[turn.becomes].name,
                        is_exchange=turn.is_exchange,
                    )
                    for turn in person.turns
                ),
                turned=judgement.words_of_turn(person),
            )
        )
    return reports
