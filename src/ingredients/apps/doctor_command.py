"""`ingredients doctor`: what works on this machine, what each model needs, and what to change."""

import json
from pathlib import Path
from typing import Annotated

import typer

from ingredients.apps.terminal import with_examples

HELP = with_examples(
    "Says what this machine has, which libraries work, which memory modes fit, and the command that fixes what is "
    "missing. The exit code is 1 if something essential is broken.",
    "ingredients doctor",
    "ingredients doctor --model path/to/the/published/folder",
    "ingredients doctor --json > doctor.json",
)
SOMETHING_BROKEN = 1


def doctor(
    model: Annotated[
        Path | None, typer.Option(help="Model folder whose needs are computed. Default: the small model that ships.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object on standard output, and nothing else there.")
    ] = False,
) -> None:
    """Says what works here."""
    from ingredients.apps.doctor import examine
    from ingredients.apps.doctor_report import print_report

    report = examine(model=model)
    if as_json:
        typer.echo(json.dumps(report.to_json(), ensure_ascii=False))
    else:
        print_report(report)
    if not report.works:
        raise typer.Exit(SOMETHING_BROKEN)
