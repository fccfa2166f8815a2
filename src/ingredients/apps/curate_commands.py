"""`ingredients curate RAW... --output DATASET`: a data set of people out of raw videos."""

import shlex
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ingredients.apps.terminal import IngredientsGroup, say, show, with_examples
from ingredients.core.errors import UserInputError
from ingredients.core.paths import parse_path

if TYPE_CHECKING:
    from ingredients.curation.engine import Curated

_RUN = "run"


class _CurateGroup(IngredientsGroup):
    """Commands of which `curate RAW...` is meant where no other one is named."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Takes whatever does not begin with the name of a command for videos and options."""
        if not args or args[0] not in self.commands or args[0] == _RUN:
            args = [_RUN, *args]
        return list(super().parse_args(ctx, args))


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
        "licence, creator, consent and other columns are carried on). The same command goes on where it was stopped, "
        "and other settings redo only what hangs on them.",
        "ingredients curate holiday.mp4 --output my-clips",
        "ingredients curate raw/ more.csv --output my-clips --workers 2",
        "ingredients curate raw/ --output my-clips --config strict.yaml quality.min_motion=0.01",
    ),
)
def curate(
    raws: Annotated[
        list[str],
        typer.Argument(
            metavar="RAW... [KEY=VALUE...]", help="Videos, folders, lists, manifests; settings that differ."
        ),
    ],
    output: Annotated[
        Path, typer.Option(parser=parse_path, metavar="FOLDER", help="Data set; made, or gone on with.")
    ],
    config: Annotated[
        Path | None,
        typer.Option(parser=parse_path, metavar="FILE.yaml", help="Settings that differ; KEY=VALUE comes after it."),
    ] = None,
    workers: Annotated[
        int, typer.Option(min=0, max=1024, help="Processes, with a video at a time each; 0 does it all in this one.")
    ] = 0,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Also print the line of each clip that the log has.")
    ] = False,
) -> None:
    """Turns raw videos into a data set."""
    from ingredients.core.config import load_config, save_config
    from ingredients.core.output_folders import check_output_folder, claimed_folder
    from ingredients.curation.card import write_card
    from ingredients.curation.config import CurationConfig
    from ingredients.curation.engine import WORK_NAME
    from ingredients.curation.engine import curate as run
    from ingredients.curation.sources import find_sources
    from ingredients.curation.write import write_data_set

    paths, settings = _split(raws)
    settings_of = load_config(CurationConfig, config, overrides=settings)
    check_output_folder(output, "a curated data set")
    sources = find_sources(paths)
    from ingredients.apps.curation_progress import CurationProgress

    with claimed_folder(output, "a curated data set"), CurationProgress(output / LOG_NAME, verbose=verbose) as watcher:
        save_config(settings_of, output / "curation.yaml")
        curated = run(sources, settings_of, output / WORK_NAME, num_workers=workers, watcher=watcher)
        write_data_set(output, curated)
        write_card(output, curated, command=_command(raws, config))
    say(_summary(curated))
    show(output)


def _command(raws: list[str], config: Path | None) -> str:
    """The command that makes the same, without where things are on this machine."""
    words = [Path(raw).name if _SETTING not in raw else raw for raw in raws]
    return shlex.join(["ingredients", "curate", *words, *([] if config is None else ["--config", config.name])])


def _split(raws: list[str]) -> tuple[list[Path], list[str]]:
    """Videos and settings; a video with an = in its name is one where it is there."""
    paths, settings = [], []
    for raw in raws:
        key = raw.partition(_SETTING)[0]
        is_setting = _SETTING in raw and key.replace("_", "").replace(".", "").isalnum() and not Path(raw).exists()
        if is_setting:
            settings.append(raw)
        else:
            paths.append(parse_path(raw))
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
