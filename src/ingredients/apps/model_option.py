"""The option that every command with a model has."""

from typing import Annotated

import typer

Model = Annotated[
    str | None,
    typer.Option(
        metavar="FOLDER|NAME|OWNER/NAME",
        help="A model folder, a name of `ingredients models`, or a repository on the hub. Default: the small model "
        "that ships.",
    ),
]
