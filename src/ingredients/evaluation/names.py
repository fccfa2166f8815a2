"""Names known before anything is loaded: of judges and detectors, and of the files that an evaluation leaves."""

from pathlib import Path

from ingredients.core.errors import UserInputError
from ingredients.core.paths import parse_path

RESULT_NAME = "result.json"
REPORT_NAME = "report.md"
HTML_NAME = "report.html"

MODEL, DLIB = "model", "dlib"
ARCFACE, CURRICULARFACE, FACENET = "arcface", "curricularface", "facenet"
SCRFD = "scrfd"


def result_file(path: Path) -> Path:
    """The result of an evaluation, named by its folder or itself.

    Raises:
        UserInputError: if it is not there.
    """
    file = path / RESULT_NAME if path.is_dir() else path
    if not file.exists():
        raise UserInputError(
            f"The result {file} does not exist; name the folder of an evaluation, or its {RESULT_NAME}."
        )
    return file


def parse_judge(name: str) -> tuple[str, Path | None]:
    """The kind of a judge and the file of its network, if it has one of its own.

    Raises:
        UserInputError: for a name or a file that there is not.
    """
    return _split(name, (MODEL, DLIB), (ARCFACE, CURRICULARFACE, FACENET), what="judge")


def parse_detector(name: str) -> tuple[str, Path | None]:
    """The kind of a detector and the file of its network; raises as `parse_judge`."""
    return _split(name, (MODEL, DLIB), (SCRFD,), what="detector")


def _split(name: str, plain: tuple[str, ...], with_file: tuple[str, ...], *, what: str) -> tuple[str, Path | None]:
    """The kind and the file of `kind` or `kind:FILE`."""
    kind, separator, file = name.partition(":")
    if not (kind in plain and not separator) and not (kind in with_file and file):
        known = ", ".join([*plain, *(f"{each}:FILE.onnx" for each in with_file)])
        raise UserInputError(f"There is no {what} {name!r}; choose among {known}.")
    if not file:
        return kind, None
    path = parse_path(file)
    if not path.is_file():
        raise UserInputError(f"The network {file} of the {what} {kind} does not exist; check the name and the folder.")
    return kind, path
