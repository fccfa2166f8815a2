"""Any video, judged: who of some photos is who in it, when, how alike, and what went wrong.

A video is looked at shot by shot, so that a face is never followed across a cut. What a shot shows is decided by the
same definitions as in an evaluation (`evaluation/assessment.py`, `evaluation/changes.py`); here it is told with times,
and with the frames to look at.

Legend: F frames, H/W pixels, N people, T frames of a track, D embedding.
"""

import dataclasses
import itertools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from PIL import Image

from ingredients.core.arrays import Float32Array, UInt8Array
from ingredients.core.errors import MissingDependencyError, PhotoError
from ingredients.core.protocols import Face, ProgressCallback
from ingredients.core.warnings_told import Notice
from ingredients.evaluation.assessment import Measure, SimilarityScale, TrackEmbeddings, compare_faces
from ingredients.evaluation.changes import (
    STRANGER,
    FaceChanges,
    find_confusion,
    is_switching,
    measure_changes,
    most_alike,
)
from ingredients.evaluation.judge import Judge
from ingredients.evaluation.judges import Judges, load_judges
from ingredients.evaluation.names import DLIB, MODEL
from ingredients.faces.alignment import crop_ffhq
from ingredients.faces.identity_photos import IdentityPhotos
from ingredients.media.video import iterate_video, measure_video
from ingredients.pipelines.people import PeopleInput, identity_photos
from ingredients.visualisation.contact_sheet import evenly_spread
from ingredients.visualisation.judged_video import (
    STRANGER_COLOUR,
    FaceMark,
    MarkedFrame,
    PersonPanel,
    TimelineRow,
    judged_sheet,
)
from ingredients.visualisation.layout import Colour, identity_colour

Status: TypeAlias = Literal["right", "partly", "replaced", "stranger", "missing"]

LOOKS_PER_SECOND = 8.0
"""Frames of each second that are looked at: faces of people who talk are followed well at this pace."""

_LASTING = 0.5
"""Share of the frames in which somebody who was asked for should be seen."""

_MOST_FRAMES = 2_000_000
_MOST_SHOT_BYTES = 2**29
"""Frames that are in memory at a time; a longer shot is followed in pieces."""

_THUMBNAIL = (32, 18)
_CUT, _CUT_STANDS_OUT = 0.11, 4.0
"""A cut changes the mean pixel by this part of its range, and so many times as much as the frames just before."""

_STEADY = 0.01
"""Change that is taken for usual where nothing moves."""

