"""What a judge says of a video: who is who, when, how alike, who becomes whom, and what went wrong.

What a shot shows is decided by the same definitions as in an evaluation (`evaluation/assessment.py`,
`evaluation/changes.py`), with one more: a face that is one person for a while and then another is told of by its
stretches (`evaluation/turns.py`). Here it is put into words, with times, and into pictures of the frames to look at.

Legend: F frames, H/W pixels, N people, T frames of a face, D embedding.
"""

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np

from ingredients.core.arrays import Float32Array, UInt8Array
from ingredients.core.protocols import Face
from ingredients.evaluation.assessment import Measure, SimilarityScale
from ingredients.evaluation.changes import STRANGER, FaceChanges, most_alike
from ingredients.evaluation.turns import Stretch, Turn, find_turns, is_exchange
from ingredients.faces.alignment import crop_ffhq
from ingredients.visualisation.contact_sheet import evenly_spread
from ingredients.visualisation.judged_video import (
    STRANGER_COLOUR,
    FaceMark,
    MarkedFrame,
    PersonPanel,
    TimelineBar,
    TimelineRow,
    judged_sheet,
)
from ingredients.visualisation.layout import Colour, identity_colour

Status: TypeAlias = Literal["right", "partly", "changed", "replaced", "stranger", "missing"]

_SHORT_GAP = 3
"""Frames that a span may miss; as many as a face may be missed without ending."""

_SHEET_FRAMES = 12
_SHEET_CROP = 160
_MOST_LISTED, _MOST_TURNS = 8, 6

