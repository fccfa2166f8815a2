"""`ingredients faces`: what is detected, aligned and recognised in photos."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ingredients.apps.options import AllowPhotographs, Model, Overwrite
from ingredients.apps.terminal import cell, say, show, show_rendered, with_examples
from ingredients.core.errors import PhotographError, UserInputError
from ingredients.core.paths import parse_path

if TYPE_CHECKING:
    from ingredients.apps.faces_report import FacesReport

HELP = with_examples(
    "Shows which faces are found in photos, how they are aligned, and how alike they are, as a picture and a table.",
    "ingredients faces ana.png ben.png",
    "ingredients faces group.jpg --output group-faces.png",
    "ingredients faces holiday.jpg passport.jpg --face-stack dlib",
)


def faces(
    photos: Annotated[list[Path], typer.Argument(parser=parse_path, metavar="PHOTO...", help="Image files.")],
    output: Annotated[Path, typer.Option(parser=parse_path, help="Picture to write.")] = Path("faces.png"),
    model: Model = None,
    face_stack: Annotated[
        Literal["model", "dlib"],
        typer.Option(
            help="Who looks: the model's own networks, or dlib's, which know photographs and work offline "
            '(pip install "ingredients\\[dlib]").'
        ),
    ] = "model",
    allow_photographs: AllowPhotographs = False,
    overwrite: Overwrite = False,
) -> None:
    """Shows which faces are found in photos."""
    from ingredients.core.files import check_not_an_input
    from ingredients.media.photos import load_photo
    from ingredients.media.pictures import check_picture_path, write_picture
    from ingredients.model_folders.find_model import find_model

    if face_stack == "dlib" and model is not None:
        raise UserInputError("dlib reads photos without a model; leave out --model or --face-stack dlib.")
    check_not_an_input(check_picture_path(output, overwrite=True), photos)
    check_picture_path(output, overwrite=overwrite)
    images = {str(photo): load_photo(photo) for photo in photos}
    folder = None if face_stack == "dlib" else find_model(model, notice=say)

    from ingredients.apps.faces_report import inspect_faces  # with PyTorch
    from ingredients.faces.dlib_faces import DlibFaceReader
    from ingredients.faces.face_stack import FaceReader, load_face_stack
    from ingredients.faces.picture_kind import explain_photograph
    from ingredients.model_folders.components import face_encoder_folder, identity_beside

    reader: FaceReader
    remedy = ""
    if folder is None:
        reader = DlibFaceReader()
    else:
        stack = load_face_stack(face_encoder_folder(folder, identity_beside(folder)))
        reader, remedy = stack, stack.facial_extractor().no_face_remedy
    report = inspect_faces(images, reader)
    if not allow_photographs and (photograph := report.first_photograph()) is not None:
        raise PhotographError(explain_photograph(photograph))
    write_picture(output, report.draw())
    _print_table(report)
    if remedy and any(not report.faces_of(photo) for photo in report.photos):
        say(f"A photo without a face cannot be used. {remedy}")
    show(output)


def _print_table(report: "FacesReport") -> None:
    from rich.table import Table

    table = Table()
    for name in ("face", "photo", "box (left, top, right, bottom)", "score", "most alike", "doubts"):
        table.add_column(name, overflow="fold")  # a path is never cut
    for photo in report.photos:
        found = report.faces_of(photo)
        if not found:
            table.add_row("-", cell(photo), "no face found", "", "", "")
        for face in found:
            alike = report.most_alike(face)
            table.add_row(
                f"#{face.number}",
                cell(photo),
                ", ".join(f"{edge:.0f}" for edge in face.face.box.tolist()),
                f"{face.face.score:.2f}",
                cell(f"{alike[1]:.2f} to #{alike[0].number} of {Path(alike[0].photo).name}" if alike else ""),
                "; ".join(doubt.reason for doubt in face.doubts),
            )
    show_rendered(table)
