"""`ingredients info`: what generated files say about themselves."""

import dataclasses
import json
from pathlib import Path
from typing import Annotated

import typer

from ingredients.apps.terminal import with_examples

HELP = with_examples(
    "Prints what a video or picture says about how it was made: version, model, seed, people, prompt.",
    "ingredients info out.mp4",
    "ingredients info out.mp4 frames.png --json",
)


def info(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Videos and pictures.")],
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object for each file, a line each, and nothing else.")
    ] = False,
) -> None:
    """Prints how generated files were made."""
    from ingredients.media.provenance import read_provenance

    found = {str(file): read_provenance(file) for file in files}
    for file, provenance in found.items():
        if as_json:
            typer.echo(json.dumps({"file": file} | dataclasses.asdict(provenance), ensure_ascii=False))
            continue
        typer.echo(f"{file}: made by a model, with ingredients {provenance.version}")
        typer.echo(f"  model   {provenance.model}, seed {provenance.seed}")
        typer.echo(f"  people  {', '.join(provenance.people)}")
        typer.echo(f"  prompt  {provenance.prompt or '(kept out of the file)'}")
