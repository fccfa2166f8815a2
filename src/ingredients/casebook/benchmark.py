"""What a benchmark holds, and its folder: the same for the drawn world and for photographs.

benchmark.json      what it is (`BenchmarkInfo`)
identities.jsonl    one line a person (`BenchmarkIdentity`)
prompts.jsonl       one line a prompt (`BenchmarkPrompt`)
cases.jsonl         one line a case (`BenchmarkCase`), made by `ingredients benchmark make`
photos/             the photos that identities.jsonl names, relative to the folder
README.md           the card (`making.py`), with distribution.png
"""

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from ingredients.casebook.cases import Case, Person
from ingredients.core import files
from ingredients.core.config import config_from_dict, config_to_dict, read_record
from ingredients.core.errors import UserInputError
from ingredients.core.json_yaml import BadFileError, NotPlainError, read_json_lines, write_json, write_json_lines
from ingredients.core.paths import parse_path

COUNT_WORDS: dict[int, str] = {
    2: "two",
    3: "three",
    4: "four",
    5: "five",
    6: "six",
    7: "seven",
    8: "eight",
    9: "nine",
    10: "ten",
}
COUNT_PLACEHOLDER = "{count}"
"""Stands for the number of people in a prompt's text, 2 or more."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkInfo:
    """What the benchmark is."""

    name: str
    """Name by which people refer to it."""

    version: str
    """Raised whenever a case changes: numbers of different versions cannot be compared."""

    source: str = ""
    """Where photos and prompts are from."""

    licence: str = ""
    """Terms on which they may be used."""

    notes: str = ""
    """Whatever else a reader should know."""

    num_people: tuple[int, ...] = ()
    """Numbers of people for which there are cases; filled in when the cases are made."""

    held_out_pairs: tuple[tuple[str, str], ...] = ()
    """Pairs (action, background) that a model under test should not have been trained on."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkIdentity:
    """A person."""

    id: str
    """Unique in the benchmark."""

    photos: tuple[str, ...]
    """Files, relative to the benchmark's folder. A generator gets the first one; a judge may know the others too."""

    attributes: dict[str, str] = dataclasses.field(default_factory=dict)
    """Anything, such as domain, region, age group; the tree of the figure branches in this order."""

    source: str = ""
    """Where the photos are from and on which terms, if these are not the benchmark's."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkPrompt:
    """What can be asked for."""

    id: str
    """Unique in the benchmark."""

    text: str | dict[str, str]
    """A sentence with `{count}` where the number of people stands, or one for each number, by that number."""

    expression: str
    """How they look."""

    action: str
    """What they do."""

    background: str
    """Where."""

    attributes: dict[str, str] = dataclasses.field(default_factory=dict)
    """Anything else that it says, such as the light."""

    requires: dict[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    """Values of an identity's attribute of which everybody must have one, such as an age group."""

    def fits(self, people: Sequence[BenchmarkIdentity]) -> bool:
        """Whether it can be asked of these people: of so many, and of everyone who must be able to do it."""
        # A text with a placeholder is written for several: "one people wave" is no English.
        counted = len(people) > 1 if isinstance(self.text, str) else str(len(people)) in self.text
        return counted and all(
            person.attributes.get(name) in values for name, values in self.requires.items() for person in people
        )

    def for_count(self, num_people: int) -> str:
        """The sentence for so many people.

        Raises:
            KeyError: if there is none.
        """
        if not isinstance(self.text, str):
            return self.text[str(num_people)]
        if COUNT_PLACEHOLDER not in self.text:
            return self.text
        text = self.text.replace(COUNT_PLACEHOLDER, COUNT_WORDS.get(num_people, str(num_people)))
        return text[0].upper() + text[1:]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkCase:
    """One question, as a line of `cases.jsonl` has it; `Benchmark.ask` makes a `Case` of it."""

    id: str
    """Unique in the benchmark."""

    identities: tuple[str, ...]
    """Ids, in the order in which the photos are given."""

    prompt: str
    """Id."""

    seed: int
    """Seed of the generation."""

    held_out_pair: bool = False
    """Whether its action and background are one of the pairs that training leaves out."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """All of it."""

    info: BenchmarkInfo
    """What it is."""

    identities: tuple[BenchmarkIdentity, ...]
    """The people."""

    prompts: tuple[BenchmarkPrompt, ...]
    """What can be asked of them."""

    cases: tuple[BenchmarkCase, ...] = ()
    """What is asked, of sets of 2 people, of 3 and so on."""

    def cases_of(self, num_people: int) -> list[BenchmarkCase]:
        """The cases of so many people."""
        return [case for case in self.cases if len(case.identities) == num_people]

    def ask(self, lines: Sequence[BenchmarkCase]) -> list[Case]:
        """Cases with the people and the sentences that their lines name."""
        people = {person.id: Person(name=person.id, photos=person.photos) for person in self.identities}
        prompts = {prompt.id: prompt for prompt in self.prompts}
        return [
            Case(
                index=index,
                case_id=line.id,
                prompt=prompts[line.prompt].for_count(len(line.identities)),
                people=tuple(people[name] for name in line.identities),
                seed=line.seed,
            )
            for index, line in enumerate(lines)
        ]


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