_FRAMES_BEFORE = 4
_SHEET_FRAMES = 12
_SHEET_CROP = 160


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AskedPerson:
    """Somebody to look for."""

    name: str
    """The name, as given."""

    photos: tuple[UInt8Array, ...]
    """(H, W, 3), one or several."""

    faces: tuple[Face, ...]
    """The person's face in each of them."""

    reference: Float32Array
    """(D,): what the judge knows the person by."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SeenFace:
    """A face that was followed through a shot."""

    number: int
    """The number of the face, from 1, in the order in which they appear."""

    frames: tuple[int, ...]
    """Which of the frames that were looked at, ascending."""

    boxes: Float32Array
    """(T, 4) pixels."""

    landmarks: Float32Array
    """(T, 5, 2) pixels."""

    likeness: Float32Array
    """(T, N): cosine to each person; 1 less the distance, where the judge measures distances."""

    seen_as: int
    """Index of the person to whom it is most alike, if above the limit; `STRANGER` otherwise."""

    also_like: tuple[int, ...]
    """Others above the limit as well: a blend of two people."""

    is_switching: bool
    """Whether it is now one person, now another."""

    changes: FaceChanges | None
    """How it changes over its frames, compared with the person whom it is seen as; None for a stranger."""

    @property
    def mean_likeness(self) -> Float32Array:
        """Likeness to each person (N,), averaged over the frames."""
        return np.asarray(self.likeness.mean(axis=0), dtype=np.float32)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PersonJudgement:
    """How one person fared."""

    name: str
    """The name, as given."""

    status: Status
    """`right`: seen in at least half of the frames; `partly`: in fewer; otherwise not seen, and in their place is
    somebody else of those asked for (`replaced`), a `stranger`, or nobody (`missing`)."""

    likeness: float | None
    """Mean cosine (or 1 less the distance) of the faces matched to the person; None if there is none."""

    frames_seen: int
    """Frames in which some face is seen as the person."""

    frames_matched: int
    """Frames of the faces matched to the person, whoever they are seen as."""

    spans: tuple[tuple[float, float], ...]
    """Seconds from when to when the person is seen."""

    faces: tuple[int, ...]
    """Numbers of the faces that are seen as the person; where there are none, of the one matched to them."""

    best_frame: int | None
    """The frame, of those looked at, in which one of these faces is most alike."""

    in_their_place: str | None = None
    """Who is, where the status is `replaced`."""

    changes: FaceChanges | None = None
    """How the longest of the faces that are seen as the person changes."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Judgement:
    """What a judge says of a video."""

    asked: tuple[AskedPerson, ...]
    """N people."""

    people: tuple[PersonJudgement, ...]
    """How each of them fared, in the same order."""

    faces: tuple[SeenFace, ...]
    """All that were followed."""

    times: tuple[float, ...]
    """Seconds of each frame that was looked at."""

    frame_numbers: tuple[int, ...]
    """Which frames of the file those are, from 0."""

    seconds: float
    """Length of the video."""

    size: tuple[int, int]
    """Height and width in pixels."""

    cuts: tuple[float, ...]
    """When one shot ends and another begins."""

    swapped: bool | None
    """Whether all are right in some shot but stand in another order than asked for; None if none was asked for."""

    scale: SimilarityScale
    """What parts the same person from strangers."""

    is_calibrated: bool
    """Whether the scale comes from real clips; else likenesses are raw."""

    measure: Measure
    """How faces were compared."""

    @property
    def doubled(self) -> tuple[tuple[str, float], ...]:
        """Who is seen twice at the same time, and from when on."""
        first: dict[int, int] = {}
        for one, other in itertools.combinations(self.faces, 2):
            shared = set(one.frames) & set(other.frames)
            if one.seen_as == other.seen_as != STRANGER and shared:
                first[one.seen_as] = min(min(shared), first.get(one.seen_as, min(shared)))
        return tuple((self.asked[person].name, self.times[frame]) for person, frame in first.items())

    def words_of(self, likeness: float) -> str:
        """A likeness as the judge's users know it."""
        if self.is_calibrated:
            return f"similarity {self.scale.normalise(likeness):.2f}"
        return f"distance {1 - likeness:.2f}" if self.measure == "distance" else f"cosine {likeness:.2f}"

    @property
    def explanation(self) -> str:
        """What the likenesses mean."""
        limit = self.scale.same_person_limit
        if self.is_calibrated:
            return (
                "similarity: 0 is a stranger, 1 the person in a real clip; seen as a person above "
                f"{self.scale.normalise(limit):.2f}"
            )
        if self.measure == "distance":
            return f"distance: 0 is the same picture; seen as a person below {1 - limit:.2f}"
        return f"cosine: 1 is the same picture; seen as a person above {limit:.2f}"

    def verdict(self, person: PersonJudgement) -> str:
        """How a person fared, in words."""
        alike = "" if person.likeness is None else self.words_of(person.likeness)
        share = person.frames_seen / len(self.times)
        if person.status == "right":
            return f"right, {alike}" + ("" if share > 0.995 else f", in {share:.0%} of the frames")
        if person.status == "partly":
            return f"seen in only {share:.0%} of the frames, {alike}"
        if person.status == "replaced":
            return f"not seen; in their place is {person.in_their_place} ({alike} to {person.name})"
        if person.status == "stranger":
            return f"not seen; the most alike is a stranger ({alike})"
        return "missing: no face is left for them"

    @property
    def remarks(self) -> list[str]:
        """What a viewer should know beside each person's verdict, a sentence each."""
        remarks = []
        if self.swapped:
            remarks.append("Swapped: everybody is there, but they stand in another order than asked for.")
        for name, seconds in self.doubled:
            remarks.append(f"Doubled: two faces are {name} at the same time, from {seconds:.1f} s on.")
        for face in self.faces:
            if face.also_like:
                people = [self.asked[index].name for index in (face.seen_as, *face.also_like)]
                remarks.append(f"Blended: face {face.number} is like {' and '.join(people)} at once.")
            if face.is_switching:
                remarks.append(f"Switching: face {face.number} is {self._in_turn(face)}.")
        strangers = [face for face in self.faces if face.seen_as == STRANGER]
        if len(strangers) == 1:
            remarks.append(f"A stranger: face {strangers[0].number} is nobody of those asked for.")
        elif strangers:
            listed = ", ".join(str(face.number) for face in strangers[:8]) + (" ..." if len(strangers) > 8 else "")
            remarks.append(f"Strangers: faces {listed} are nobody of those asked for.")
        if not self.faces:
            remarks.append("No face was followed in the video at all.")
        if self.cuts:
            remarks.append(
                f"The video has {len(self.cuts) + 1} shots; a face is followed within a shot, and people are told "
                "anew in each."
            )
        return remarks

    def _in_turn(self, face: SeenFace) -> str:
        """Who a face is, from when on."""
        limit = self.scale.same_person_limit
        seen = [(most_alike(row, limit), frame) for row, frame in zip(face.likeness, face.frames, strict=True)]
        turns = [(person, frame) for person, frame in seen if person != STRANGER]
        words = [
            f"{self.asked[person].name} from {self.times[next(iter(group))[1]]:.1f} s"
            for person, group in itertools.groupby(turns, key=lambda pair: pair[0])
        ]
        return ", ".join(words[:6]) + (" and so on" if len(words) > 6 else "")

    def spans(self, frames: Iterable[int]) -> tuple[tuple[float, float], ...]:
        """Seconds from when to when some of the frames are shown; a short gap ends no span."""
        return _spans(sorted(frames), self.times, self.seconds)

    def picked_frames(self, most: int = _SHEET_FRAMES) -> list[int]:
        """Frames, of those looked at, that show the most: each person's best, then others spread evenly."""
        best = {person.best_frame for person in self.people if person.best_frame is not None}
        chosen = set(sorted(best)[:most])
        chosen |= set(evenly_spread(len(self.times), max(1, most - len(chosen))))
        return sorted(chosen)[:most]

    def marks(self, frame: int) -> list[FaceMark]:
        """The faces of a frame."""
        marks = []
        for face in self.faces:
            if frame not in face.frames:
                continue
            at = face.frames.index(frame)
            is_somebody = face.seen_as != STRANGER
            person = face.seen_as if is_somebody else int(face.mean_likeness.argmax())
            number = self.words_of(float(face.likeness[at, person])).rpartition(" ")[2]
            name = self.asked[person].name if is_somebody else "stranger"
            marks.append(
                FaceMark(
                    box=face.boxes[at],
                    label=f"{name} {number}" if is_somebody else name,
                    colour=self.colour_of(face.seen_as),
                )
            )
        return marks

    def colour_of(self, person: int) -> Colour:
        """The colour of a person, or of strangers."""
        return STRANGER_COLOUR if person == STRANGER else identity_colour(person)

    def best_face(self, person: PersonJudgement) -> tuple[SeenFace, int] | None:
        """The face of a person's best frame, and its place in the face's frames."""
        for face in self.faces:
            if face.number in person.faces and person.best_frame in face.frames:
                return face, face.frames.index(person.best_frame)
        return None

    def face_boxes(self, person: PersonJudgement, num_frames: int) -> Float32Array | None:
        """The boxes (F, 4) of the person's longest face, NaN where it was not seen; None for who is not in the video.

        Args:
            person: one of `people`.
            num_frames: F, of the whole video.
        """
        faces = [face for face in self.faces if face.number in person.faces]
        if not faces:
            return None
        longest = max(faces, key=lambda face: len(face.frames))
        boxes = np.full((num_frames, 4), np.nan, np.float32)
        boxes[[self.frame_numbers[frame] for frame in longest.frames]] = longest.boxes
        return boxes

    def best_crops(self, frames: UInt8Array) -> list[UInt8Array | None]:
        """The face of each person's best frame, cut out of the video (F, H, W, 3); None for who is not in it."""
        crops: list[UInt8Array | None] = []
        for person in self.people:
            best = self.best_face(person)
            if best is None:
                crops.append(None)
            else:
                face, at = best
                frame = frames[self.frame_numbers[face.frames[at]]]
                crops.append(crop_ffhq(frame, face.landmarks[at], size=_SHEET_CROP))
        return crops

    def sheet(self, frames: Mapping[int, UInt8Array], *, title: str) -> UInt8Array:
        """People beside their best frames, a timeline, and marked frames.

        Args:
            frames: (H, W, 3) for each of `picked_frames`, by its index among those looked at.
            title: a line above all.
        """
        panels = []
        for index, (asked, person) in enumerate(zip(self.asked, self.people, strict=True)):
            best = self.best_face(person)
            crop, note = None, "not in the video"
            if best is not None and (frame := best[0].frames[best[1]]) in frames:
                face, at = best
                crop = crop_ffhq(frames[frame], face.landmarks[at], size=_SHEET_CROP)
                alike = self.words_of(float(face.likeness[at, index]))
                which = "most alike" if person.status in ("right", "partly") else "in their place"
                note = f"{which}, {self.times[frame]:.1f} s, {alike.rpartition(' ')[2]}"
            panels.append(
                PersonPanel(
                    title=f"{person.name}: {self.verdict(person)}",
                    colour=identity_colour(index),
                    photo=crop_ffhq(asked.photos[0], asked.faces[0].landmarks, size=_SHEET_CROP),
                    best=crop,
                    note=note,
                )
            )
        rows = [
            TimelineRow(
                label=f"face {face.number}: {self.name_of(face.seen_as)}",
                colour=self.colour_of(face.seen_as),
                spans=self.spans(face.frames),
            )
            for face in self.faces
        ]
        marked = [
            MarkedFrame(title=f"{self.times[index]:.2f} s", pixels=pixels, marks=self.marks(index))
            for index, pixels in sorted(frames.items())
        ]
        remarks = [*self.remarks, f"({self.explanation})"]
        return judged_sheet(title, remarks, panels, rows, marked, seconds=self.seconds, cuts=self.cuts)

    def name_of(self, person: int) -> str:
        """A person's name, or what strangers are called."""
        return "a stranger" if person == STRANGER else self.asked[person].name

    def describe(self, judge_name: str) -> str:
        """All of it for a person to read, a sentence a line."""
        height, width = self.size
        lines = [
            f"{self.seconds:.1f} s of {width}x{height}, {len(self.times)} frames looked at, judged by {judge_name}"
        ]
        wide = max(len(person.name) for person in self.people)
        for person in self.people:
            spans = ", ".join(f"{first:.1f} to {last:.1f} s" for first, last in person.spans[:6])
            more = f" and {len(person.spans) - 6} times more" if len(person.spans) > 6 else ""
            when = f": {spans}{more}" if spans else ""
            lines.append(f"  {person.name:<{wide}}  {self.verdict(person)}{when}")
        return "\n".join([*lines, *self.remarks, f"({self.explanation})"])

    def to_json(self) -> dict[str, Any]:
        """Plain values for a JSON object."""
        return {
            "seconds": round(self.seconds, 3),
            "height": self.size[0],
            "width": self.size[1],
            "frames_looked_at": len(self.times),
            "likeness": self.explanation,
            "same_person_limit": round(self._shown(self.scale.same_person_limit), 4),
            "people": [
                {
                    "name": person.name,
                    "status": person.status,
                    "verdict": self.verdict(person),
                    self.number_name: None if person.likeness is None else round(self._shown(person.likeness), 4),
                    "share_of_frames": round(person.frames_seen / len(self.times), 4),
                    "seconds": [[round(first, 3), round(last, 3)] for first, last in person.spans],
                    "faces": list(person.faces),
                    "in_their_place": person.in_their_place,
                    "drift": _rounded(None if person.changes is None else person.changes.drift),
                    "copy_paste": _rounded(None if person.changes is None else person.changes.copy_paste),
                    "best_frame": None if person.best_frame is None else self.frame_numbers[person.best_frame],
                }
                for person in self.people
            ],
            "faces": [
                {
                    "number": face.number,
                    "seen_as": None if face.seen_as == STRANGER else self.asked[face.seen_as].name,
                    "also_like": [self.asked[index].name for index in face.also_like],
                    "switching": face.is_switching,
                    "seconds": [[round(first, 3), round(last, 3)] for first, last in self.spans(face.frames)],
                    self.number_name: {
                        asked.name: round(self._shown(float(likeness)), 4)
                        for asked, likeness in zip(self.asked, face.mean_likeness, strict=True)
                    },
                    "frames": [self.frame_numbers[index] for index in face.frames],
                    "boxes": np.round(face.boxes.astype(float), 1).tolist(),
                }
                for face in self.faces
            ],
            "swapped": self.swapped,
            "blended": any(face.also_like for face in self.faces),
            "doubled": [name for name, _ in self.doubled],
            "missing": [person.name for person in self.people if person.frames_seen == 0],
            "cuts": [round(cut, 3) for cut in self.cuts],
            "remarks": self.remarks,
        }

    @property
    def number_name(self) -> str:
        """What the number of a likeness is called."""
        if self.is_calibrated:
            return "similarity"
        return "distance" if self.measure == "distance" else "cosine"

    def _shown(self, likeness: float) -> float:
        if self.is_calibrated:
            return self.scale.normalise(likeness)
        return 1 - likeness if self.measure == "distance" else likeness


