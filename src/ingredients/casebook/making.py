"""Makes the folder of a benchmark, the drawn one whole, or what a user's photos and prompts lack; and its card."""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ingredients.casebook.benchmark import (
    CARD_NAME,
    CASES_NAME,
    FIGURE_NAME,
    IDENTITIES_NAME,
    INFO_NAME,
    PHOTO_FOLDER,
    PROMPTS_NAME,
    Benchmark,
    BenchmarkIdentity,
    BenchmarkInfo,
    BenchmarkPrompt,
    make_folder,
    read_info,
    write_info,
    write_lines,
)
from ingredients.casebook.check import read_benchmark
from ingredients.casebook.drawn import drawn_benchmark, drawn_people, photo_seeds
from ingredients.casebook.sets import PROMPTS_PER_SET, deal_cases
from ingredients.core.errors import OutputError, UserInputError
from ingredients.core.files import atomic_path
from ingredients.core.input_files import read_bytes
from ingredients.core.markdown import markdown_table
from ingredients.core.output_folders import fills_folder
from ingredients.core.protocols import ProgressCallback
from ingredients.media.pictures import write_picture
from ingredients.world.portraits import render_portrait

_MARK = "<!-- Made by `ingredients benchmark`: change benchmark.json and make it again. -->"


def check_card_path(folder: Path) -> None:
    """Says whether card and figure can be written, without overwriting a page or picture of somebody's own.

    Raises:
        OutputError: if there is one.
    """
    card, figure = folder / CARD_NAME, folder / FIGURE_NAME
    foreign = next((path for path in (card, figure) if path.exists()), None)
    if foreign is not None and not (foreign == card and _is_ours(card)):
        raise OutputError(
            f"The file {foreign} was not made by this command and would be overwritten; rename it first."
        )


def _is_ours(card: Path) -> bool:
    try:
        return _MARK.encode() in read_bytes(card)
    except OSError:  # a folder or a pipe
        return False


def write_card(folder: Path, benchmark: Benchmark, *, command: str, has_figure: bool) -> None:
    """Writes the card, whole or not at all.

    Raises:
        OutputError: if there is a page that somebody wrote, or the card cannot be written.
    """
    check_card_path(folder)
    with atomic_path(folder / CARD_NAME) as temporary:
        temporary.write_text(benchmark_card(benchmark, command=command, has_figure=has_figure), encoding="utf-8")


def benchmark_card(benchmark: Benchmark, *, command: str, has_figure: bool) -> str:
    """The card in Markdown; arguments are those of `write_card`."""
    info = benchmark.info
    counts = ", ".join(f"{len(benchmark.cases_of(count))} of {count} people" for count in info.num_people)
    parts = [
        f"# {info.name}, version {info.version}",
        _MARK,
        f"{len(benchmark.identities)} people with "
        f"{sum(len(person.photos) for person in benchmark.identities)} photos, {len(benchmark.prompts)} prompts, "
        f"cases: {counts}.",
    ]
    if has_figure:
        parts.append(f"![People by their attributes, prompts by what they ask for]({FIGURE_NAME})")
    parts += [
        "## How it was made",
        f"`{command}`. For each number of people there are as many sets of people as there are people, so that each "
        "person is in as many sets as a set has people, once in each place. Each set has two cases, with another "
        "prompt each that fits it; prompts are dealt so that all are asked about equally often. The same photos and "
        "prompts always give the same cases. Numbers of different versions cannot be compared.",
        _counts_table(benchmark),
        "## Pairs of action and background that training leaves out",
        _held_out_text(info),
        "## People",
        _distribution_table("attribute", [person.attributes for person in benchmark.identities]),
        "## Prompts",
        _distribution_table("what it says", [prompt_contents(prompt) for prompt in benchmark.prompts]),
        "## Files",
        f"`{INFO_NAME}` (what it is), `{IDENTITIES_NAME}` (people and their photos; a generator gets the first photo "
        f"of each, a judge may know the others too), `{PROMPTS_NAME}`, `{CASES_NAME}` (who is to be seen, in which "
        "order the photos are given, what is asked, and the seed).",
    ]
    for title, text in (("Source", info.source), ("Licence", info.licence), ("Notes", info.notes)):
        parts += [f"## {title}", text or "Not stated."] if text or title != "Notes" else []
    return "\n\n".join(parts) + "\n"


def prompt_contents(prompt: BenchmarkPrompt) -> dict[str, str]:
    """What a prompt says, by the name of the attribute."""
    return {
        "expression": prompt.expression,
        "action": prompt.action,
        "background": prompt.background,
        **prompt.attributes,
    }


