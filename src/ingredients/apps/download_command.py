"""`ingredients download`: a model of the hub, whole and verified."""

from typing import TYPE_CHECKING, Annotated

import typer

from ingredients.apps.terminal import cell, say, show, with_examples
from ingredients.core.errors import UserInputError

if TYPE_CHECKING:
    from ingredients.model_folders.hub import DownloadPlan

HELP = with_examples(
    "Downloads a model: only the files that are read, going on where it stopped, checksums compared. "
    "HF_HOME chooses the disk, HF_HUB_OFFLINE=1 forbids the network.",
    "ingredients download published",
    "ingredients download published --dry-run",
    "ingredients download zai-org/CogVideoX-5b-I2V",
    "ingredients download OWNER/NAME@COMMIT",
)


def download(
    model: Annotated[str, typer.Argument(metavar="NAME|OWNER/NAME[@REVISION]", help="As `ingredients models` says.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be downloaded, and stop.")] = False,
) -> None:
    """Downloads a model."""
    from ingredients.model_folders.hub_model import cache_folder, format_size, parse_hub_id
    from ingredients.model_folders.known_models import KNOWN_MODELS, find_known_model

    known = find_known_model(model)
    source = parse_hub_id(model) if known is None else known.source
    if source is None:
        names = ", ".join(each.name for each in KNOWN_MODELS if each.source is not None)
        raise UserInputError(
            f"{model} ships with the package, so there is nothing to download."
            if known is not None
            else f"{model} is no model that can be downloaded; take one of {names}, or OWNER/NAME on the hub."
        )

    from ingredients.core.progress import show_progress  # with the libraries of the hub, which take a second
    from ingredients.model_folders import hub

    plan = hub.plan_download(source)
    _print_plan(plan)
    if known is not None:
        say(f"Licence: {known.licence}.")
    if dry_run:
        return
    if plan.num_missing_bytes:
        say(f"Downloading {format_size(plan.num_missing_bytes)} into {cache_folder()}.")
    folder = hub.download(plan)
    with show_progress("Comparing checksums, MB") as progress:
        hub.verify(plan, folder, progress=progress)
    show(folder)


def _print_plan(plan: "DownloadPlan") -> None:
    from rich.console import Console
    from rich.table import Table

    from ingredients.model_folders.hub_model import format_size

    table = Table("file", "size", "", title=f"{plan.model.repo_id}, commit {plan.commit[:12]}", title_justify="left")
    table.columns[1].justify = "right"
    for file in sorted(plan.files, key=lambda file: -file.size):
        table.add_row(cell(file.name), format_size(file.size), "here" if file.is_here else "")
    Console(stderr=True).print(table)
    say(plan.describe() + ".")
