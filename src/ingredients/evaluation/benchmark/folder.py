"""A benchmark as a folder, the same for the drawn world and for photographs.

benchmark.json      what it is (`BenchmarkInfo`)
identities.jsonl    one line a person (`BenchmarkIdentity`)
prompts.jsonl       one line a prompt (`BenchmarkPrompt`)
cases.jsonl         one line a case (`BenchmarkCase`), made by `ingredients benchmark make`
photos/             the photos that identities.jsonl names, relative to the folder
README.md           the card (`card.py`), with distribution.png
"""

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from ingredients.core import files
from ingredients.core.config import config_from_dict, config_to_dict, read_record
from ingredients.core.errors import UserInputError
from ingredients.core.json_yaml import BadFileError, NotPlainError, read_json_lines, write_json, write_json_lines
from ingredients.core.paths import parse_path
from ingredients.evaluation.benchmark.schema import BenchmarkCase, BenchmarkIdentity, BenchmarkInfo, BenchmarkPrompt

INFO_NAME = "benchmark.json"
IDENTITIES_NAME = "identities.jsonl"
PROMPTS_NAME = "prompts.jsonl"
CASES_NAME = "cases.jsonl"
CARD_NAME = "README.md"
FIGURE_NAME = "distribution.png"
PHOTO_FOLDER = "photos"

Record = BenchmarkIdentity | BenchmarkPrompt | BenchmarkCase
RecordT = TypeVar("RecordT", BenchmarkIdentity, BenchmarkPrompt, BenchmarkCase)


class BadLineError(UserInputError):
    """A line that is no record."""


def read_info(folder: Path) -> BenchmarkInfo:
    """Reads what the benchmark is.

    Raises:
        UserInputError: if the file is missing or holds something else.
    """
    path = folder / INFO_NAME
    if not path.is_file():
        raise UserInputError(
            f"The folder {folder} holds no benchmark: it lacks {INFO_NAME}; `ingredients benchmark write` makes a "
            "whole one to look at."
        )
    try:
        return read_record(BenchmarkInfo, path, remedy="docs/benchmark.md says what it holds")
    except BadFileError as error:
        raise UserInputError(f"The file {path} does not say what the benchmark is: {error}") from error


def iterate_lines(path: Path, record_type: type[RecordT]) -> Iterator[tuple[int, RecordT | BadLineError]]:
    """Each line's number and record, or what is wrong with it.

    Raises:
        UserInputError: if there is no such file.
    """
    if not path.is_file():
        raise UserInputError(f"The benchmark {path.parent} lacks {path.name}; docs/benchmark.md says what it holds.")
    for number, values in read_json_lines(path, remedy="docs/benchmark.md says what it holds"):
        try:
            if isinstance(values, NotPlainError):
                raise values
            yield number, config_from_dict(record_type, values)
        except (NotPlainError, UserInputError) as error:
            yield number, BadLineError(f"It cannot be read: {str(error).rstrip('.')}.")


def write_info(folder: Path, info: BenchmarkInfo) -> None:
    """Writes `benchmark.json`, whole or not at all."""
    write_json(folder / INFO_NAME, _to_json(info))


def write_lines(path: Path, records: Sequence[Record]) -> None:
    """Writes a file of one record a line, whole or not at all."""
    write_json_lines(path, map(_to_json, records))


def make_folder(folder: Path) -> None:
    """Makes the benchmark's folder and that of its photos.

    Raises:
        OutputError: if they cannot be made.
    """
    files.make_folder(folder / PHOTO_FOLDER)


def photo_path(folder: Path, photo: str) -> Path:
    """The file of a photo.

    Raises:
        UserInputError: if its name leads out of the folder, or no file can have it.
    """
    relative = PurePosixPath(photo)
    if relative.is_absolute() or ".." in relative.parts:
        raise UserInputError(
            f"The photo {photo} lies outside of the benchmark's folder; copy it into {PHOTO_FOLDER}/."
        )
    return parse_path(folder / relative)


def _to_json(record: BenchmarkInfo | Record) -> dict[str, Any]:
    """Plain values, without those that say nothing."""
    return {name: value for name, value in config_to_dict(record).items() if value not in ("", [], {})}
