"""`ingredients models`: which models there are, and which are on the disk."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ingredients.apps.terminal import cell, show_json, show_rendered, with_examples

if TYPE_CHECKING:
    from ingredients.model_folders.known_models import KnownModel

HELP = with_examples(
    "Lists the models that are known by name: what they are for, size, memory, licence, and whether they are on the "
    "disk.",
    "ingredients models",
    "ingredients models --json",
)


def models(
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object for each model, a line each, and nothing else.")
    ] = False,
) -> None:
    """Lists the models."""
    from ingredients.model_folders.known_models import KNOWN_MODELS

    if as_json:
        show_json(*map(_to_json, KNOWN_MODELS))
    else:
        _print_table()


def _to_json(model: "KnownModel") -> dict[str, Any]:
    folder = _folder(model)
    return {
        "name": model.name,
        "repository": None if model.source is None else str(model.source),
        "takes_people": model.takes_people,
        "folder": folder,
        "bytes": round(model.num_bytes),
        "memory": {mode.value: need for mode, need in model.memory.items()},
        "licence": model.licence,
        "description": model.description,
    }


def _folder(model: "KnownModel") -> str | None:
    from ingredients.model_folders.find_model import default_model_path
    from ingredients.model_folders.hub_model import repository_folder

    if model.source is None:
        return str(default_model_path())
    if not repository_folder(model.source.repo_id).is_dir():
        return None

    from ingredients.model_folders.hub import find_downloaded

    folder = find_downloaded(model.source)
    return None if folder is None else str(folder)


def _state(model: "KnownModel") -> str:
    from ingredients.model_folders.hub_model import format_size, repository_folder

    if _folder(model) is not None:
        return "yes"
    partial = 0
    if model.source is not None and repository_folder(model.source.repo_id).is_dir():
        from ingredients.model_folders.hub import size_on_disk

        partial = size_on_disk(model.source)
    here = f"{format_size(partial)} of it" if partial else "no"
    return f"{here}; ingredients download {model.name}"


def _print_table() -> None:
    from rich.table import Table

    from ingredients.model_folders.hub_model import cache_folder
    from ingredients.model_folders.known_models import KNOWN_MODELS

    table = Table.grid(padding=(0, 2, 1, 0))
    for model in KNOWN_MODELS:
        table.add_row(f"[bold]{model.name}[/bold]", _describe(model))
    show_rendered(
        table,
        "Sizes and GPU memory are computed; without a GPU everything runs on the processor.",
        cell(f"Downloads are kept in {cache_folder()}."),
    )


def _describe(model: "KnownModel") -> str:
    from ingredients.model_folders.hub_model import format_size

    needs = ", ".join(f"{mode.value} {format_size(need)}" for mode, need in model.memory.items())
    lines = [
        model.description,
        "" if model.source is None else model.source.repo_id,
        f"size {format_size(model.num_bytes)}; GPU memory: {needs}",
        f"licence: {model.licence}",
        f"on this disk: {_state(model)}",
    ]
    return "\n".join(line for line in lines if line)
