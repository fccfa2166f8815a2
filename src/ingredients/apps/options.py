"""Options that several commands have, and checks of paths before PyTorch is imported, which takes seconds.

One rule for commands that write single files: a file that is there is kept, and the command ends before its work,
unless --overwrite says that it may be replaced. Folders are another matter (`core/output_folders.py`): they are new,
empty or ours. What lies at a path that is read is checked by who reads it; that something lies there, a mistyped name
should not wait for.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from ingredients.core.errors import UserInputError
from ingredients.core.memory_mode import MemoryMode
from ingredients.core.paths import parse_path
from ingredients.faces.face_stack_names import FaceStackName

Model = Annotated[
    str | None,
    typer.Option(
        metavar="FOLDER|NAME|OWNER/NAME",
        help="A model folder, a name of `ingredients models`, or a repository on the hub. Default: the small model "
        "that ships.",
    ),
]
Identity = Annotated[
    Path | None,
    typer.Option(
        parser=parse_path,
        help="Folder of identity weights for a CogVideoX base. Default: identity/ in the base's folder.",
    ),
]
DropLearnedPositions = Annotated[
    bool,
    typer.Option(
        "--drop-learned-positions", help="Leave out the positions that let CogVideoX-5b-I2V make one size only."
    ),
]
Face = Annotated[
    str | None,
    typer.Option(
        metavar="largest|left|right|N",
        help="Which face of a photo that shows several; N counts from the left. Default: largest, with a note.",
    ),
]
FaceStack = Annotated[
    FaceStackName,
    typer.Option(
        help="Who reads the photos: the model's own networks; or, with dlib, the same but dlib finds the faces "
        '(pip install "ingredients\\[dlib]"). antelopev2 and drawn insist on what the model has.'
    ),
]
AllowPhotographs = Annotated[
    bool,
    typer.Option(
        "--allow-photographs",
        help="Let a model that knows drawn people only take photographs: it draws somebody, and nobody is judged.",
    ),
]
Memory = Annotated[
    MemoryMode,
    typer.Option(
        help="How much of the model is on the GPU at a time: full is fastest, minimal needs least. Default: the "
        "fastest that fits; `ingredients doctor` lists what each needs."
    ),
]


AsJson = Annotated[
    bool, typer.Option("--json", help="Print one JSON object on standard output, and nothing else there.")
]
Overwrite = Annotated[
    bool,
    typer.Option("--overwrite", help="Replace output files that are there; without it they are kept, and this ends."),
]


def check_folders(folders: Iterable[Path | None], what: str) -> None:
    """Says whether folders are there.

    Args:
        folders: those that were named; None was not.
        what: what each is, such as "model folder".

    Raises:
        UserInputError: for the first that is not.
    """
    for folder in folders:
        if folder is not None and not folder.is_dir():
            raise UserInputError(f"There is no {what} {folder}; check the name.")


def check_files(files: Iterable[Path | None], what: str) -> None:
    """Says whether files are there; arguments and errors as `check_folders`."""
    for file in files:
        if file is not None and not file.exists():
            raise UserInputError(f"The {what} {file} does not exist; check the name and the folder.")
