"""A data set as a folder of clips with `metadata.jsonl`, in the VideoFolder convention of Hugging Face's datasets.

metadata.jsonl          one line a clip, `file_name` and everything else of its `ClipRecord`
videos/ID.mp4
masks/ID-0.png          the visible face of person 0 in each frame (`data/mask_files.py`)
masks/ID-0-person.png   everything visible of person 0, where somebody cut it out
references/ID-0-1.png   photo 1 of person 0, where there are any

Files are named relative to the folder, so that it can be moved. Coordinates are rounded to a tenth of a pixel.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from ingredients.core import json_yaml
from ingredients.core.errors import UserInputError
from ingredients.core.json_yaml import parse_json, write_json_lines
from ingredients.core.printable import printable
from ingredients.data.record_json import BadRecordError, parse_record, record_to_json
from ingredients.data.schema import ClipRecord

METADATA_NAME = "metadata.jsonl"


def read_clip_folder(folder: Path) -> list[ClipRecord]:
    """Reads the records of a data set.

    Raises:
        UserInputError: if there is none.
        BadRecordError: for a line that is no record, or a clip_id that two clips share; it names the line.
    """
    records: list[ClipRecord] = []
    for _, record in iterate_records(folder):
        if isinstance(record, BadRecordError):
            raise record
        records.append(record)
    return records


def iterate_records(folder: Path) -> Iterator[tuple[int, ClipRecord | BadRecordError]]:
    """Each line's number and record, or what is wrong with it; of two clips of one name the second is wrong.

    Raises:
        UserInputError: if there is no data set.
    """
    path = folder / METADATA_NAME
    lines_of_ids: dict[str, int] = {}
    for number, line in iterate_lines(folder):
        try:
            record = parse_record(parse_json(line), lambda name: folder / name)
        except (ValueError, TypeError, OverflowError, RecursionError) as error:
            yield number, BadRecordError(f"Line {number} of {path} is no record of a clip: {printable(str(error))}.")
            continue
        if record.clip_id in lines_of_ids:
            yield (
                number,
                BadRecordError(
                    f"Lines {lines_of_ids[record.clip_id]} and {number} of {path} have the same clip_id "
                    f"{record.clip_id!r}; give each clip its own."
                ),
            )
            continue
        lines_of_ids[record.clip_id] = number
        yield number, record


def iterate_lines(folder: Path) -> Iterator[tuple[int, bytes]]:
    """The lines of `metadata.jsonl` that are not blank, and their numbers, from 1.

    Raises:
        UserInputError: if there is no data set.
    """
    path = folder / METADATA_NAME
    if not path.is_file():
        raise UserInputError(
            f"The folder {folder} holds no data set: it lacks {METADATA_NAME}; `ingredients world clips` makes one to "
            "look at."
        )
    yield from json_yaml.iterate_lines(path, remedy="check who may read it")


def write_metadata(folder: Path, records: Sequence[ClipRecord]) -> None:
    """Writes `metadata.jsonl`, whole or not at all; the files it names are the caller's.

    Raises:
        ValueError: if a file lies outside of the folder.
        OutputError: if it cannot be written.
    """
    write_json_lines(
        folder / METADATA_NAME,
        (record_to_json(record, lambda path: path.relative_to(folder).as_posix(), decimals=1) for record in records),
    )