def load_video_judge(
    model_folder: Path,
    people: PeopleInput,
    *,
    judge: str | None = None,
    detector: str | None = None,
    notice: Notice | None = None,
) -> tuple[Judges, tuple[AskedPerson, ...]]:
    """Loads a judge, and has it look at the photos.

    Args:
        model_folder: where the judge `model` comes from.
        people: photos by name.
        judge: as `load_judges`; None takes the model's, or dlib where the photos are photographs, which that one does
            not know, or where it finds no face in them.
        detector: as `load_judges`.
        notice: told of each thing worth knowing.

    Raises:
        UserInputError: as `load_judges`.
        PhotoError: as `know_people`.
    """
    photographed = identity_photos(people)
    chosen = load_judges(model_folder, judge=judge or MODEL, detector=detector)
    if judge is not None:
        return chosen, know_people(chosen.judge, photographed, notice=notice)
    try:
        return chosen, know_people(chosen.judge, photographed, notice=notice)
    except PhotoError as error:
        try:
            other = load_judges(model_folder, judge=DLIB, detector=detector)
        except MissingDependencyError as missing:
            raise PhotoError(f"{error} For photographs: {missing}") from error
        known = know_people(other.judge, photographed, notice=notice)
        if notice is not None:
            notice("The photos are no drawings, which the judge of the model that ships knows, so dlib judges.")
        return other, known


