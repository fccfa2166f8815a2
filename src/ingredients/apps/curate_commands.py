"""`ingredients curate RAW... --output DATASET`: a data set of people out of raw videos."""

import contextlib
import shlex
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ingredients.apps.options import Overwrite
from ingredients.apps.sampling_options import finite
from ingredients.apps.terminal import IngredientsGroup, say, show, show_json, with_examples
from ingredients.core.errors import UserInputError
from ingredients.core.paths import is_address, parse_path, without_secrets

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ingredients.curation.config import CurationConfig
    from ingredients.curation.engine import Curated
    from ingredients.curation.fetch import StoredFiles
    from ingredients.curation.sources import Source
    from ingredients.curation.workers import Pool

_RUN = "run"


class _CurateGroup(IngredientsGroup):
    """Commands of which `curate RAW...` is meant where no other one is named."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Takes whatever does not begin with the name of a command for videos and options."""
        if not args or args[0] not in self.commands or args[0] == _RUN:
            args = [_RUN, *args]
        return list(super().parse_args(ctx, args))

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Finds the command; that of videos is called as its group is."""
        name, command, rest = super().resolve_command(ctx, args)
        return "" if name == _RUN else name, command, rest


app = typer.Typer(
    cls=_CurateGroup,
    help="Raw videos in, a data set of people out: shots, quality, people, masks, captions (docs/curation.md).",
)

LOG_NAME = "curation.log"
_SETTING = "="


@app.command(
    _RUN,
    hidden=True,
    help=with_examples(
        "Turns raw videos into a data set of clips that training reads, and says of every clip why it was kept or "
        "left out. A folder, videos, a list (.txt, a path a line) or a manifest (.csv, .jsonl, with a column path; "
        "licence, creator, consent and other columns are carried on), or an address of object storage, whose copies "
        "are kept in the data set's folder. The same command goes on where it was stopped, and other settings redo "
        "only what hangs on them.",
        "ingredients curate holiday.mp4 --output my-clips",
        "ingredients curate raw/ more.csv --output my-clips --workers 2",
        "ingredients curate raw/ --output my-clips --config strict.yaml quality.min_motion=0.01",
        "ingredients curate s3://bucket/films --output my-clips",
        "ingredients curate raw/ --dry-run --workers 8",
        "ingredients curate /shared/raw --output /shared/my-clips --address auto --worker-gpus 0.25",
        "ingredients curate show holiday.mp4 --time 12",
        "ingredients curate replay my-clips holiday-1a2b3c4d-00012000 people",
    ),
)
def curate(
    raws: Annotated[
        list[str],
        typer.Argument(
            metavar="RAW... [KEY=VALUE...]",
            help="Videos, folders, lists, manifests, addresses such as s3://bucket/films; settings that differ.",
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(parser=parse_path, metavar="FOLDER", help="Data set; made, or gone on with. Needed but to try."),
    ] = None,
    config: Annotated[
        list[Path] | None,
        typer.Option(
            parser=parse_path,
            metavar="FILE.yaml",
            help="Settings that differ; of several files, each changes those before it. KEY=VALUE comes after them.",
        ),
    ] = None,
    workers: Annotated[
        int, typer.Option(min=0, max=1024, help="Processes, with a video at a time each; 0 does it all in this one.")
    ] = 0,
    address: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Do the work by Ray: auto or HOST:PORT of a cluster that runs, local for one on this machine. "
            "--workers is then the most actors, 0 as many as there are cores. Videos and data set must lie where all "
            "machines see them.",
        ),
    ] = None,
    worker_gpus: Annotated[
        float, typer.Option(min=0, max=8, help="With Ray, the part of a graphics card of whoever looks at people.")
    ] = 0.0,
    min_people: Annotated[
        int | None,
        typer.Option(min=0, help="Fewest people of a clip: people.min_people. 0 looks for none."),
    ] = None,
    max_people: Annotated[int | None, typer.Option(min=1, help="Most people of a clip: people.max_people.")] = None,
    faces: Annotated[
        Literal["drawn", "dlib", "antelopev2"] | None,
        typer.Option(help="Who finds faces: people.faces. drawn for films of the drawn world."),
    ] = None,
    masks: Annotated[
        Literal["box", "selfie", "sam", "sam2"] | None, typer.Option(help="What cuts faces out: masks.by.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what it would take, from a sample; nothing is written.")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Also print the line of each clip that the log has.")
    ] = False,
) -> None:
    """Turns raw videos into a data set."""
    from ingredients.core.config import load_config, save_config
    from ingredients.core.output_folders import check_output_folder, claimed_folder
    from ingredients.curation.card import write_card
    from ingredients.curation.config import CurationConfig
    from ingredients.curation.engine import COPIES_NAME, WORK_NAME, first_problems
    from ingredients.curation.engine import curate as run
    from ingredients.curation.sources import find_sources
    from ingredients.curation.write import write_data_set

    paths, settings = _split(raws)
    for name, value in (
        ("people.min_people", min_people),
        ("people.max_people", max_people),
        ("people.faces", faces),
        ("masks.by", masks),
    ):
        settings += [] if value is None else [f"{name}={value}"]
    settings_of = load_config(CurationConfig, config, overrides=settings)
    if output is not None:
        check_output_folder(output, "a curated data set")
    elif not dry_run:
        raise UserInputError("There is no folder for the data set; name one with --output, or try with --dry-run.")
    sources = find_sources(paths)
    stored = _looked_up(sources, is_tried=dry_run)
    if dry_run or output is None:
        show(_estimated(sources, settings_of, workers))
        return
    from ingredients.apps.curation_progress import CurationProgress

    _check_any_is_read(first_problems(sources))  # before there is a folder
    with claimed_folder(output, "a curated data set"), CurationProgress(output / LOG_NAME, verbose=verbose) as watcher:
        save_config(settings_of, output / "curation.yaml")
        if stored:
            from ingredients.curation.fetch import with_copies

            def copied(completed: int, total: int) -> None:
                watcher.step("copying", completed, total)

            sources = with_copies(sources, stored, output / WORK_NAME / COPIES_NAME, progress=copied)
            _check_any_is_read(first_problems(sources))
        with _pool(address, workers, worker_gpus) as pool:
            curated = run(sources, settings_of, output / WORK_NAME, pool=pool, watcher=watcher)
        write_data_set(output, curated)
        write_card(output, curated, command=_command(paths, config, settings))
    say(_summary(curated))
    show(output)


@app.command(
    "show",
    help=with_examples(
        "Explains one clip on one page of HTML: what each step measured and says, the signals around it, its frames.",
        "ingredients curate show film.mp4 --time 12",
        "ingredients curate show film.mp4 --time 75.5 --output clip.html --config strict.yaml",
    ),
)
def show_clip(
    video: Annotated[Path, typer.Argument(parser=parse_path, metavar="VIDEO", help="Raw video.")],
    settings: Annotated[
        list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Settings of curation that differ.")
    ] = None,
    time: Annotated[
        float, typer.Option(callback=finite, min=0, help="Second of the video that the clip shows.")
    ] = 0.0,
    config: Annotated[
        list[Path] | None,
        typer.Option(
            parser=parse_path,
            metavar="FILE.yaml",
            help="Settings that differ; of several files, each changes those before it.",
        ),
    ] = None,
    output: Annotated[Path, typer.Option(parser=parse_path, metavar="FILE.html", help="Page to write.")] = Path(
        "clip.html"
    ),
    overwrite: Overwrite = False,
) -> None:
    """Explains one clip."""
    from ingredients.core.config import load_config
    from ingredients.core.files import check_output_path, write_text
    from ingredients.curation.config import CurationConfig
    from ingredients.curation.explain import explain_clip

    settings_of = load_config(CurationConfig, config, overrides=settings or ())
    check_output_path(output, overwrite=overwrite)
    write_text(output, explain_clip(video, time, settings_of))
    show(output)


@app.command(
    "fetch",
    help=with_examples(
        "Copies raw videos out of object storage, with the JSON files beside them, to be curated from the disk. A "
        "stopped copy goes on; files that did not change since, there or here, are left alone.",
        "ingredients curate fetch s3://bucket/films --output raw",
        "ingredients curate fetch https://example.org/film.mp4 --output raw",
    ),
)
def fetch_videos(
    url: Annotated[str, typer.Argument(metavar="URL", help="Of a video, or of a folder of them.")],
    output: Annotated[Path, typer.Option(parser=parse_path, metavar="FOLDER", help="Where the videos go.")],
) -> None:
    """Copies videos."""
    from ingredients.core.progress import show_progress
    from ingredients.curation.fetch import fetch

    with show_progress("Copying") as progress:
        files = fetch(url, output, progress=progress)
    say(f"{len(files)} files")
    show(output)


@app.command(
    "send",
    help=with_examples(
        "Copies a curated data set into object storage, without the store of what was measured. A stopped copy goes "
        "on; files that are the same there are left alone; the table of clips comes last.",
        "ingredients curate send my-clips s3://bucket/my-clips",
    ),
)
def send_data_set(
    folder: Annotated[Path, typer.Argument(parser=parse_path, metavar="DATASET", help="Curated data set.")],
    url: Annotated[str, typer.Argument(metavar="URL", help="Address of a folder for it, new or with an earlier one.")],
) -> None:
    """Copies a data set."""
    from ingredients.core.progress import show_progress
    from ingredients.curation.send import send

    if not is_address(url):
        raise UserInputError(
            f"{url} is no address, such as s3://bucket/my-clips; copy to a folder without this program."
        )
    with show_progress("Sending") as progress:
        num_sent = send(folder, url, progress=progress)
    say(f"{num_sent} files")
    show(without_secrets(url))


@app.command(
    "replay",
    help=with_examples(
        "Takes one step again with one clip, on what the steps before it saved, and says what it measures and "
        "decides. Nothing is kept.",
        "ingredients curate replay my-clips film-1a2b3c4d-00012000 people",
    ),
)
def replay(
    folder: Annotated[Path, typer.Argument(parser=parse_path, metavar="DATASET", help="Curated data set.")],
    clip_id: Annotated[str, typer.Argument(metavar="CLIP", help="Name of the clip, as in clips.jsonl.")],
    step: Annotated[str, typer.Argument(metavar="STEP", help="Step, such as cut, text, people or masks.")],
    settings: Annotated[
        list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Settings that differ from the data set's.")
    ] = None,
) -> None:
    """Takes one step again."""
    from ingredients.core.config import load_config
    from ingredients.curation.config import CurationConfig
    from ingredients.curation.replay import replay_step

    config = load_config(CurationConfig, folder / "curation.yaml", overrides=settings or ())
    outcome = replay_step(folder, clip_id, step, config)
    show_json({"measured": dict(outcome.measured), "saved": outcome.saved})
    say("keep" if outcome.rejection is None else f"left out: {outcome.rejection.sentence}")


@contextlib.contextmanager
def _pool(address: str | None, workers: int, worker_gpus: float) -> "Iterator[Pool]":
    """Who does the work: processes of this machine, or Ray."""
    from ingredients.curation.workers import LocalPool

    if address is None:
        yield LocalPool(num_workers=workers)
        return
    from ingredients.curation.ray_pool import RayPool

    with RayPool(address=address, num_workers=workers, num_gpus=worker_gpus) as pool:
        yield pool


def _looked_up(sources: "Sequence[Source]", *, is_tried: bool) -> "Mapping[str, StoredFiles]":
    """What lies at the addresses among sources, before anything is written.

    Raises:
        UserInputError: if there is none at one of them, or they are only to be tried, which needs them on a disk.
    """
    addresses = [source.address for source in sources if source.address is not None]
    if addresses and is_tried:
        raise UserInputError(
            f"With --dry-run, videos are tried on a disk, and {without_secrets(addresses[0])} lies elsewhere; copy "
            "some with `ingredients curate fetch`, and try those."
        )
    if not addresses:
        return {}
    from ingredients.curation.fetch import look_up

    return {address: look_up(address) for address in addresses}


def _check_any_is_read(problems: "Sequence[str | None]") -> None:
    """Refuses sources of which not one can be read: nothing was curated then.

    Args:
        problems: for each source why it cannot be read; None where it can.
    """
    said = [problem for problem in problems if problem is not None]
    if len(said) < len(problems):
        return
    if len(said) == 1:
        raise UserInputError(said[0])
    raise UserInputError(f"None of the {len(said)} videos can be read, so nothing was curated. The first: {said[0]}")


def _estimated(sources: "Sequence[Source]", config: "CurationConfig", workers: int) -> str:
    from ingredients.core.progress import duration_in_words
    from ingredients.curation.estimate import estimate

    found = estimate(sources, config, num_workers=workers)
    _check_any_is_read([*found.problems, *[None] * (len(sources) - len(found.problems))])
    processes = f"{workers} processes" if workers > 1 else "one process"
    lines = [
        f"{found.num_videos} of {len(sources)} videos can be used, {duration_in_words(found.film_seconds)} of film",
        f"about {found.num_clips} clips, {found.num_bytes / 1e6:.0f} MB on the disk",
        f"about {duration_in_words(found.work_seconds)} with {processes}, {found.decoding_share:.0%} of it to decode",
    ]
    if found.captions is not None:
        lines.append(f"captions, about: {found.captions.sentence}")
    lines.append(f"(from {found.sampled_seconds:.0f} seconds of film that were tried)")
    return "\n".join(lines)


def _command(paths: "Sequence[Path | str]", config: "Sequence[Path] | None", settings: "Sequence[str]") -> str:
    """The command that makes the same, without where things are on this machine."""
    from ingredients.curation.sources import name_of

    files = [part for file in config or () for part in ("--config", file.name)]
    return shlex.join(
        [
            "ingredients",
            "curate",
            *(without_secrets(path) if isinstance(path, str) else name_of(Path(path.name)) for path in paths),
            *settings,
            *files,
        ]
    )


def _split(raws: list[str]) -> tuple[list[Path | str], list[str]]:
    """Videos, also as addresses, and settings; a video with an = in its name is one where it is there."""
    paths: list[Path | str] = []
    settings: list[str] = []
    for raw in raws:
        key = raw.partition(_SETTING)[0]
        is_setting = _SETTING in raw and key.replace("_", "").replace(".", "").isalnum() and not Path(raw).exists()
        if is_setting:
            settings.append(raw)
        else:
            paths.append(raw if is_address(raw) else parse_path(raw))
    if not paths:
        raise UserInputError("There is no video to curate; name videos, a folder, a list or a manifest.")
    return paths, settings


def _summary(curated: "Curated") -> str:
    reasons = Counter(
        f"{rejection.step}: {rejection.reason}"
        for rejection in (
            *(source.state.rejection for source in curated.sources),
            *(clip.rejection for _, clip in curated.clips),
        )
        if rejection is not None
    )
    lines = [f"{len(curated.kept)} of {len(curated.clips)} clips of {len(curated.sources)} videos are kept"]
    lines += [f"  {count} left out at {reason}" for reason, count in reasons.most_common()]
    return "\n".join(lines)
