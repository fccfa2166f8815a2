"""Options by which commands choose a model, and how it is loaded."""

import enum
from pathlib import Path
from typing import Annotated

import typer

from ingredients.core.memory_mode import MemoryMode
from ingredients.core.paths import parse_path


class FaceStackOption(enum.Enum):
    """Who reads the photos."""

    MODEL = "model"
    ANTELOPEV2 = "antelopev2"
    DLIB = "dlib"
    DRAWN = "drawn"


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
FaceStack = Annotated[
    FaceStackOption,
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