def know_people(judge: Judge, people: PeopleInput, *, notice: Notice | None = None) -> tuple[AskedPerson, ...]:
    """Has a judge look at the photos of some people.

    Args:
        judge: looks.
        people: photos by name, one or several each.
        notice: told of photos with several faces, and of people who look alike.

    Raises:
        PhotoError: if a photo cannot be read, shows no face, or is of a kind that the judge does not know.
    """
    known = tuple(_know(judge, person, notice) for person in identity_photos(people))
    tell_of_lookalikes(judge, known, notice)
    return known


def tell_of_lookalikes(judge: Judge, people: Sequence[AskedPerson], notice: Notice | None) -> None:
    """Tells which people a judge cannot tell apart."""
    for one, other in itertools.combinations(people, 2):
        likeness = float(compare_faces(one.reference[None], other.reference[None], measure=judge.measure)[0, 0])
        if likeness > judge.scale.same_person_limit and notice is not None:
            notice(
                f"To this judge {one.name} and {other.name} look like one person, so it may take one for the other; "
                "other photos, or several of each, may help."
            )


def _know(judge: Judge, person: IdentityPhotos, notice: Notice | None) -> AskedPerson:
    faces = []
    for index, image in enumerate(person.images):
        label, choice = person.label(index), person.choice(index)
        faces.append(judge.find_person(image, label=label, choice=choice or "largest"))
        if choice is None and notice is not None and (number := len(judge.detector.detect(image))) > 1:
            notice(f"{label} shows {number} faces, of which the largest is taken.")
    return AskedPerson(
        name=person.name,
        photos=tuple(person.images),
        faces=tuple(faces),
        reference=judge.embed_person(person.images, faces, name=person.name),
    )


