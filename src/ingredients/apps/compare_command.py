"""`ingredients compare`: by how much two evaluations of the same cases differ."""

from pathlib import Path
from typing import Annotated

import typer

from ingredients.apps.options import AsJson
from ingredients.apps.terminal import show, show_json, with_examples
from ingredients.core.paths import parse_path
from ingredients.evaluation.names import result_file

HELP = with_examples(
    "Prints the differences of two evaluations of the same cases, case by case, with 95 % intervals: what a setting, "
    "a part or a training run brings. Results of other cases, seeds or judges are refused.",
    "ingredients evaluate --cases 30 --output outputs/with",
    "ingredients evaluate --cases 30 --likeness-guidance-scale 0 --output outputs/without",
    "ingredients compare outputs/without outputs/with",
)


def compare(
    first: Annotated[
        Path, typer.Argument(parser=parse_path, metavar="A", help="Folder of an evaluation, or its result.json.")
    ],
    second: Annotated[
        Path, typer.Argument(parser=parse_path, metavar="B", help="The other one; differences are B less A.")
    ],
    as_json: AsJson = False,
) -> None:
    """Compares two evaluations of the same cases."""
    for path in (first, second):
        result_file(path)  # which says so if it is not there

    from ingredients.evaluation.compare import compare_results  # with PyTorch

    difference = compare_results(first, second)
    if as_json:
        show_json(difference.to_json())
    else:
        names = [path.name or str(path) for path in (first, second)]
        if names[0] == names[1]:
            names = [str(first), str(second)]
        show(difference.to_markdown(*names))
