"""`ingredients data ...`: data sets of clips to train on, checked and looked at."""

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ingredients.apps.terminal import IngredientsGroup, say, with_examples

if TYPE_CHECKING:
    from ingredients.core.arrays import UInt8Array
    from ingredients.data.clip_check import DataReport
    from ingredients.data.schema import ClipRecord

DATA_ERRORS = 1
"""Exit code of a check that found clips which cannot be used."""

_NUM_PROBLEMS_SHOWN = 40

Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="Data set: clips and metadata.jsonl (docs/data.md).")]

app = typer.Typer(
    cls=IngredientsGroup,
    no_args_is_help=True,
    help=with_examples(
        "Data sets of clips: what is wrong with which clip, and what they look like. `ingredients world clips` draws "
        "one.",
        "ingredients data check my-clips",
        "ingredients data show my-clips --output clips.png",
    ),
)


@app.command(
    help=with_examples(
        "Checks a data set: every video is decoded, every mask and photo opened. Exit code 1 if a clip cannot be "
        "used.",
        "ingredients data check my-clips",
        "ingredients data check my-clips --json > report.json",
    )
)
def check(
    folder: Folder,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object on standard output, and nothing else there.")
    ] = False,
) -> None:
    """Checks a data set."""
    from ingredients.core.progress import show_progress
    from ingredients.data.clip_check import check_clip_folder

    with show_progress("Checking clips") as progress:
        report = check_clip_folder(folder, progress=progress)
    typer.echo(json.dumps(dataclasses.asdict(report), ensure_ascii=False) if as_json else _describe(report))
    if report.num_usable < report.num_clips:
        raise typer.Exit(DATA_ERRORS)


@app.command(
    help=with_examples(
        "Makes a picture of some clips: photos of the people, frames with masks and boxes.",
        "ingredients data show my-clips",
        "ingredients data show my-clips --clip train-00000003 --clip train-00000007 --output two.png",
    )
)
def show(
    folder: Folder,
    clip: Annotated[list[str] | None, typer.Option(help="Which clip, by its id. Default: the first ones.")] = None,
    number: Annotated[int, typer.Option(min=1, max=50, help="How many, where none are named.")] = 6,
    output: Annotated[Path, typer.Option(metavar="FILE.png", help="Picture to write.")] = Path("clips.png"),
) -> None:
    """Makes a picture of some clips."""
    from ingredients.core.errors import UserInputError
    from ingredients.core.files import check_not_an_input
    from ingredients.data.clip_folder import read_clip_folder
    from ingredients.media.pictures import check_picture_path, write_picture
    from ingredients.visualisation.clip_sheet import clip_sheet

    check_picture_path(output)
    records = {record.clip_id: record for record in read_clip_folder(folder)}
    if unknown := [name for name in clip or () if name not in records]:
        raise UserInputError(
            f"The data set {folder} has no clip {unknown[0]}; its first is {next(iter(records), '-')}."
        )
    chosen = [records[name] for name in clip] if clip else list(records.values())[:number]
    if not chosen:
        raise UserInputError(f"The data set {folder} is empty.")
    files = [
        path
        for record in chosen
        for person in record.people
        for path in (record.video, person.face_masks, *person.references)
    ]
    check_not_an_input(output, files)
    write_picture(output, clip_sheet([_draw(record) for record in chosen]))
    say(f"{len(chosen)} of {len(records)} clips")
    typer.echo(output)


def _draw(record: "ClipRecord") -> "UInt8Array":
    import numpy as np

    from ingredients.data.mask_files import read_masks
    from ingredients.media.photos import load_photo
    from ingredients.media.video import read_video
    from ingredients.visualisation.clip_sheet import clip_row

    size = {"num_frames": record.num_frames, "height": record.height, "width": record.width}
    return clip_row(
        f"{record.clip_id}: {record.caption}",
        read_video(record.video).frames,
        np.stack([read_masks(person.face_masks, **size) for person in record.people]),
        [person.boxes for person in record.people],
        [[load_photo(photo) for photo in person.references] for person in record.people],
    )


def _describe(report: "DataReport") -> str:
    lines = [f"{report.num_usable} of {report.num_clips} clips can be used, {report.num_frames} frames"]
    lines += [
        f"  {count} with {people} {'person' if people == 1 else 'people'}"
        for people, count in report.num_people.items()
    ]
    for problem in report.problems[:_NUM_PROBLEMS_SHOWN]:
        lines.append(f"{problem.clip_id}: {'' if problem.is_fatal else 'doubtful: '}{problem.problem}")
    if (num_more := len(report.problems) - _NUM_PROBLEMS_SHOWN) > 0:
        lines.append(f"... and {num_more} more; --json has them all")
    return "\n".join(lines)