def judge_video(
    path: Path,
    judge: Judge,
    asked: Sequence[AskedPerson],
    *,
    ordered: bool = False,
    looks_per_second: float | None = LOOKS_PER_SECOND,
    progress: ProgressCallback | None = None,
) -> Judgement:
    """Judges the video of a file, of any length, in little memory.

    Args:
        path: the video.
        judge: who looks.
        asked: for whom.
        ordered: whether they should stand in this order from left to right.
        looks_per_second: frames of each second that are looked at; None: all.
        progress: told of each frame.

    Raises:
        UserInputError: if the video cannot be read.
    """
    size = measure_video(path, most_frames=_MOST_FRAMES)
    watcher = _Watcher(judge, asked, ordered=ordered)
    for frame in iterate_video(path, most_per_second=looks_per_second):
        watcher.watch(frame.pixels, number=frame.index, seconds=frame.seconds)
        if progress is not None:
            progress(frame.index + 1, size.num_frames)
    return watcher.judgement(seconds=size.num_frames / size.fps)


def read_frames(path: Path, judgement: Judgement, indices: Iterable[int]) -> dict[int, UInt8Array]:
    """Some of the frames that were looked at, read again, by their index among those."""
    index_of = {judgement.frame_numbers[index]: index for index in indices}
    frames: dict[int, UInt8Array] = {}
    for frame in iterate_video(path):
        if frame.index in index_of:
            frames[index_of[frame.index]] = frame.pixels
        if len(frames) == len(index_of):
            break
    return frames


