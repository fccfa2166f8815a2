"""A `ClipRecord` as JSON, read with suspicion: whatever a line holds, it gives a record or says why it is none.

Legend: F frames, H/W pixels.
"""

import math
import reprlib
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from ingredients.core.errors import UserInputError
from ingredients.core.printable import is_harmless
from ingredients.data.schema import NUM_LANDMARKS, Box, ClipRecord, PersonTrack, Points

MOST_PIXELS_A_SIDE = 16_384
"""Largest height and width of a clip."""

MOST_PIXELS_A_CLIP = 2**31
"""Largest F * H * W, about 1000 frames of 1920x1080: the masks of a clip are read at once."""

_CLIP_FIELDS = {"file_name", "clip_id", "fps", "num_frames", "height", "width", "caption", "people"}
_PERSON_FIELDS = {"person_id", "boxes", "landmarks", "face_masks", "person_masks", "references", "phrase"}
_OPTIONAL_PERSON_FIELDS = {"person_id", "person_masks", "references", "phrase"}

_ESCAPED = frozenset("\b\f\n\r\t")
"""What JSON makes of `\\b`, `\\f` and so on, as in `videos\\fog.mp4`."""

_MOST_BYTES_A_NAME = 255  # of a file, in every common file system
_MOST_BYTES_A_PATH = 1024


class BadRecordError(UserInputError):
    """A line of `metadata.jsonl`, a sample of a shard or a whole shard that is no record of a clip."""


def parse_record(values: Any, path_of: Callable[[str], Path]) -> ClipRecord:
    """Turns what JSON held into a record.

    Args:
        values: any JSON value.
        path_of: the file that a name in the record means; it gets no name that leads out of the data set.

    Raises:
        ValueError: if it is no record; the message says why.
        TypeError: the same.
        OverflowError: the same.
    """
    _check_fields(values, _CLIP_FIELDS, "a clip")
    record = ClipRecord(
        clip_id=_name(values["clip_id"], "clip_id"),
        video=_file(path_of, values["file_name"], "file_name"),
        fps=_rate(values["fps"]),
        num_frames=_count(values["num_frames"], "num_frames", most=MOST_PIXELS_A_CLIP),
        height=_count(values["height"], "height", most=MOST_PIXELS_A_SIDE),
        width=_count(values["width"], "width", most=MOST_PIXELS_A_SIDE),
        caption="" if values["caption"] is None else _text(values["caption"], "caption"),
        people=tuple(_parse_person(path_of, person) for person in _list(values["people"], "people")),
    )
    if record.num_frames * record.height * record.width > MOST_PIXELS_A_CLIP:
        raise ValueError(
            f"{record.num_frames} frames of {record.width}x{record.height} are more than {MOST_PIXELS_A_CLIP:.1e} "
            "pixels; cut it into shorter clips"
        )
    for index, person in enumerate(record.people):
        if person.phrase is not None and (not person.phrase or person.phrase not in record.caption):
            raise ValueError(
                f"the phrase {reprlib.repr(person.phrase)} of person {index} does not stand in the caption; write it "
                "as it stands there, or leave it out"
            )
        if {len(person.boxes), len(person.landmarks)} != {record.num_frames}:
            raise ValueError(
                f"person {index} has {len(person.boxes)} boxes and {len(person.landmarks)} sets of landmarks for "
                f"{record.num_frames} frames"
            )
    return record


def record_to_json(
    record: ClipRecord, name_of: Callable[[Path], str], *, decimals: int | None = None
) -> dict[str, Any]:
    """Turns a record into what JSON holds; `parse_record` turns it back.

    Args:
        record: the clip.
        name_of: what the record should call a file.
        decimals: the decimals of coordinates in pixels; None keeps them as they are.
    """

    def rounded(values: Iterable[float]) -> list[float]:
        return list(values) if decimals is None else [round(value, decimals) for value in values]

    return {
        "file_name": name_of(record.video),
        "clip_id": record.clip_id,
        "fps": record.fps,
        "num_frames": record.num_frames,
        "height": record.height,
        "width": record.width,
        "caption": record.caption,
        "people": [
            {
                "person_id": person.person_id,
                "boxes": [None if box is None else rounded(box) for box in person.boxes],
                "landmarks": [
                    None if points is None else [rounded(point) for point in points] for points in person.landmarks
                ],
                "face_masks": name_of(person.face_masks),
                "person_masks": None if person.person_masks is None else name_of(person.person_masks),
                "references": [name_of(photo) for photo in person.references],
                **({} if person.phrase is None else {"phrase": person.phrase}),
            }
            for person in record.people
        ],
    }


