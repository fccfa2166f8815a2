"""A data set as a folder of clips with `metadata.jsonl`, in the VideoFolder convention of Hugging Face's datasets.

metadata.jsonl          one line a clip, `file_name` and everything else of its `ClipRecord`
videos/ID.mp4
masks/ID-0.png          the visible face of person 0 in each frame (`data/mask_files.py`)
references/ID-0-1.png   photo 1 of person 0, where there are any

Files are named relative to the folder, so that it can be moved. Coordinates are rounded to a tenth of a pixel.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from ingredients.core.errors import UserInputError
from ingredients.core.files import atomic_path
from ingredients.data.schema import NUM_LANDMARKS, Box, ClipRecord, PersonTrack, Points

METADATA_NAME = "metadata.jsonl"

_CLIP_FIELDS = {"file_name", "clip_id", "fps", "num_frames", "height", "width", "caption", "people"}
_PERSON_FIELDS = {"person_id", "boxes", "landmarks", "face_masks", "references"}


class BadRecordError(UserInputError):
    """A line of `metadata.jsonl` that is no record."""


def read_clip_folder(folder: Path) -> list[ClipRecord]:
    """Reads the records of a data set.

    Raises:
        UserInputError: if there is none.
        BadRecordError: for a line that is no record, or an identity that two clips share; it names the line.
    """
    records: list[ClipRecord] = []
    lines: dict[str, int] = {}
    for number, record in iterate_records(folder):
        if isinstance(record, BadRecordError):
            raise record
        if record.clip_id in lines:
            raise BadRecordError(
                f"Lines {lines[record.clip_id]} and {number} of {folder / METADATA_NAME} have the same clip_id "
                f"{record.clip_id!r}; give each clip its own."
            )
        lines[record.clip_id] = number
        records.append(record)
    return records


def iterate_records(folder: Path) -> Iterator[tuple[int, ClipRecord | BadRecordError]]:
    """Each line's number and record, or what is wrong with it.

    Raises:
        UserInputError: if there is no data set.
    """
    path = folder / METADATA_NAME
    if not path.is_file():
        raise UserInputError(
            f"The folder {folder} holds no data set: it lacks {METADATA_NAME}; `ingredients world clips` makes one to "
            "look at."
        )
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                yield number, _parse_record(folder, json.loads(line))
            except (ValueError, TypeError, RecursionError) as error:
                yield number, BadRecordError(f"Line {number} of {path} is no record of a clip: {error}.")


def write_metadata(folder: Path, records: Sequence[ClipRecord]) -> None:
    """Writes `metadata.jsonl`, whole or not at all; the files it names are the caller's.

    Raises:
        ValueError: if a file lies outside of the folder.
        OutputError: if it cannot be written.
    """
    with atomic_path(folder / METADATA_NAME) as temporary:
        temporary.write_text(
            "".join(json.dumps(_to_json(folder, record), ensure_ascii=False) + "\n" for record in records),
            encoding="utf-8",
        )


def _to_json(folder: Path, record: ClipRecord) -> dict[str, Any]:
    return {
        "file_name": _relative(folder, record.video),
        "clip_id": record.clip_id,
        "fps": record.fps,
        "num_frames": record.num_frames,
        "height": record.height,
        "width": record.width,
        "caption": record.caption,
        "people": [
            {
                "person_id": person.person_id,
                "boxes": [None if box is None else [round(edge, 1) for edge in box] for box in person.boxes],
                "landmarks": [
                    None if points is None else [[round(value, 1) for value in point] for point in points]
                    for points in person.landmarks
                ],
                "face_masks": _relative(folder, person.face_masks),
                "references": [_relative(folder, photo) for photo in person.references],
            }
            for person in record.people
        ],
    }


def _relative(folder: Path, path: Path) -> str:
    return path.relative_to(folder).as_posix()


def _parse_record(folder: Path, values: Any) -> ClipRecord:
    _check_fields(values, _CLIP_FIELDS, "a clip")
    record = ClipRecord(
        clip_id=_text(values["clip_id"], "clip_id"),
        video=_inside(folder, values["file_name"], "file_name"),
        fps=float(values["fps"]),
        num_frames=_count(values["num_frames"], "num_frames"),
        height=_count(values["height"], "height"),
        width=_count(values["width"], "width"),
        caption="" if values["caption"] is None else _text(values["caption"], "caption", may_be_empty=True),
        people=tuple(_parse_person(folder, person) for person in _list(values["people"], "people")),
    )
    if not (record.fps > 0 and math.isfinite(record.fps)):
        raise ValueError(f"fps is {record.fps}, which is not a positive number")
    for index, person in enumerate(record.people):
        if {len(person.boxes), len(person.landmarks)} != {record.num_frames}:
            raise ValueError(
                f"person {index} has {len(person.boxes)} boxes and {len(person.landmarks)} sets of landmarks for "
                f"{record.num_frames} frames"
            )
    return record


def _parse_person(folder: Path, values: Any) -> PersonTrack:
    _check_fields(values, _PERSON_FIELDS, "a person", optional={"person_id", "references"})
    return PersonTrack(
        person_id=None if values.get("person_id") is None else _text(values["person_id"], "person_id"),
        boxes=tuple(None if box is None else _parse_box(box) for box in _list(values["boxes"], "boxes")),
        landmarks=tuple(
            None if points is None else _parse_points(points) for points in _list(values["landmarks"], "landmarks")
        ),
        face_masks=_inside(folder, values["face_masks"], "face_masks"),
        references=tuple(
            _inside(folder, photo, "a reference") for photo in _list(values.get("references", []), "references")
        ),
    )


def _parse_box(values: Any) -> Box:
    left, top, right, bottom = (_number(value) for value in values)
    return left, top, right, bottom


def _parse_points(values: Any) -> Points:
    points = tuple((_number(across), _number(down)) for across, down in values)
    if len(points) != NUM_LANDMARKS:
        raise ValueError(f"a face has {NUM_LANDMARKS} landmarks, not {len(points)}")
    return points


def _check_fields(values: Any, known: set[str], of_what: str, *, optional: set[str] | None = None) -> None:
    if not isinstance(values, Mapping):
        raise TypeError(f"{of_what} is a JSON object, not {type(values).__name__}")
    if missing := sorted(known - (optional or set()) - set(values)):
        raise ValueError(f"{', '.join(missing)} of {of_what} missing")
    if unknown := sorted(set(values) - known):
        raise ValueError(f"{of_what} has the unknown {', '.join(unknown)}")


def _inside(folder: Path, value: Any, name: str) -> Path:
    """A file of the data set; a name that leads out of it is no part of it."""
    relative = PurePosixPath(_text(value, name))
    if relative.is_absolute() or ".." in relative.parts:
        raise ValueError(f"{name} must lie in the folder of the data set, not at {value!r}")
    return folder / relative


def _list(value: Any, name: str) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(f"{name} must be a list, not {value!r}")
    return value


def _text(value: Any, name: str, *, may_be_empty: bool = False) -> str:
    if not isinstance(value, str) or not (value or may_be_empty):
        raise ValueError(f"{name} must be a text, not {value!r}")
    return value


def _number(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"a coordinate is {number}")
    return number


def _count(value: Any, name: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{name} must be a whole number above 0, not {value!r}")
    return value