def judge_frames(
    frames: UInt8Array,
    judge: Judge,
    asked: Sequence[AskedPerson],
    *,
    fps: float,
    ordered: bool = False,
    most_looks: int | None = None,
    finds_cuts: bool = False,
) -> Judgement:
    """Judges a video in memory (F, H, W, 3).

    Args:
        frames: of the video.
        judge: who looks.
        asked: for whom.
        fps: frames a second.
        ordered: whether they should stand in this order from left to right.
        most_looks: frames that are looked at, spread evenly; None: all.
        finds_cuts: whether it may have several shots; a model's video has one.
    """
    watcher = _Watcher(judge, asked, ordered=ordered, finds_cuts=finds_cuts)
    for index in evenly_spread(len(frames), most_looks or len(frames)):
        watcher.watch(frames[index], number=index, seconds=index / fps)
    return watcher.judgement(seconds=len(frames) / fps)


class _Watcher:
    """Takes a video frame by frame, and judges each shot when it is over."""

    def __init__(
        self, judge: Judge, asked: Sequence[AskedPerson], *, ordered: bool = False, finds_cuts: bool = True
    ) -> None:
        self._judge, self._asked, self._ordered = judge, tuple(asked), ordered
        one_photo_each = all(len(person.photos) == 1 for person in asked)
        self._scale = judge.one_photo_scale if one_photo_each else judge.scale
        self._references = np.stack([person.reference for person in asked])  # (N, D)
        self._times: list[float] = []
        self._numbers: list[int] = []
        self._shot: list[UInt8Array] = []
        self._cut_finder = _CutFinder() if finds_cuts else None
        self._cuts: list[float] = []
        self._faces: list[SeenFace] = []
        self._matched: list[list[int]] = [[] for _ in asked]  # indices of faces, for each person
        self._orders: list[bool] = []
        self._size = (0, 0)

    def watch(self, frame: UInt8Array, *, number: int, seconds: float) -> None:
        """Takes the next frame (H, W, 3)."""
        self._size = frame.shape[0], frame.shape[1]
        is_cut = self._cut_finder is not None and self._cut_finder.is_cut(frame)
        if is_cut:
            self._cuts.append(seconds)
        if is_cut or (self._shot and (len(self._shot) + 1) * frame.nbytes > _MOST_SHOT_BYTES):
            self._end_shot()
        self._shot.append(frame)
        self._times.append(seconds)
        self._numbers.append(number)

    def judgement(self, *, seconds: float) -> Judgement:
        """What there is to say at the end."""
        self._end_shot()
        seconds = max([seconds, *self._times[-1:]])
        return Judgement(
            asked=self._asked,
            people=tuple(self._person(index, seconds) for index in range(len(self._asked))),
            faces=tuple(self._faces),
            times=tuple(self._times),
            frame_numbers=tuple(self._numbers),
            seconds=seconds,
            size=self._size,
            cuts=tuple(self._cuts),
            swapped=any(self._orders) if self._ordered and self._orders else None,
            scale=self._scale,
            is_calibrated=self._judge.is_calibrated,
            measure=self._judge.measure,
        )

    def _end_shot(self) -> None:
        if not self._shot:
            return
        first = len(self._times) - len(self._shot)
        frames, self._shot = np.stack(self._shot), []
        tracks = self._judge.track(frames)
        in_order = sorted(range(len(tracks)), key=lambda at: (tracks[at].frame_indices[0], tracks[at].centre[0]))
        index_of = {}
        for at in in_order:
            index_of[at] = len(self._faces)
            self._faces.append(self._face(tracks[at], first))
        assessment = self._judge.assess_tracks(
            tracks, self._references, num_frames=len(frames), scale=self._scale, needs_limit=True
        )
        for person, assessed in enumerate(assessment.people):
            if assessed.track is not None:
                self._matched[person].append(index_of[assessed.track])
        swapped = find_confusion(
            tracks,
            self._references,
            scale=self._scale,
            num_frames=len(frames),
            ordered=self._ordered,
            measure=self._judge.measure,
        ).swapped
        if swapped is not None:
            self._orders.append(swapped)

    def _face(self, track: TrackEmbeddings, first: int) -> SeenFace:
        assert track.boxes is not None
        assert track.landmarks is not None  # the judge's tracks have both
        limit = self._scale.same_person_limit
        likeness = compare_faces(track.embeddings, self._references, measure=self._judge.measure)  # (T, N)
        mean = np.asarray(likeness.mean(axis=0), dtype=np.float32)
        seen_as = most_alike(mean, limit)
        return SeenFace(
            number=len(self._faces) + 1,
            frames=tuple(first + index for index in track.frame_indices),
            boxes=track.boxes,
            landmarks=track.landmarks,
            likeness=likeness,
            seen_as=seen_as,
            also_like=tuple(int(index) for index in np.flatnonzero(mean > limit) if index != seen_as),
            is_switching=is_switching(likeness, limit),
            changes=None
            if seen_as == STRANGER
            else measure_changes(
                track.embeddings,
                track.landmarks,
                self._references[seen_as],
                self._asked[seen_as].faces[0].landmarks,
                measure=self._judge.measure,
            ),
        )

    def _person(self, person: int, seconds: float) -> PersonJudgement:
        own = [face for face in self._faces if face.seen_as == person]
        matched = [self._faces[index] for index in self._matched[person]]
        as_themselves = [face for face in matched if face.seen_as == person]
        if as_themselves:
            matched = as_themselves
        elif matched:  # of several shots without them, the face that comes nearest
            matched = [max(matched, key=lambda face: float(face.mean_likeness[person]))]
        frames = {frame for face in own for frame in face.frames}
        rows = np.concatenate([face.likeness[:, person] for face in matched]) if matched else None
        told_by = own or matched
        best = max(
            ((float(value), frame) for face in told_by
             for value, frame in zip(face.likeness[:, person], face.frames, strict=True)),
            default=None,
        )  # fmt: skip
        status: Status = "right" if len(frames) >= _LASTING * len(self._times) else "partly"
        in_their_place = None
        if not own and matched:
            status = "stranger"
            if matched[0].seen_as != STRANGER:
                status, in_their_place = "replaced", self._asked[matched[0].seen_as].name
        elif not own:
            status = "missing"
        return PersonJudgement(
            name=self._asked[person].name,
            status=status,
            likeness=None if rows is None else float(rows.mean()),
            frames_seen=len(frames),
            frames_matched=len({frame for face in matched for frame in face.frames}),
            spans=_spans(sorted(frames), self._times, seconds),
            faces=tuple(face.number for face in told_by),
            best_frame=None if best is None else best[1],
            in_their_place=in_their_place,
            changes=max(own, key=lambda face: len(face.frames)).changes if own else None,
        )


