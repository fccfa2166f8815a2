"""`ingredients doctor`: what works on this machine, what each model needs, and what to change."""

from pathlib import Path

import typer

from ingredients.apps.options import AsJson, Model
from ingredients.apps.terminal import show_json, with_examples
from ingredients.core.paths import parse_path

HELP = with_examples(
    "Says what this machine has, which libraries work, which memory modes fit, and the command that fixes what is "
    "missing. The exit code is 1 if something essential is broken.",
    "ingredients doctor",
    "ingredients doctor --model path/to/the/published/folder",
    "ingredients doctor --json > doctor.json",
)
SOMETHING_BROKEN = 1


def doctor(
    model: Model = None,
    as_json: AsJson = False,
) -> None:
    """Says what works here."""
    from ingredients.apps.doctor import examine, print_report

    report = examine(model=_find_on_disk(model))
    if as_json:
        show_json(report.to_json())
    else:
        print_report(report)
    if not report.works:
        raise typer.Exit(SOMETHING_BROKEN)


def _find_on_disk(model: str | None) -> Path | None:
    """The folder of a model, which is not downloaded for this; None is the small one."""
    if model is None or parse_path(model).is_dir():
        return None if model is None else parse_path(model)

    from ingredients.core.errors import ModelFolderError
    from ingredients.model_folders.hub import find_downloaded
    from ingredients.model_folders.hub_model import parse_hub_id
    from ingredients.model_folders.known_models import SMALL_WORLD, find_known_model

    if model == SMALL_WORLD:
        return None
    known = find_known_model(model)
    source = parse_hub_id(model) if known is None else known.source
    folder = None if source is None else find_downloaded(source)
    if folder is None:
        raise ModelFolderError(
            f"There is no model {model} on this disk; what the published one needs is told without --model, and "
            "`ingredients models` lists the others."
        )
    return folder
