"""Options by which commands that write single files treat those that are there.

One rule for all of them: a file that is there is kept, and the command ends before its work, unless --overwrite says
that it may be replaced. Folders are another matter (`core/output_folders.py`): they are new, empty or ours.
"""

from typing import Annotated

import typer

Overwrite = Annotated[
    bool,
    typer.Option("--overwrite", help="Replace output files that are there; without it they are kept, and this ends."),
]
