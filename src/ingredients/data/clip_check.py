"""Validates a data set: everything that training would trip over, clip by clip.

Legend: F frames, H/W pixels.
"""

import dataclasses
from pathlib import Path

from ingredients.core.errors import UserInputError
from ingredients.core.protocols import ProgressCallback
from ingredients.data.clip_folder import METADATA_NAME, BadRecordError, iterate_records
from ingredients.data.mask_files import read_masks
from ingredients.data.schema import ClipRecord, PersonTrack
from ingredients.media.photos import load_photo
from ingredients.media.video import read_video

MOST_CAPTION_WORDS = 200
"""Longer ones pass the 226 tokens that CogVideoX reads."""

_SLACK = 1.0
"""Pixels by which a box may stick out of the picture, for rounding."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ClipProblem:
    """Something wrong with a clip."""

    clip_id: str
    """The clip, or the line where it should be."""

    problem: str
    """What, in one sentence."""

    is_fatal: bool = True
    """Whether training cannot use the clip; otherwise it is doubtful."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DataReport:
    """What a check found."""

    num_clips: int
    """Lines of the data set."""

    num_usable: int
    """Clips without a fatal problem."""

    num_people: dict[int, int]
    """Usable clips by how many people they show."""

    num_frames: int
    """Of all usable clips."""

    problems: tuple[ClipProblem, ...]
    """In the order of the data set."""


def check_clip_folder(folder: Path, *, progress: ProgressCallback | None = None) -> DataReport:
    """Checks every clip of a data set: record, video, masks, references, caption, people.

    Args:
        folder: of the data set.
        progress: told of the clips done.

    Raises:
        UserInputError: if there is no data set.
    """
    lines = list(iterate_records(folder))
    problems: list[ClipProblem] = []
    usable: list[ClipRecord] = []
    seen: dict[str, int] = {}
    for done, (number, record) in enumerate(lines, start=1):
        if isinstance(record, BadRecordError):
            problems.append(ClipProblem(clip_id=f"line {number}", problem=str(record)))
        else:
            found = check_clip(record)
            if record.clip_id in seen:
                found.append(
                    ClipProblem(
                        clip_id=record.clip_id,
                        problem=f"Lines {seen[record.clip_id]} and {number} of {METADATA_NAME} have this clip_id.",
                    )
                )
            seen.setdefault(record.clip_id, number)
            problems += found
            if not any(problem.is_fatal for problem in found):
                usable.append(record)
        if progress is not None:
            progress(done, len(lines))
    counts = [len(record.people) for record in usable]
    return DataReport(
        num_clips=len(lines),
        num_usable=len(usable),
        num_people={number: counts.count(number) for number in sorted(set(counts))},
        num_frames=sum(record.num_frames for record in usable),
        problems=tuple(problems),
    )


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
        fatal += [f"Person {index}: {problem}" for problem in _person_problems(record, person)]
    return [ClipProblem(clip_id=record.clip_id, problem=problem) for problem in fatal] + [
        ClipProblem(clip_id=record.clip_id, problem=problem, is_fatal=False) for problem in doubts
    ]


def _video_problems(record: ClipRecord) -> list[str]:
    try:
        video = read_video(record.video)
    except UserInputError as error:
        return [str(error)]
    problems = []
    num_frames, height, width = video.frames.shape[:3]
    if num_frames != record.num_frames:
        problems.append(f"The video has {num_frames} frames, and its record says {record.num_frames}.")
    if (height, width) != (record.height, record.width):
        problems.append(f"The video is {width}x{height}, and its record says {record.width}x{record.height}.")
    if abs(video.fps - record.fps) > 0.01 * record.fps:
        problems.append(f"The video has {video.fps:g} frames a second, and its record says {record.fps:g}.")
    return problems


def _person_problems(record: ClipRecord, person: PersonTrack) -> list[str]:
    problems = []
    if not person.frames_with_face:
        problems.append("no frame has a face.")
    for frame in person.frames_with_face:
        box = person.boxes[frame]
        assert box is not None
        left, top, right, bottom = box
        if not (left < right and top < bottom):
            problems.append(f"the box in frame {frame} is empty.")
        elif left < -_SLACK or top < -_SLACK or right > record.width + _SLACK or bottom > record.height + _SLACK:
            problems.append(f"the box in frame {frame} lies outside of the picture.")
        if person.landmarks[frame] is None:
            problems.append(f"frame {frame} has a box but no landmarks.")
    try:
        masks = read_masks(person.face_masks, num_frames=record.num_frames, height=record.height, width=record.width)
        if not masks.any():
            problems.append(f"the masks {person.face_masks.name} are empty.")
    except UserInputError as error:
        problems.append(str(error))
    for photo in person.references:
        try:
            load_photo(photo)
        except UserInputError as error:
            problems.append(str(error))
    return problems
