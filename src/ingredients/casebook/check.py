"""Says what is wrong with which line of a benchmark."""

from __future__ import annotations

import dataclasses
import hashlib
import string
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ingredients.casebook.benchmark import (
    CASES_NAME,
    COUNT_PLACEHOLDER,
    IDENTITIES_NAME,
    INFO_NAME,
    PROMPTS_NAME,
    BadLineError,
    Benchmark,
    BenchmarkCase,
    BenchmarkIdentity,
    BenchmarkInfo,
    BenchmarkPrompt,
    RecordT,
    iterate_lines,
    photo_path,
    read_info,
)
from ingredients.casebook.sets import PROMPTS_PER_SET
from ingredients.core.errors import UserInputError
from ingredients.core.input_files import open_file
from ingredients.core.protocols import FaceDetector, ProgressCallback
from ingredients.faces.face_choice import largest_face
from ingredients.media.photos import load_photo

if TYPE_CHECKING:
    from ingredients.faces.picture_kind import PictureKindClassifier


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkProblem:
    """Something wrong with a benchmark."""

    where: str
    """The file, and the line if it is one."""

    problem: str
    """What, in one sentence."""

    is_fatal: bool = True
    """Whether it must be mended before numbers mean something; otherwise it is doubtful."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkReport:
    """What a check found."""

    num_identities: int
    """People."""

    num_photos: int
    """Photos of all people."""

    num_prompts: int
    """Prompts."""

    num_cases: dict[int, int]
    """Cases by their number of people."""

    problems: tuple[BenchmarkProblem, ...]
    """File by file, line by line."""

    @property
    def is_usable(self) -> bool:
        """Whether nothing fatal was found."""
        return not any(problem.is_fatal for problem in self.problems)


def check_benchmark(
    folder: Path,
    *,
    detector: FaceDetector | None = None,
    picture_kind: PictureKindClassifier | None = None,
    progress: ProgressCallback | None = None,
) -> BenchmarkReport:
    """Checks every line and photo of a benchmark, and that everybody is used equally often.

    Args:
        folder: the folder of the benchmark.
        detector: where given, every photo must show a face to it.
        picture_kind: where given, none of these faces may be a photograph's.
        progress: told of the people done.

    Raises:
        UserInputError: if it is no benchmark: a file is missing, or does not say what the benchmark is.
    """
    lines = read_lines(folder, with_cases=(folder / CASES_NAME).is_file())
    problems = lines.problems + _photo_problems(folder, lines.identities, detector, picture_kind, progress)
    if not (folder / CASES_NAME).is_file():
        remedy = f"It is missing; make it with: ingredients benchmark make {folder}"
        problems.append(BenchmarkProblem(where=CASES_NAME, problem=remedy))
    else:
        problems += _balance_problems(lines)
    return BenchmarkReport(
        num_identities=len(lines.identities),
        num_photos=sum(len(person.photos) for _, person in lines.identities),
        num_prompts=len(lines.prompts),
        num_cases=dict(sorted(Counter(len(case.identities) for _, case in lines.cases).items())),
        problems=tuple(problems),
    )


def read_benchmark(folder: Path, *, with_cases: bool = True) -> Benchmark:
    """Reads a benchmark whose lines are right; its photos are not opened.

    Raises:
        UserInputError: if it is no benchmark, or for the first line that is wrong.
    """
    lines = read_lines(folder, with_cases=with_cases)
    for problem in lines.problems:
        if problem.is_fatal:
            raise UserInputError(
                f"The benchmark {folder} cannot be used: {problem.where}: {problem.problem.rstrip('.')}; see "
                f"everything with: ingredients benchmark check {folder}"
            )
    return Benchmark(
        info=lines.info,
        identities=tuple(person for _, person in lines.identities),
        prompts=tuple(prompt for _, prompt in lines.prompts),
        cases=tuple(case for _, case in lines.cases),
    )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkLines:
    """The records of a benchmark with the numbers of their lines, and what is wrong with lines as such."""

    info: BenchmarkInfo
    """What it is."""

    identities: list[tuple[int, BenchmarkIdentity]]
    """People."""

    prompts: list[tuple[int, BenchmarkPrompt]]
    """Prompts."""

    cases: list[tuple[int, BenchmarkCase]]
    """Cases."""

    problems: list[BenchmarkProblem]
    """Problems of single lines, and of ids that two of them share."""


def read_lines(folder: Path, *, with_cases: bool) -> BenchmarkLines:
    """Reads all lines, and collects what is wrong with them.

    Raises:
        UserInputError: if it is no benchmark: a file is missing, or does not say what the benchmark is.
    """
    info = read_info(folder)
    problems: list[BenchmarkProblem] = []
    identities = _read_file(folder / IDENTITIES_NAME, BenchmarkIdentity, problems)
    for number, person in identities:
        problems += _problems_at(IDENTITIES_NAME, number, _identity_problems(person))
    prompts = _read_file(folder / PROMPTS_NAME, BenchmarkPrompt, problems)
    for number, prompt in prompts:
        problems += _problems_at(PROMPTS_NAME, number, _prompt_problems(prompt))
        if isinstance(prompt.text, str) and COUNT_PLACEHOLDER not in prompt.text:
            doubt = f"Its text has no {COUNT_PLACEHOLDER}, so it says the same of any number of people."
            problems += _problems_at(PROMPTS_NAME, number, [doubt], is_fatal=False)
    cases: list[tuple[int, BenchmarkCase]] = []
    if with_cases:
        cases = _read_file(folder / CASES_NAME, BenchmarkCase, problems)
        people_by_id = {person.id: person for _, person in identities}
        prompts_by_id = {prompt.id: prompt for _, prompt in prompts}
        for number, case in cases:
            found = _case_problems(case, people_by_id, prompts_by_id, info)
            problems += _problems_at(CASES_NAME, number, found)
    return BenchmarkLines(info=info, identities=identities, prompts=prompts, cases=cases, problems=problems)


def _read_file(path: Path, record_type: type[RecordT], problems: list[BenchmarkProblem]) -> list[tuple[int, RecordT]]:
    """The lines that are records; appends what is wrong with the others, and ids that occur twice."""
    records: list[tuple[int, RecordT]] = []
    first_lines: dict[str, int] = {}
    for number, record in iterate_lines(path, record_type):
        if isinstance(record, BadLineError):
            problems += _problems_at(path.name, number, [str(record)])
            continue
        if not record.id.strip():
            problems += _problems_at(path.name, number, ["The id is empty."])
        if record.id in first_lines:
            found = f"The id {record.id!r} is that of line {first_lines[record.id]} already; give each its own."
            problems += _problems_at(path.name, number, [found])
        first_lines.setdefault(record.id, number)
        records.append((number, record))
    if not records:
        problems.append(BenchmarkProblem(where=path.name, problem="It has no line that can be read."))
    return records


def _problems_at(name: str, number: int, found: Sequence[str], *, is_fatal: bool = True) -> list[BenchmarkProblem]:
    return [BenchmarkProblem(where=f"{name}, line {number}", problem=problem, is_fatal=is_fatal) for problem in found]


def _identity_problems(person: BenchmarkIdentity) -> list[str]:
    return [] if person.photos else [f"{person.id} has no photo."]


def _prompt_problems(prompt: BenchmarkPrompt) -> list[str]:
    problems = []
    if isinstance(prompt.text, str):
        texts = [prompt.text]
    else:
        texts = list(prompt.text.values())
        problems += [
            f'The key {count!r} of its text is no number of people such as "2".'
            for count in prompt.text
            if not (count.isdecimal() and int(count) > 0)
        ]
    if not all(text.strip() for text in texts) or not texts:
        problems.append("Its text is empty.")
    problems += [
        f"Its text has the placeholder {{{name}}}, which is not filled in."
        for text in texts
        for name in _placeholders(text)
        if f"{{{name}}}" != COUNT_PLACEHOLDER or not isinstance(prompt.text, str)
    ]
    return problems


def _placeholders(text: str) -> list[str]:
    try:
        return [name for _, name, _, _ in string.Formatter().parse(text) if name is not None]
    except ValueError:  # a brace without its other half
        return [text.partition("{")[2]]


def _case_problems(
    case: BenchmarkCase,
    people: dict[str, BenchmarkIdentity],
    prompts: dict[str, BenchmarkPrompt],
    info: BenchmarkInfo,
) -> list[str]:
    problems = [f"There is no identity {name!r}." for name in case.identities if name not in people]
    problems += [f"{name} is in it twice." for name, uses in Counter(case.identities).items() if uses > 1]
    if len(case.identities) not in info.num_people:
        problems.append(f"It has {len(case.identities)} people, a number that num_people of {INFO_NAME} lacks.")
    prompt = prompts.get(case.prompt)
    if prompt is None:
        problems.append(f"There is no prompt {case.prompt!r}.")
    elif not problems and not prompt.fits([people[name] for name in case.identities]):
        problems.append(f"The prompt {prompt.id} does not fit its {len(case.identities)} people.")
    if prompt is not None:
        is_held_out = (prompt.action, prompt.background) in info.held_out_pairs
        if is_held_out != case.held_out_pair:
            pair = f"{prompt.action} at {prompt.background}"
            problems.append(
                f"Its held_out_pair is {str(case.held_out_pair).lower()}, but {pair} is "
                f"{'' if is_held_out else 'not '}among the held_out_pairs of {INFO_NAME}."
            )
    return problems


def _photo_problems(
    folder: Path,
    identities: Sequence[tuple[int, BenchmarkIdentity]],
    detector: FaceDetector | None,
    picture_kind: PictureKindClassifier | None,
    progress: ProgressCallback | None,
) -> list[BenchmarkProblem]:
    problems: list[BenchmarkProblem] = []
    owners: dict[str, str] = {}
    for done, (number, person) in enumerate(identities, start=1):
        for photo in person.photos:
            fatal: list[str] = []
            doubts: list[str] = []
            try:
                path = photo_path(folder, photo)
                image = load_photo(path)
                with open_file(path) as file:
                    digest = hashlib.file_digest(file, "sha256").hexdigest()
                owner = owners.setdefault(digest, person.id)
                if owner != person.id:
                    fatal.append(f"The photo {photo} is also a photo of {owner}.")
                faces = None if detector is None else detector.detect(image)
                if faces is not None and (num_faces := len(faces)) != 1:
                    (doubts if num_faces else fatal).append(
                        f"The photo {photo} shows {num_faces or 'no'} face{'s' if num_faces else ''}."
                    )
                if faces and picture_kind is not None:
                    from ingredients.faces.picture_kind import PictureKind, doubts_about  # with PyTorch

                    look = picture_kind.look(image, largest_face(faces).landmarks)
                    found = fatal if look.kind is PictureKind.PHOTOGRAPH else doubts
                    found += [f"The face in the photo {photo} is {doubt.reason}." for doubt in doubts_about(look)]
            except UserInputError as error:
                fatal.append(str(error))
            problems += _problems_at(IDENTITIES_NAME, number, fatal)
            problems += _problems_at(IDENTITIES_NAME, number, doubts, is_fatal=False)
        if progress is not None:
            progress(done, len(identities))
    return problems


def _balance_problems(lines: BenchmarkLines) -> Iterator[BenchmarkProblem]:
    """Whether everybody is used equally often, and prompts about so."""
    if not (lines.identities and lines.prompts):
        return
    for num_people in sorted({*lines.info.num_people, *(len(case.identities) for _, case in lines.cases)}):
        cases = [case for _, case in lines.cases if len(case.identities) == num_people]
        of_count = f"the cases of {num_people} people"
        if not cases:
            yield BenchmarkProblem(where=CASES_NAME, problem=f"It lacks {of_count}, which {INFO_NAME} promises.")
            continue
        uses = Counter({person.id: 0 for _, person in lines.identities})
        uses.update(name for case in cases for name in case.identities if name in uses)
        rarest, commonest = min(uses, key=uses.__getitem__), max(uses, key=uses.__getitem__)
        if uses[rarest] != uses[commonest]:
            yield BenchmarkProblem(
                where=CASES_NAME,
                problem=f"People are not used equally often in {of_count}: {rarest} in {uses[rarest]}, {commonest} in "
                f"{uses[commonest]}.",
            )
        asked = Counter(case.prompt for case in cases)
        counts = [asked[prompt.id] for _, prompt in lines.prompts]
        if max(counts) - min(counts) > 1:
            yield BenchmarkProblem(
                where=CASES_NAME,
                problem=f"Prompts are asked {min(counts)} to {max(counts)} times in {of_count}.",
                is_fatal=False,
            )
        sets = Counter(frozenset(case.identities) for case in cases)
        if set(sets.values()) != {PROMPTS_PER_SET}:
            yield BenchmarkProblem(
                where=CASES_NAME,
                problem=f"Not every set of people has {PROMPTS_PER_SET} prompts in {of_count}.",
                is_fatal=False,
            )