def _counts_table(benchmark: Benchmark) -> str:
    header = [
        "people in a set",
        "sets",
        "cases",
        "cases of each person",
        "cases of each prompt",
        "with a held-out pair",
    ]
    rows = []
    for count in benchmark.info.num_people:
        cases = benchmark.cases_of(count)
        people = Counter(name for case in cases for name in case.identities)
        prompts = Counter(case.prompt for case in cases)
        rows.append(
            [
                str(count),
                str(len(cases) // PROMPTS_PER_SET),
                str(len(cases)),
                _range(people[person.id] for person in benchmark.identities),
                _range(prompts[prompt.id] for prompt in benchmark.prompts),
                str(sum(case.held_out_pair for case in cases)),
            ]
        )
    return markdown_table(header, rows)


def _held_out_text(info: BenchmarkInfo) -> str:
    if not info.held_out_pairs:
        return "None is named: what the models that are measured were trained on is not known here."
    by_action: dict[str, list[str]] = {}
    for action, background in info.held_out_pairs:
        by_action.setdefault(action, []).append(background)
    rows = [[action, ", ".join(backgrounds)] for action, backgrounds in by_action.items()]
    return (
        "A model whose training left them out has seen each action and each background, but never these together; "
        f"`held_out_pair` in `{CASES_NAME}` says which cases ask for one.\n\n"
        + markdown_table(["action", "backgrounds held out"], rows)
    )


def _distribution_table(name: str, items: Sequence[Mapping[str, str]]) -> str:
    names = list(dict.fromkeys(key for item in items for key in item))
    if not names:
        return "No attributes are given."
    rows = []
    for key in names:
        counts = Counter(item.get(key, "not stated") for item in items)
        rows.append([key, ", ".join(f"{value} {count}" for value, count in counts.most_common())])
    return markdown_table([name, "how many"], rows)


def _range(counts: Iterable[int]) -> str:
    found = sorted(set(counts))
    return str(found[0]) if len(found) == 1 else f"{found[0]} to {found[-1]}"


_PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")


@fills_folder("a benchmark", "folder")
def write_drawn_benchmark(folder: Path, *, progress: ProgressCallback | None = None) -> Benchmark:
    """Draws the benchmark of the drawn world into a folder; a stopped run can be run again.

    Raises:
        OutputError: if the folder holds something else, or cannot be written to.
    """
    benchmark = drawn_benchmark()
    if (folder / INFO_NAME).exists() and not _holds(folder, benchmark.info):
        raise OutputError(f"The folder {folder} holds another benchmark; name a new one.")
    make_folder(folder)
    write_info(folder, benchmark.info)  # first, so that a stopped run is known again
    people = drawn_people()
    for done, person in enumerate(benchmark.identities, start=1):
        seed, identity = people[person.id]
        for photo, photo_seed in zip(person.photos, photo_seeds(seed), strict=True):
            write_picture(folder / photo, render_portrait(identity, photo_seed).image)
        if progress is not None:
            progress(done, len(benchmark.identities))
    write_lines(folder / IDENTITIES_NAME, benchmark.identities)
    write_lines(folder / PROMPTS_NAME, benchmark.prompts)
    write_lines(folder / CASES_NAME, benchmark.cases)
    return benchmark


def complete_benchmark(folder: Path, counts: Sequence[int]) -> Benchmark:
    """Makes sets and cases of so many people for a user's photos and prompts, by the drawn benchmark's rule.

    Without `identities.jsonl`, every photo in `photos/`, and every folder of photos there, is a person; without
    `benchmark.json`, the folder's name is the benchmark's. Cases of other numbers of people are kept.

    Returns:
        The whole benchmark.

    Raises:
        UserInputError: if prompts or photos are missing or wrong, or the sets cannot be made.
        OutputError: if the folder holds other cases of so many people, a page that somebody wrote, or cannot be
            written to.
    """
    if not folder.is_dir():
        raise UserInputError(f"The folder {folder} does not exist; it must hold photos/ and prompts.jsonl.")
    if not (folder / PROMPTS_NAME).is_file():
        raise UserInputError(
            f"The folder {folder} lacks {PROMPTS_NAME}, one prompt a line; docs/benchmark.md says how they look."
        )
    check_card_path(folder)
    if not (folder / IDENTITIES_NAME).is_file():
        write_lines(folder / IDENTITIES_NAME, identities_from_photos(folder))
    if not (folder / INFO_NAME).is_file():
        write_info(folder, BenchmarkInfo(name=folder.resolve().name, version="1"))
    benchmark = read_benchmark(folder, with_cases=(folder / CASES_NAME).is_file())
    made = {count: deal_cases(benchmark, count) for count in dict.fromkeys(counts)}
    for count, cases in made.items():
        if (there := benchmark.cases_of(count)) and there != cases:
            raise OutputError(
                f"The file {folder / CASES_NAME} holds other cases of {count} people than these photos and prompts "
                f"give; delete it to make new ones, and raise the version in {INFO_NAME}."
            )
    all_counts = sorted({*benchmark.info.num_people, *made})
    benchmark = dataclasses.replace(
        benchmark,
        info=dataclasses.replace(benchmark.info, num_people=tuple(all_counts)),
        cases=tuple(case for count in all_counts for case in made.get(count) or benchmark.cases_of(count)),
    )
    write_info(folder, benchmark.info)  # first: cases of a number of people that it lacks would be refused
    write_lines(folder / CASES_NAME, benchmark.cases)
    return benchmark


def identities_from_photos(folder: Path) -> list[BenchmarkIdentity]:
    """A person for every photo in `photos/`, or for every folder of photos there, by name.

    Raises:
        UserInputError: if there is none.
    """
    photos: dict[str, list[str]] = {}
    for path in sorted((folder / PHOTO_FOLDER).rglob("*")):
        if path.is_file() and path.suffix.lower() in _PHOTO_SUFFIXES and not path.name.startswith("."):
            relative = path.relative_to(folder)
            name = relative.stem if len(relative.parts) == 2 else relative.parts[1]
            photos.setdefault(name, []).append(relative.as_posix())
    if not photos:
        raise UserInputError(
            f"The folder {folder} has neither {IDENTITIES_NAME} nor photos in {PHOTO_FOLDER}/; put one photo, or one "
            "folder of photos, for each person there."
        )
    return [BenchmarkIdentity(id=name, photos=tuple(files)) for name, files in photos.items()]


def _holds(folder: Path, info: BenchmarkInfo) -> bool:
    try:
        return read_info(folder) == info
    except UserInputError:
        return False
