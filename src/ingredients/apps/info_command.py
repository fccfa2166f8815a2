"""`ingredients info`: what generated files say about themselves."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ingredients.apps.terminal import show, show_json, with_examples
from ingredients.core.paths import parse_path
from ingredients.core.printable import printable

if TYPE_CHECKING:
    from ingredients.media.provenance import Provenance

HELP = with_examples(
    "Prints what a video or picture says about how it was made: version, model, seed, people, prompt.",
    "ingredients info out.mp4",
    "ingredients info out.mp4 frames.png --json",
)


def info(
    files: Annotated[list[Path], typer.Argument(parser=parse_path, metavar="FILE...", help="Videos and pictures.")],
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object for each file, a line each, and nothing else.")
    ] = False,
) -> None:
    """Prints how generated files were made."""
    from ingredients.media.provenance import read_provenance

    found = {str(file): read_provenance(file) for file in files}
    if as_json:
        show_json(*({"file": file} | dataclasses.asdict(provenance) for file, provenance in found.items()))
    else:
        show("\n".join(_describe(file, provenance) for file, provenance in found.items()))


def _describe(file: str, provenance: "Provenance") -> str:
    """What strangers' files say is one line each, whatever it holds."""
    lines = [
        f"{printable(file)}: made by a model, with ingredients {provenance.version}",
        f"  model   {printable(provenance.model)}, seed {provenance.seed}",
        f"  people  {', '.join(map(printable, provenance.people))}",
        f"  prompt  {printable(provenance.prompt or '(kept out of the file)', most=None)}",
    ]
    return "\n".join(lines)