class _CutFinder:
    """Tells where a film cuts from one shot to another: the picture changes at once, and much more than before."""

    def __init__(self) -> None:
        self._last: Float32Array | None = None
        self._changes: list[float] = []

    def is_cut(self, frame: UInt8Array) -> bool:
        """Whether a new shot begins with the next frame (H, W, 3)."""
        small: Float32Array = np.asarray(
            Image.fromarray(frame).resize(_THUMBNAIL, Image.Resampling.BOX), np.float32
        ) / np.float32(255)
        last, self._last = self._last, small
        if last is None:
            return False
        change = float(np.abs(small - last).mean())
        usual = max([_STEADY, *self._changes[-_FRAMES_BEFORE:]])
        if change > _CUT and change > _CUT_STANDS_OUT * usual:
            self._changes = []
            return True
        self._changes.append(change)
        return False


def _spans(frames: Sequence[int], times: Sequence[float], seconds: float) -> tuple[tuple[float, float], ...]:
    """Runs of frames as seconds from when to when; a few frames without a face end no run."""
    spans: list[list[int]] = []
    for frame in frames:
        if spans and frame - spans[-1][1] <= _SHORT_GAP + 1:
            spans[-1][1] = frame
        else:
            spans.append([frame, frame])

    def ends(frame: int) -> float:
        return times[frame + 1] if frame + 1 < len(times) else max(seconds, times[frame])

    return tuple((times[first], ends(last)) for first, last in spans)


_SHORT_GAP = 3
"""Frames; as many as a track may miss a face."""


def _rounded(number: float | None) -> float | None:
    return None if number is None else round(number, 4)
