"""Validates a data set: everything that training would trip over, clip by clip, and what becomes of such clips.

Legend: F frames, H/W pixels.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

from ingredients.core.arrays import BoolArray
from ingredients.core.errors import UserInputError
from ingredients.core.protocols import OnBadInput, ProgressCallback
from ingredients.data.clip_source import ClipItem, ClipSource
from ingredients.data.mask_files import read_masks
from ingredients.data.record_json import BadRecordError
from ingredients.data.schema import ClipRecord, PersonTrack, Points
from ingredients.media.photos import load_photo
from ingredients.media.video import measure_video

MOST_CAPTION_WORDS = 200
"""Longer ones pass the 226 tokens that CogVideoX reads."""

_SLACK = 1.0
"""Pixels by which a box or a landmark may stick out of the picture, for rounding."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ClipProblem:
    """Something wrong with a clip."""

    clip_id: str
    """The clip, or the line, the sample or the shard where it should be."""

    problem: str
    """What, in one sentence."""

    is_fatal: bool = True
    """Whether training cannot use the clip; otherwise it is doubtful."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DataReport:
    """What a check found."""

    num_clips: int
    """Clips of the data set, with the lines, samples and shards that should hold some."""

    num_usable: int
    """Clips without a fatal problem."""

    num_people: dict[int, int]
    """Usable clips by how many people they show."""

    num_frames: int
    """Frames of all usable clips."""

    problems: tuple[ClipProblem, ...]
    """What is wrong, in the order of the data set."""


def check_clips(source: ClipSource, *, progress: ProgressCallback | None = None) -> DataReport:
    """Checks every clip of a data set: record, video, masks, references, caption, people.

    Raises:
        OutputError: if there is no room to unpack a clip.
    """
    num_clips = source.count() if progress is not None else 0
    problems: list[ClipProblem] = []
    people_of_usable: list[int] = []
    done = num_frames = 0
    for done, (where, record) in enumerate(source, start=1):
        found = check_item(source, where, record)
        problems += found
        if not isinstance(record, BadRecordError) and not any(problem.is_fatal for problem in found):
            people_of_usable.append(len(record.people))
            num_frames += record.num_frames
        if progress is not None:
            progress(done, max(done, num_clips))
    return DataReport(
        num_clips=done,
        num_usable=len(people_of_usable),
        num_people={number: people_of_usable.count(number) for number in sorted(set(people_of_usable))},
        num_frames=num_frames,
        problems=tuple(problems),
    )


def check_item(source: ClipSource, where: str, record: ClipRecord | BadRecordError) -> list[ClipProblem]:
    """Everything that is wrong with the current item of a data set, under a name by which a person finds it."""
    if isinstance(record, BadRecordError):
        return [ClipProblem(clip_id=where, problem=str(record))]
    found = check_clip(record)
    if source.keeps_files:
        return found
    folder = f"{record.video.parent}/"  # a temporary one: its name would tell nobody anything
    return [
        dataclasses.replace(problem, clip_id=where, problem=problem.problem.replace(folder, "")) for problem in found
    ]


def check_clip(record: ClipRecord) -> list[ClipProblem]:
    """Everything that is wrong with one clip."""
    fatal = _video_problems(record)
    if not record.caption.strip():
        fatal.append("It has no caption.")
    if not record.people:
        fatal.append("It has no people.")
    doubts = []
    if (num_words := len(record.caption.split())) > MOST_CAPTION_WORDS:
        doubts.append(f"Its caption has {num_words} words, and the end of it will not be read.")
    for index, person in enumerate(record.people):
        found = _track_problems(record, person) + _mask_problems(record, person) + _photo_problems(person)
        fatal += [f"Person {index}: {problem}" for problem in found]
        doubts += [f"Person {index}: {doubt}" for doubt in _track_doubts(record, person)]
    return [ClipProblem(clip_id=record.clip_id, problem=problem) for problem in fatal] + [
        ClipProblem(clip_id=record.clip_id, problem=problem, is_fatal=False) for problem in doubts
    ]


def _video_problems(record: ClipRecord) -> list[str]:
    try:
        video = measure_video(record.video, most_frames=record.num_frames + 1)
    except UserInputError as error:
        return [str(error)]
    problems = []
    if video.num_frames > record.num_frames:
        problems.append(f"The video has more than the {record.num_frames} frames that its record says.")
    elif video.num_frames < record.num_frames:
        problems.append(f"The video has {video.num_frames} frames, and its record says {record.num_frames}.")
    if (video.height, video.width) != (record.height, record.width):
        problems.append(
            f"The video is {video.width}x{video.height}, and its record says {record.width}x{record.height}."
        )
    if abs(video.fps - record.fps) > 0.01 * record.fps:
        problems.append(f"The video has {video.fps:g} frames a second, and its record says {record.fps:g}.")
    return problems


def _track_problems(record: ClipRecord, person: PersonTrack) -> list[str]:
    if not person.frames_with_face:
        return ["no frame has a face."]
    empty, outside, without_points, far_points = [], [], [], []
    for frame in person.frames_with_face:
        box, points = person.boxes[frame], person.landmarks[frame]
        assert box is not None
        left, top, right, bottom = box
        if not (left < right and top < bottom):
            empty.append(frame)
        elif not (_is_inside(record, left, top) and _is_inside(record, right, bottom)):
            outside.append(frame)
        if points is None:
            without_points.append(frame)
        elif _num_outside(record, points) == len(points):
            far_points.append(frame)
    return [
        problem.format(_frames(frames))
        for problem, frames in (
            ("the box in {} is empty.", empty),
            ("the box in {} lies outside of the picture.", outside),
            ("{} has a box but no landmarks.", without_points),
            ("the landmarks in {} lie outside of the picture.", far_points),
        )
        if frames
    ]


def _track_doubts(record: ClipRecord, person: PersonTrack) -> list[str]:
    frames = [
        frame
        for frame in person.frames_with_face
        if (points := person.landmarks[frame]) is not None and 0 < _num_outside(record, points) < len(points)
    ]
    return [f"some landmarks in {_frames(frames)} lie outside of the picture."] if frames else []


def _mask_problems(record: ClipRecord, person: PersonTrack) -> list[str]:
    problems = []
    size = {"num_frames": record.num_frames, "height": record.height, "width": record.width}
    strips: list[BoolArray] = []
    for path in (person.face_masks, person.person_masks):
        if path is None:
            continue
        try:
            strips.append(read_masks(path, **size))
        except UserInputError as error:
            problems.append(str(error))
            continue
        if not strips[-1].any():
            problems.append(f"the masks {path.name} are empty.")
    if problems:
        return problems
    face_masks = strips[0]
    if person.frames_with_face and not any(_has_mask_in_box(face_masks, person, f) for f in person.frames_with_face):
        problems.append(f"the masks {person.face_masks.name} never overlap the boxes.")
    if len(strips) > 1 and not (face_masks & strips[1]).any():
        problems.append("the masks of the face and of the person never overlap.")
    return problems


def _has_mask_in_box(masks: BoolArray, person: PersonTrack, frame: int) -> bool:
    box = person.boxes[frame]
    assert box is not None
    height, width = masks.shape[1:]
    left, right = (round(min(max(edge, 0), width)) for edge in box[::2])
    top, bottom = (round(min(max(edge, 0), height)) for edge in box[1::2])
    return bool(masks[frame, top : max(bottom, top + 1), left : max(right, left + 1)].any())


def _photo_problems(person: PersonTrack) -> list[str]:
    problems = []
    for photo in person.references:
        try:
            load_photo(photo)
        except UserInputError as error:
            problems.append(str(error))
    return problems


def _num_outside(record: ClipRecord, points: Points) -> int:
    return sum(not _is_inside(record, across, down) for across, down in points)


def _is_inside(record: ClipRecord, across: float, down: float) -> bool:
    return -_SLACK <= across <= record.width + _SLACK and -_SLACK <= down <= record.height + _SLACK


def _frames(frames: Sequence[int]) -> str:
    """Names the first of some frames, and says how many more there are."""
    return f"frame {frames[0]}" + (f" (and {len(frames) - 1} more)" if len(frames) > 1 else "")


OnBadClip = Literal["skip", "stop"]
"""Whether a clip that cannot be used is reported and left out, or ends the work."""


def iterate_usable(source: ClipSource, on_bad: OnBadClip, on_bad_input: OnBadInput) -> Iterator[ClipRecord]:
    """The clips of a data set that can be used, each checked when its turn comes.

    Args:
        source: the data set. The files of a record exist until the next one is asked for.
        on_bad: what to do about a clip that cannot be used.
        on_bad_input: told, under "skip", where a bad clip is and everything that is wrong with it.

    Raises:
        UserInputError: under "stop", for the first clip that cannot be used.
    """
    return select_usable(source, source, on_bad, on_bad_input)


def select_usable(
    source: ClipSource, items: Iterable[ClipItem], on_bad: OnBadClip, on_bad_input: OnBadInput
) -> Iterator[ClipRecord]:
    """The usable ones of some items of a data set; everything else is as in `iterate_usable`."""
    for where, record in items:
        fatal = [problem for problem in check_item(source, where, record) if problem.is_fatal]
        if not fatal:
            assert not isinstance(record, BadRecordError)
            yield record
            continue
        name, problem = fatal[0].clip_id, " ".join(found.problem for found in fatal)
        if on_bad == "stop":
            raise UserInputError(
                f"The clip {name} of {source.path} cannot be used: {problem} Repair it, or choose to skip such clips."
            )
        on_bad_input(name, problem)
