"""`ingredients data ...`: data sets of clips to train on, checked and looked at."""

import dataclasses
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ingredients.apps import encode_command
from ingredients.apps.options import AsJson, Overwrite
from ingredients.apps.terminal import IngredientsGroup, problem_lines, say, show, show_json, with_examples
from ingredients.core.paths import parse_path

if TYPE_CHECKING:
    from ingredients.core.arrays import BoolArray, UInt8Array
    from ingredients.data.clip_check import DataReport
    from ingredients.data.clip_source import ClipItem, ClipSource
    from ingredients.data.schema import ClipRecord

DATA_ERRORS = 1
"""Exit code of a check that found clips which cannot be used."""

DataSet = Annotated[
    Path,
    typer.Argument(
        parser=parse_path,
        metavar="FOLDER",
        help="Data set: a folder with metadata.jsonl, a folder of shards, or one shard (docs/data.md).",
    ),
]

app = typer.Typer(
    cls=IngredientsGroup,
    no_args_is_help=True,
    help=with_examples(
        "Data sets of clips: what is wrong with which clip, what they look like, shards for many machines, "
        "and what training reads. "
        "`ingredients world clips` draws one.",
        "ingredients data check my-clips",
        "ingredients data show my-clips --output clips.png",
        "ingredients data pack my-clips --output my-shards",
        "ingredients data encode my-clips --output encoded/my-clips",
    ),
)
app.command("encode", help=encode_command.HELP)(encode_command.encode)


@app.command(
    help=with_examples(
        "Checks a data set: every video is decoded, every mask and photo opened. Exit code 1 if a clip cannot be "
        "used.",
        "ingredients data check my-clips",
        "ingredients data check my-shards",
        "ingredients data check my-clips --json > report.json",
    )
)
def check(
    folder: DataSet,
    as_json: AsJson = False,
) -> None:
    """Checks a data set."""
    from ingredients.core.progress import show_progress
    from ingredients.data.clip_check import check_clips
    from ingredients.data.clip_source import open_clip_source

    source = open_clip_source(folder)
    with show_progress("Checking clips") as progress:
        report = check_clips(source, progress=progress)
    if as_json:
        show_json(dataclasses.asdict(report))
    else:
        show(_describe(report))
    if report.num_usable < report.num_clips:
        raise typer.Exit(DATA_ERRORS)


@app.command(
    "show",
    help=with_examples(
        "Makes a picture of some clips: photos of the people, frames with masks and boxes. A person is tinted, the "
        "face more strongly. Clips that cannot be used are named and left out.",
        "ingredients data show my-clips",
        "ingredients data show my-shards/clips-000002.tar --number 3",
        "ingredients data show my-clips --clip train-00000003 --clip train-00000007 --output two.png",
    ),
)
def show_clips(
    folder: DataSet,
    clip: Annotated[list[str] | None, typer.Option(help="Which clip, by its id. Default: the first ones.")] = None,
    number: Annotated[int, typer.Option(min=1, max=50, help="How many, where none are named.")] = 6,
    output: Annotated[Path, typer.Option(parser=parse_path, metavar="FILE.png", help="Picture to write.")] = Path(
        "clips.png"
    ),
    overwrite: Overwrite = False,
) -> None:
    """Makes a picture of some clips."""
    from ingredients.core.errors import UserInputError
    from ingredients.core.files import check_not_an_input
    from ingredients.data.clip_check import select_usable
    from ingredients.data.clip_source import open_clip_source
    from ingredients.data.record_json import BadRecordError
    from ingredients.media.pictures import check_picture_path, write_picture
    from ingredients.visualisation.clip_sheet import clip_sheet

    check_picture_path(output, overwrite=overwrite)
    source = open_clip_source(folder)
    if output.exists():
        check_not_an_input(output, _files(source))
    rows: dict[str, UInt8Array] = {}
    chosen = _choose(source, clip or ())
    for record in select_usable(source, chosen, "stop" if clip else "skip", _say_skipped):
        rows[record.clip_id] = _draw(record)
        if len(rows) == (len(set(clip)) if clip else number):
            break
    if unknown := [name for name in clip or () if name not in rows]:
        first = next((record.clip_id for _, record in source if not isinstance(record, BadRecordError)), "-")
        raise UserInputError(f"The data set {folder} has no clip {unknown[0]}; its first is {first}.")
    if not rows:
        raise UserInputError(f"The data set {folder} has no clip that can be shown.")
    write_picture(output, clip_sheet([rows[name] for name in clip or rows]))
    say(f"{len(rows)} of {source.count()} clips")
    show(output)


