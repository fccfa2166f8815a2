"""Makes the folder of a benchmark: the drawn one whole, or what a user's photos and prompts lack."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from ingredients.core.errors import OutputError, UserInputError
from ingredients.core.output_folders import fills_folder
from ingredients.core.protocols import ProgressCallback
from ingredients.evaluation.casebook.benchmark import (
    CASES_NAME,
    IDENTITIES_NAME,
    INFO_NAME,
    PHOTO_FOLDER,
    PROMPTS_NAME,
    Benchmark,
    BenchmarkIdentity,
    BenchmarkInfo,
    make_folder,
    read_info,
    write_info,
    write_lines,
)
from ingredients.evaluation.casebook.card import check_card_path
from ingredients.evaluation.casebook.check import read_benchmark
from ingredients.evaluation.casebook.drawn import drawn_benchmark, drawn_people, photo_seeds
from ingredients.evaluation.casebook.sets import deal_cases
from ingredients.media.pictures import write_picture
from ingredients.world.portraits import render_portrait

_PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")


@fills_folder("a benchmark", "folder")
def write_drawn_benchmark(folder: Path, *, progress: ProgressCallback | None = None) -> Benchmark:
    """Draws the benchmark of the drawn world into a folder; a stopped run can be run again.

    Args:
        folder: made if it is not there.
        progress: told of the people done.

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

    Args:
        folder: of the photos and prompts.
        counts: people in the sets.

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
