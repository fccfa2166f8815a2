"""`ingredients train export`: trained weights become a model folder, with a card, and go to the hub if asked for."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ingredients.apps.options import check_folders
from ingredients.apps.terminal import say, show, with_examples
from ingredients.core.paths import parse_path

if TYPE_CHECKING:
    from ingredients.training.runs.folder import RunFolder

HELP = with_examples(
    "Makes a model folder of what a run has trained: a whole one, in our layout or the published one, or identity "
    "weights with their LoRA for use beside the base. Each has a model card. The folder is written whole or not at "
    "all, and goes to the hub only if --push names a repository.",
    "ingredients train export runs/route --output models/mine",
    "ingredients train export runs/route --output models/mine-identity --layout identity",
    "ingredients train export runs/align --output models/try --checkpoint best --dtype bfloat16",
    "ingredients train export runs/route --output models/mine --push OWNER/NAME --private",
)


def export(
    run: Annotated[
        Path,
        typer.Argument(parser=parse_path, metavar="RUN", help="Folder of a run of `train align` or `train route`."),
    ],
    output: Annotated[Path, typer.Option(parser=parse_path, help="Folder to write; nothing may be in it yet.")],
    layout: Annotated[
        Literal["ours", "published", "identity"],
        typer.Option(
            help="A whole model folder; the same under the published names; or identity weights beside a CogVideoX."
        ),
    ] = "ours",
    dtype: Annotated[
        Literal["float16", "bfloat16", "float32"] | None,
        typer.Option(
            help="Of all weights. Default: that of the model's own transformer, and the other parts as they are."
        ),
    ] = None,
    checkpoint: Annotated[
        str | None,
        typer.Option(
            metavar="last|best|STEP",
            help="Take a checkpoint's averages instead of what the run exported at its end; it need not have ended.",
        ),
    ] = None,
    push: Annotated[
        str | None, typer.Option(metavar="OWNER/NAME", help="Repository on the hub that the folder goes to.")
    ] = None,
    private: Annotated[
        bool, typer.Option("--private", help="Make the repository private, if it is made by this.")
    ] = False,
) -> None:
    """Exports a run."""
    from ingredients.core.errors import UserInputError
    from ingredients.core.output_folders import check_new_folder
    from ingredients.training.runs.configuration import check_run_folder

    if private and push is None:
        raise UserInputError("--private is about a repository on the hub; name one with --push OWNER/NAME.")
    check_folders([run], "folder of a run")
    check_run_folder(run)

    from ingredients.model_folders.hub_upload import check_upload, upload
    from ingredients.training.runs.export import export_run  # with PyTorch
    from ingredients.training.runs.export_plan import RECORD_NAME, plan_export
    from ingredients.training.runs.folder import read_run

    plan = plan_export(read_run(run), layout=layout, dtype=dtype, checkpoint=checkpoint, notice=say)
    is_there = plan.is_exported_to(output)
    if not is_there:
        check_new_folder(output)
    if push is not None:
        check_upload(push)
    if is_there:
        say(f"{output} holds this export already.")
    else:
        export_run(plan, output, repo_id=push, draw_curves=_draw_curves, notice=say)
    show(output)
    if push is not None:
        say(f"Uploading {output} to {push}.")
        show(upload(output, push, record_name=RECORD_NAME, private=private))


def _draw_curves(runs: "Sequence[RunFolder]", path: Path) -> bool:
    """Draws the losses of runs, as far as they have a log and matplotlib is there."""
    from ingredients.core.errors import UserInputError
    from ingredients.core.training_log import LOG_NAME
    from ingredients.media.pictures import write_picture
    from ingredients.visualisation.curves import read_log, training_curves

    logged = [run for run in runs if (run.folder / LOG_NAME).is_file()]
    try:
        logs = {f"{number}. {run.name}": read_log(run.folder / LOG_NAME) for number, run in enumerate(logged, start=1)}
        names = {name for lines in logs.values() for line in lines for name in line}
        losses = sorted(name for name in names if "loss" in name and not name.rpartition("_t")[2].isdigit())
        if not losses:
            say("The runs have logged no loss, so the card has no curves.")
            return False
        write_picture(path, training_curves(logs, metrics=losses))
    except UserInputError as error:  # no matplotlib, or the log of a run that is going on ends in half a line
        say(f"The card has no curves: {error}")
        return False
    return True