@app.command(
    help=with_examples(
        "Packs a data set into WebDataset shards, tar files that many machines can read at once. Each clip is "
        "checked. A stopped run goes on; shards of another state of the data set are refused.",
        "ingredients data pack my-clips --output my-shards",
        "ingredients data pack my-clips --output my-shards --clips-per-shard 200 --on-bad-clip skip",
    )
)
def pack(
    folder: DataSet,
    output: Annotated[
        Path, typer.Option(parser=parse_path, metavar="FOLDER", help="Folder of the shards; made if it is not there.")
    ],
    clips_per_shard: Annotated[int, typer.Option(min=1, help="Clips in each shard.")] = 1000,
    on_bad_clip: Annotated[
        Literal["skip", "stop"], typer.Option(help="Leave out clips that cannot be used, or stop at the first one.")
    ] = "stop",
) -> None:
    """Packs a data set into shards."""
    from ingredients.core.progress import show_progress
    from ingredients.data.clip_source import open_clip_source
    from ingredients.data.shard_writer import pack_clips

    source = open_clip_source(folder)
    with show_progress("Packing clips") as progress:
        shards = pack_clips(
            source,
            output,
            clips_per_shard=clips_per_shard,
            on_bad=on_bad_clip,
            on_bad_input=_say_skipped,
            progress=progress,
        )
    say(f"{open_clip_source(output).count()} of {source.count()} clips in {len(shards)} shards")
    show(output)


def _files(source: "ClipSource") -> "Iterator[Path]":
    """Everything that a data set consists of."""
    from ingredients.data.record_json import BadRecordError

    for _, record in source:
        if not isinstance(record, BadRecordError):
            yield from record.files


def _say_skipped(name: str, problem: str) -> None:
    say(f"Left out: {name}: {problem}")


def _choose(source: "ClipSource", names: Collection[str]) -> "Iterator[ClipItem]":
    """The items with these names, or all where there are none."""
    from ingredients.data.record_json import BadRecordError

    for where, record in source:
        if not names or (not isinstance(record, BadRecordError) and record.clip_id in names):
            yield where, record


def _draw(record: "ClipRecord") -> "UInt8Array":
    import numpy as np

    from ingredients.data.mask_files import read_masks
    from ingredients.media.photos import load_photo
    from ingredients.media.video import read_video
    from ingredients.visualisation.clip_sheet import clip_row

    shape = (record.num_frames, record.height, record.width)

    def masks(path: Path | None) -> "BoolArray":
        if path is None:
            return np.zeros(shape, dtype=bool)
        return read_masks(path, num_frames=record.num_frames, height=record.height, width=record.width)

    return clip_row(
        f"{record.clip_id}: {' '.join(record.caption.split())}",
        read_video(record.video).frames,
        np.stack([masks(person.face_masks) for person in record.people]),
        np.stack([masks(person.person_masks) for person in record.people]),
        [person.boxes for person in record.people],
        [[load_photo(photo) for photo in person.references] for person in record.people],
    )


def _describe(report: "DataReport") -> str:
    lines = [f"{report.num_usable} of {report.num_clips} clips can be used, {report.num_frames} frames"]
    lines += [
        f"  {count} with {people} {'person' if people == 1 else 'people'}"
        for people, count in report.num_people.items()
    ]
    lines += problem_lines([(each.clip_id, each.is_fatal, each.problem) for each in report.problems])
    return "\n".join(lines)
