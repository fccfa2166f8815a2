"""Any video, judged: who of some photos is who in it, when, how alike, and what went wrong.

A video is looked at shot by shot, so that a face is never followed across a cut. What is made of it is a `Judgement`.

Legend: F frames, H/W pixels, N people, T frames of a track, D embedding.
"""

import itertools
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from ingredients.core.arrays import Float32Array, UInt8Array
from ingredients.core.errors import MissingDependencyError, PhotoError
from ingredients.core.protocols import ProgressCallback
from ingredients.core.warnings_told import Notice
from ingredients.evaluation.assessment import compare_faces
from ingredients.evaluation.changes import STRANGER, find_confusion, is_switching, measure_changes
from ingredients.evaluation.judge import Judge
from ingredients.evaluation.judges import Judges, load_judges
from ingredients.evaluation.names import DLIB, MODEL
from ingredients.evaluation.turns import FollowedFace, clear_margin, find_turns, untangle
from ingredients.faces.identity_photos import IdentityPhotos
from ingredients.generation.judgement import (
    AskedPerson,
    Judgement,
    PersonJudgement,
    SeenFace,
    Status,
    frames_to_spans,
)
from ingredients.media.video import iterate_video, measure_video
from ingredients.pipelines.people import PeopleInput, identity_photos
from ingredients.visualisation.contact_sheet import evenly_spread

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
        asked: the people who are looked for.
        ordered: whether they should stand in this order from left to right.
        looks_per_second: frames of each second that are looked at; None: all.
        progress: told of each frame that was looked at, by its number; what it raises ends the work.

    Raises:
        UserInputError: if the video cannot be read.
    """
    size = measure_video(path, most_frames=_MOST_FRAMES)

    def tell(number: int) -> None:
        if progress is not None:
            progress(number, size.num_frames)

    watcher = _Watcher(judge, asked, ordered=ordered, on_look=tell)
    for frame in iterate_video(path, most_per_second=looks_per_second):
        watcher.watch(frame.pixels, number=frame.index, seconds=frame.seconds)
    judgement = watcher.judgement(seconds=size.num_frames / size.fps)
    tell(size.num_frames)
    return judgement


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
        frames: the frames of the video.
        judge: who looks.
        asked: the people who are looked for.
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
        self,
        judge: Judge,
        asked: Sequence[AskedPerson],
        *,
        ordered: bool = False,
        finds_cuts: bool = True,
        on_look: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._judge, self._asked, self._ordered = judge, tuple(asked), ordered
        self._on_look = on_look  # told the number of each frame whose faces were found, counted from 1
        one_photo_each = all(len(person.photos) == 1 for person in asked)
        self._scale = judge.one_photo_scale if one_photo_each else judge.scale
        self._references = np.stack([person.reference for person in asked])  # (N, D)
        self._clear = clear_margin(self._scale, measure=judge.measure, is_calibrated=judge.is_calibrated)
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
        followed = untangle(
            self._judge.track(frames, progress=lambda done, _: self._on_look(self._numbers[first + done - 1] + 1)),
            self._references,
            limit=self._scale.same_person_limit,
            margin=self._clear,
            frame_size=self._size,
            measure=self._judge.measure,
            tracking=self._judge.tracking,
        )
        tracks = [face.track for face in followed]
        in_order = sorted(range(len(tracks)), key=lambda at: (tracks[at].frame_indices[0], tracks[at].centre[0]))
        index_of = {}
        for at in in_order:
            index_of[at] = len(self._faces)
            self._faces.append(self._face(followed[at], first))
        is_turning = any(len(self._faces[index].stretches) > 1 for index in index_of.values())
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
        if swapped is not None and not is_turning:  # who turns has no one place
            self._orders.append(swapped)

    def _face(self, followed: FollowedFace, first: int) -> SeenFace:
        track = followed.track
        assert track.boxes is not None
        assert track.landmarks is not None  # the judge's tracks have both
        seen_as = max(followed.stretches, key=len).seen_as
        return SeenFace(
            number=len(self._faces) + 1,
            frames=tuple(first + index for index in track.frame_indices),
            boxes=track.boxes,
            landmarks=track.landmarks,
            likeness=followed.likeness,
            stretches=followed.stretches,
            is_switching=is_switching(followed.likeness, self._scale.same_person_limit),
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
        own = [face for face in self._faces if face.shows(person)]
        matched = [self._faces[index] for index in self._matched[person]]
        as_themselves = [face for face in matched if face.shows(person)]
        if as_themselves:
            matched = as_themselves
        elif matched:  # of several shots without them, the face that comes nearest
            matched = [max(matched, key=lambda face: float(face.mean_likeness[person]))]
        frames = {
            frame
            for face in own
            for stretch in face.stretches
            if stretch.seen_as == person
            for frame in face.frames_of(stretch)
        }
        rows = np.concatenate([face.likeness[:, person] for face in matched]) if matched else None
        told_by = own or matched
        best = max(
            ((float(value), frame) for face in told_by
             for value, frame in zip(face.likeness[:, person], face.frames, strict=True)),
            default=None,
        )  # fmt: skip
        turns = tuple(turn for turn in find_turns(self._faces) if turn.was == person)
        status: Status = "right" if len(frames) >= _LASTING * len(self._times) else "partly"
        in_their_place = None
        if any(turn.becomes != STRANGER for turn in turns):
            status = "changed"
        elif not own and matched:
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
            spans=frames_to_spans(sorted(frames), self._times, seconds),
            faces=tuple(face.number for face in told_by),
            best_frame=None if best is None else best[1],
            in_their_place=in_their_place,
            turns=turns,
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