def _parse_person(path_of: Callable[[str], Path], values: Any) -> PersonTrack:
    _check_fields(values, _PERSON_FIELDS, "a person", optional=_OPTIONAL_PERSON_FIELDS)
    return PersonTrack(
        person_id=None if values.get("person_id") is None else _name(values["person_id"], "person_id"),
        boxes=tuple(None if box is None else _parse_box(box) for box in _list(values["boxes"], "boxes")),
        landmarks=tuple(
            None if points is None else _parse_points(points) for points in _list(values["landmarks"], "landmarks")
        ),
        face_masks=_file(path_of, values["face_masks"], "face_masks"),
        person_masks=(
            None if values.get("person_masks") is None else _file(path_of, values["person_masks"], "person_masks")
        ),
        references=tuple(
            _file(path_of, photo, "a reference") for photo in _list(values.get("references", []), "references")
        ),
        phrase=None if values.get("phrase") is None else _text(values["phrase"], "phrase"),
    )


def _parse_box(values: Any) -> Box:
    edges = _list(values, "a box")
    if len(edges) != 4:
        raise ValueError(f"a box has 4 edges, not {len(edges)}")
    left, top, right, bottom = (_number(edge, "an edge of a box") for edge in edges)
    return left, top, right, bottom


def _parse_points(values: Any) -> Points:
    points = [_list(point, "a landmark") for point in _list(values, "the landmarks of a frame")]
    if len(points) != NUM_LANDMARKS:
        raise ValueError(f"a face has {NUM_LANDMARKS} landmarks, not {len(points)}")
    if any(len(point) != 2 for point in points):
        raise ValueError("a landmark has 2 coordinates")
    return tuple((_number(across, "a landmark"), _number(down, "a landmark")) for across, down in points)


def _check_fields(values: Any, known: set[str], of_what: str, *, optional: set[str] | None = None) -> None:
    if not isinstance(values, Mapping):
        raise TypeError(f"{of_what} is a JSON object, not {type(values).__name__}")
    if missing := sorted(known - (optional or set()) - set(values)):
        raise ValueError(f"{', '.join(missing)} of {of_what} missing")
    if unknown := sorted(set(values) - known):
        raise ValueError(f"{of_what} has the unknown {', '.join(unknown)}")


def _file(path_of: Callable[[str], Path], value: Any, name: str) -> Path:
    """A file of the data set; a name that leads out of it is no part of it."""
    relative = PurePosixPath(_name(value, name))
    if relative.is_absolute() or ".." in relative.parts or not relative.parts:
        raise ValueError(f"{name} must lie in the folder of the data set, not at {reprlib.repr(value)}")
    if len(str(relative).encode()) > _MOST_BYTES_A_PATH or any(
        len(part.encode()) > _MOST_BYTES_A_NAME for part in relative.parts
    ):
        raise ValueError(f"{name} is too long for a file: {reprlib.repr(value)}")
    return path_of(str(relative))


def _list(value: Any, name: str) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(f"{name} must be a list, not {reprlib.repr(value)}")
    return value


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a text, not {reprlib.repr(value)}")
    if any(unicodedata.category(letter) == "Cs" for letter in value):
        raise ValueError(f"{name} holds half a letter, which no text file can hold: {reprlib.repr(value)}")
    return value


def _name(value: Any, name: str) -> str:
    if not _text(value, name):
        raise ValueError(f"{name} must be a text, not {value!r}")
    if not all(is_harmless(letter) for letter in value):
        hint = "; write / between folders, for a \\ begins one" if _ESCAPED.intersection(value) else ""
        raise ValueError(f"{name} holds control characters: {reprlib.repr(value)}{hint}")
    return str(value)


def _number(value: Any, name: str) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise TypeError(f"{name} must be a number, not {reprlib.repr(value)}")
    if not math.isfinite(value):
        raise ValueError(f"{name} is {value}")
    return float(value)


def _rate(value: Any) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < math.inf:
        raise ValueError(f"fps is {reprlib.repr(value)}, which is not a positive number")
    return float(value)


def _count(value: Any, name: str, *, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise ValueError(f"{name} must be a whole number above 0 and at most {most}, not {reprlib.repr(value)}")
    return value