_ONE_SLIP = 3
"""Runs of a face that is somebody else once, for fewer frames than make a turn: as behind another's head."""


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

    stretches: tuple[Stretch, ...]
    """Whom it shows, one after the other; one for a face that stays who it is."""

    is_switching: bool
    """Whether a fifth of its frames show another person than the rest, in whatever order."""

    changes: FaceChanges | None
    """How it changes over its frames, compared with the person whom it is seen as; None for a stranger."""

    @property
    def seen_as(self) -> int:
        """Index of the person whom it shows for longest, or `STRANGER`."""
        return max(self.stretches, key=len).seen_as

    @property
    def turns(self) -> Iterator[tuple[Stretch, Stretch]]:
        """Stretches of which the second begins where the first ends."""
        return itertools.pairwise(self.stretches)

    @property
    def beginnings(self) -> list[tuple[int, int]]:
        """Whom each stretch shows, and its first frame."""
        return [(stretch.seen_as, self.frames[stretch.first]) for stretch in self.stretches]

    def shows(self, person: int) -> bool:
        """Whether it is seen as a person, or as a stranger, at some time."""
        return any(stretch.seen_as == person for stretch in self.stretches)

    def at(self, frame: int) -> int:
        """Whom it shows in one of its frames."""
        position = self.frames.index(frame)
        return next(stretch.seen_as for stretch in self.stretches if position < stretch.end)

    def frames_of(self, stretch: Stretch) -> tuple[int, ...]:
        """Those of its frames that a stretch has."""
        return self.frames[stretch.first : stretch.end]

    def sure_frames_of(self, stretch: Stretch) -> tuple[int, ...]:
        """The same without those beside a turn, which belong to the one person as much as to the other."""
        first = stretch.first + (stretch.first > 0)
        return self.frames[first : stretch.end - (stretch.end < len(self.frames))]

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
    """`right`: seen in at least half of the frames; `partly`: in fewer; `changed`: seen, but the face becomes somebody
    else of those asked for; otherwise not seen, and in their place is somebody else of those asked for (`replaced`), a
    `stranger`, or nobody (`missing`)."""

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

    turns: tuple[Turn, ...] = ()
    """When a face that is seen as the person becomes somebody else, in their order."""

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
    def turns(self) -> tuple[Turn, ...]:
        """All moments at which a face becomes somebody else, in their order."""
        return find_turns(self.faces)

    @property
    def exchanged(self) -> tuple[tuple[str, str, float, float | None], ...]:
        """Who wears whose face from when until when, once for both: two names and seconds, None for the end."""
        turns = self.turns
        found: list[tuple[str, str, float, float | None]] = []
        worn: dict[frozenset[int], int] = {}
        for index, turn in enumerate(turns):
            if not turn.is_exchange or any(is_exchange(turn, other) for other in turns[:index]):
                continue
            faces = frozenset((turn.face, *(other.face for other in turns if is_exchange(turn, other))))
            seconds = self.times[turn.frame]
            if faces in worn:  # back again
                place = worn.pop(faces)
                found[place] = (found[place][0], found[place][1], found[place][2], seconds)
            else:
                worn[faces] = len(found)
                found.append((self.asked[turn.was].name, self.asked[turn.becomes].name, seconds, None))
        return tuple(found)

    @property
    def doubled(self) -> tuple[tuple[str, float], ...]:
        """Who is seen twice at the same time, and from when on."""
        first: dict[int, int] = {}
        for one, other in itertools.combinations(self.faces, 2):
            for here, there in itertools.product(one.stretches, other.stretches):
                if here.seen_as == there.seen_as != STRANGER:
                    shared = set(one.sure_frames_of(here)) & set(other.sure_frames_of(there))
                    if shared:
                        first[here.seen_as] = min(min(shared), first.get(here.seen_as, min(shared)))
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
        turned = self.words_of_turn(person)
        if person.status == "changed":
            return turned
        if person.status == "right":
            seen = f"right, {alike}" + ("" if share > 0.995 else f", in {share:.0%} of the frames")
            return f"{seen}; {turned}" if turned else seen
        if person.status == "partly":
            seen = f"seen in only {share:.0%} of the frames, {alike}"
            return f"{seen}; {turned}" if turned else seen
        if person.status == "replaced":
            return f"not seen; in their place is {person.in_their_place} ({alike} to {person.name})"
        if person.status == "stranger":
            return f"not seen; the most alike is a stranger ({alike})"
        return "missing: no face is left for them"

    def words_of_turn(self, person: PersonJudgement) -> str:
        """When the person becomes whom, first of all somebody who was asked for; empty for one who stays."""
        if not person.turns:
            return ""
        turn = next((each for each in person.turns if each.becomes != STRANGER), person.turns[0])
        ends = (each.frame for each in self.turns if each.face == turn.face and each.frame > turn.frame)
        since, until = self.times[turn.frame], next((self.times[frame] for frame in ends), None)
        if turn.becomes == STRANGER:
            return f"not recognised {_from_until(since, until)}"
        likenesses = [self.words_of(each) for each in (turn.likeness_before, turn.likeness_after)]
        before, after = ("until then", "after") if until is None else ("before", "meanwhile")
        numbers = f"{likenesses[0]} {before}, {likenesses[1].rpartition(' ')[2]} {after}"
        name = self.asked[turn.becomes].name
        if turn.is_exchange:
            return f"exchanged with {name} {_from_until(since, until)} ({numbers})"
        return f"becomes {name} {f'at {since:.1f} s' if until is None else _from_until(since, until)} ({numbers})"

    @property
    def remarks(self) -> list[str]:
        """What a viewer should know beside each person's verdict, a sentence each."""
        remarks = []
        if self.swapped:
            remarks.append("Swapped: everybody is there, but they stand in another order than asked for.")
        for one, other, begins, ends in self.exchanged:
            remarks.append(f"Exchanged: {one} and {other} wear each other's face {_from_until(begins, ends)}.")
        for name, seconds in self.doubled:
            remarks.append(f"Doubled: two faces are {name} at the same time, from {seconds:.1f} s on.")
        numbers = {turn.face for turn in self.turns if not turn.is_exchange}
        turning = [face for face in self.faces if face.number in numbers]
        for face in turning[:_MOST_LISTED]:
            in_turn = self._in_turn(face.beginnings)
            remarks.append(f"Turning: face {face.number} is {in_turn}.")
        if len(turning) > _MOST_LISTED:
            remarks.append(f"{len(turning) - _MOST_LISTED} more faces turn, too.")
        for face in self.faces:
            for stretch in face.stretches:
                if stretch.also_like:
                    people = [self.asked[index].name for index in (stretch.seen_as, *stretch.also_like)]
                    since = "" if len(face.stretches) == 1 else f" from {self._since(face, stretch)} on"
                    remarks.append(f"Blended: face {face.number} is like {' and '.join(people)} at once{since}.")
            runs = self._runs(face)
            if face.is_switching and len(face.stretches) == 1 and len(runs) > _ONE_SLIP:
                remarks.append(f"Switching: face {face.number} is {self._in_turn(runs)}.")
        strangers = [face for face in self.faces if all(stretch.seen_as == STRANGER for stretch in face.stretches)]
        if len(strangers) == 1:
            remarks.append(f"A stranger: face {strangers[0].number} is nobody of those asked for.")
        elif strangers:
            listed = ", ".join(str(face.number) for face in strangers[:_MOST_LISTED])
            more = " ..." if len(strangers) > _MOST_LISTED else ""
            remarks.append(f"Strangers: faces {listed}{more} are nobody of those asked for.")
        if not self.faces:
            remarks.append("No face was followed in the video at all.")
        if self.cuts:
            remarks.append(
                f"The video has {len(self.cuts) + 1} shots; a face is followed within a shot, and people are told "
                "anew in each."
            )
        return remarks

    def _since(self, face: SeenFace, stretch: Stretch) -> str:
        return f"{self.times[face.frames[stretch.first]]:.1f} s"

    def _runs(self, face: SeenFace) -> list[tuple[int, int]]:
        """Who a face is frame by frame, and the frame from which on; frames of a stranger are left out."""
        limit = self.scale.same_person_limit
        seen = [(most_alike(row, limit), frame) for row, frame in zip(face.likeness, face.frames, strict=True)]
        sure = itertools.groupby((pair for pair in seen if pair[0] != STRANGER), key=lambda pair: pair[0])
        return [next(group) for _, group in sure]

    def _in_turn(self, runs: Sequence[tuple[int, int]]) -> str:
        """Who a face is, and from when on."""
        words = [f"{self.name_of(person)} from {self.times[frame]:.1f} s" for person, frame in runs[:_MOST_TURNS]]
        return ", ".join(words) + (" and so on" if len(runs) > _MOST_TURNS else "")

    def spans(self, frames: Iterable[int]) -> tuple[tuple[float, float], ...]:
        """Seconds from when to when some of the frames are shown; a short gap ends no span."""
        return frames_to_spans(sorted(frames), self.times, self.seconds)

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
            at, seen_as = face.frames.index(frame), face.at(frame)
            is_somebody = seen_as != STRANGER
            person = seen_as if is_somebody else int(face.mean_likeness.argmax())
            number = self.words_of(float(face.likeness[at, person])).rpartition(" ")[2]
            name = self.asked[person].name if is_somebody else "stranger"
            marks.append(
                FaceMark(
                    box=face.boxes[at],
                    label=f"{name} {number}" if is_somebody else name,
                    colour=self.colour_of(seen_as),
                )
            )
        return marks

    def colour_of(self, person: int) -> Colour:
        """The colour of a person, or of strangers."""
        return STRANGER_COLOUR if person == STRANGER else identity_colour(person)

    def best_face(self, person: PersonJudgement) -> tuple[SeenFace, int] | None:
        """The face of a person's best frame that is most alike in it, and the frame's place in the face's frames."""
        index = self._index_of(person)
        found = [
            (face, face.frames.index(person.best_frame))
            for face in self.faces
            if face.number in person.faces and person.best_frame in face.frames
        ]
        return max(found, key=lambda each: float(each[0].likeness[each[1], index]), default=None)

    def _index_of(self, person: PersonJudgement) -> int:
        return [asked.name for asked in self.asked].index(person.name)

    def face_boxes(self, person: PersonJudgement, num_frames: int) -> Float32Array | None:
        """The boxes (F, 4) of the face that is longest the person's; None for who is not in the video.

        NaN stands where it was not seen, or shows somebody else of those asked for.

        Args:
            person: one of `people`.
            num_frames: F, of the whole video.
        """
        index = self._index_of(person)
        faces = [face for face in self.faces if face.number in person.faces]
        if not faces:
            return None

        def own_frames(face: SeenFace) -> list[int]:
            shown = (index, STRANGER) if face.shows(index) else {stretch.seen_as for stretch in face.stretches}
            return [at for at, frame in enumerate(face.frames) if face.at(frame) in shown]

        longest = max(faces, key=lambda face: len(own_frames(face)))
        own = own_frames(longest)
        boxes = np.full((num_frames, 4), np.nan, np.float32)
        boxes[[self.frame_numbers[longest.frames[at]] for at in own]] = longest.boxes[own]
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
                which = "most alike" if person.status in ("right", "partly", "changed") else "in their place"
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
                label=f"face {face.number}: {self._names_in_turn(face)}",
                bars=[
                    TimelineBar(first=first, last=last, colour=self.colour_of(stretch.seen_as))
                    for stretch in face.stretches
                    for first, last in self.spans(face.frames_of(stretch))
                ],
            )
            for face in self.faces
        ]
        marked = [
            MarkedFrame(title=f"{self.times[index]:.2f} s", pixels=pixels, marks=self.marks(index))
            for index, pixels in sorted(frames.items())
        ]
        remarks = [*self.remarks, f"({self.explanation})"]
        return judged_sheet(title, remarks, panels, rows, marked, seconds=self.seconds, cuts=self.cuts)

    def _names_in_turn(self, face: SeenFace) -> str:
        names = [self.name_of(stretch.seen_as) for stretch in face.stretches]
        return ", then ".join(names[:2]) + (" and so on" if len(names) > 2 else "")

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
                    "turns": [
                        {
                            "seconds": round(self.times[turn.frame], 3),
                            "becomes": self._name_or_none(turn.becomes),
                            "exchanged": turn.is_exchange,
                            "face": turn.face,
                        }
                        for turn in person.turns
                    ],
                    "drift": _rounded(None if person.changes is None else person.changes.drift),
                    "copy_paste": _rounded(None if person.changes is None else person.changes.copy_paste),
                    "best_frame": None if person.best_frame is None else self.frame_numbers[person.best_frame],
                }
                for person in self.people
            ],
            "faces": [
                {
                    "number": face.number,
                    "seen_as": self._name_or_none(face.seen_as),
                    "also_like": sorted(
                        {self.asked[index].name for stretch in face.stretches for index in stretch.also_like}
                    ),
                    "switching": face.is_switching,
                    "stretches": [
                        {
                            "seen_as": self._name_or_none(stretch.seen_as),
                            "seconds": [
                                [round(first, 3), round(last, 3)]
                                for first, last in self.spans(face.frames_of(stretch))
                            ],
                        }
                        for stretch in face.stretches
                    ],
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
            "exchanged": [
                {
                    "people": [one, other],
                    "seconds": round(since, 3),
                    "until": None if until is None else round(until, 3),
                }
                for one, other, since, until in self.exchanged
            ],
            "blended": any(stretch.also_like for face in self.faces for stretch in face.stretches),
            "doubled": [name for name, _ in self.doubled],
            "missing": [person.name for person in self.people if person.frames_seen == 0],
            "cuts": [round(cut, 3) for cut in self.cuts],
            "remarks": self.remarks,
        }

    def _name_or_none(self, person: int) -> str | None:
        return None if person == STRANGER else self.asked[person].name

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


def frames_to_spans(frames: Sequence[int], times: Sequence[float], seconds: float) -> tuple[tuple[float, float], ...]:
    """Runs of frames as seconds from when to when; a few frames without a face end no run.

    Args:
        frames: ascending, of those looked at.
        times: seconds of each frame that was looked at.
        seconds: length of the video.
    """
    spans: list[list[int]] = []
    for frame in frames:
        if spans and frame - spans[-1][1] <= _SHORT_GAP + 1:
            spans[-1][1] = frame
        else:
            spans.append([frame, frame])

    def ends(frame: int) -> float:
        return times[frame + 1] if frame + 1 < len(times) else max(seconds, times[frame])

    return tuple((times[first], ends(last)) for first, last in spans)


def _from_until(since: float, until: float | None) -> str:
    return f"from {since:.1f} s on" if until is None else f"from {since:.1f} to {until:.1f} s"


def _rounded(number: float | None) -> float | None:
    return None if number is None else round(number, 4)
