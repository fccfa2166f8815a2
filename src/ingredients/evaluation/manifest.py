"""Videos that any system made, as a folder with `manifest.jsonl`, for `ingredients evaluate --videos`.

manifest.jsonl    one line a video
everything else   wherever the lines say, within the folder

A line is a JSON object:

| field | what it is |
|---|---|
| `file_name` | the video |
| `prompt` | what it was asked for with |
| `people` | a list, in the order asked for, of `{"name": ..., "photos": [...]}` |
| `case_id` | optional: its name in reports; the file's name without the ending otherwise |
| `real_video` | optional: a real video of the same people and prompt, for motion, variety, FID and the judge's scale |
| `ordered` | optional: true, if the people were asked for from left to right in this order |
| `temporal_ratio` | optional: frames in each latent frame of the video's VAE but the first, which holds one |

A person may also carry `identity_seed`, where it is one of the drawn world's evaluation split: a model's own judge
then knows it, and tells it from others, exactly as in `ingredients evaluate`. The first photo is the one that copying
is measured against.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ingredients.casebook.cases import Case
from ingredients.core.config import config_from_dict
from ingredients.core.errors import UserInputError
from ingredients.core.json_yaml import NotPlainError, read_json_lines, shorten, write_json_lines
from ingredients.core.model_files import name_some

MANIFEST_NAME = "manifest.jsonl"


_FIELDS = ("file_name", "prompt", "people", "case_id", "real_video", "ordered", "temporal_ratio")
"""What of a case a line says."""


def read_manifest(folder: Path) -> list[Case]:
    """Reads the manifest of a folder of videos; whether the files are there and sound is another question.

    Raises:
        UserInputError: if there is no manifest or nothing in it, for lines that describe no video, or for two lines
            with one name; it names the lines.
    """
    path = folder / MANIFEST_NAME
    if not path.is_file():
        raise UserInputError(
            f"The folder {folder} lacks {MANIFEST_NAME}, which says what its videos were asked for with; "
            "docs/evaluation.md describes it, and `ingredients evaluate --save-videos` writes one."
        )
    cases: list[Case] = []
    faults: list[str] = []
    first_lines: dict[str, int] = {}
    for number, values in read_json_lines(path, remedy="docs/evaluation.md describes it"):
        try:
            if isinstance(values, NotPlainError):
                raise values
            if not isinstance(values, dict):
                raise NotPlainError(f"a video is a JSON object, not {type(values).__name__}")
            case = _read_line(values, index=len(cases))
        except (NotPlainError, UserInputError) as error:
            faults.append(f"line {number} ({str(error).rstrip('.')})")
            continue
        if case.label in first_lines:
            faults.append(f"line {number} (the case {case.label!r} is already in line {first_lines[case.label]})")
            continue
        first_lines[case.label] = number
        cases.append(case)
    if faults:
        raise UserInputError(f"The manifest {path} has faults that must be mended first: {name_some(faults)}.")
    if not cases:
        raise UserInputError(f"The manifest {path} lists no video; give it one line a video.")
    return cases


def write_manifest(folder: Path, cases: Sequence[Case]) -> None:
    """Writes the manifest of a folder, whole or not at all; the files that it names are the caller's.

    Raises:
        OutputError: if it cannot be written.
    """
    write_json_lines(folder / MANIFEST_NAME, map(_to_line, cases))


def _read_line(values: dict[str, Any], *, index: int) -> Case:
    """The case that a line describes.

    Raises:
        UserInputError: if it describes none.
    """
    unknown = [name for name in values if name not in _FIELDS]
    if unknown:
        raise UserInputError(f"a video has no setting {shorten(repr(unknown[0]))}; it knows {', '.join(_FIELDS)}")
    case = config_from_dict(Case, values | {"index": index}, where="")
    if case.file_name is None:
        raise UserInputError("a video needs the setting 'file_name'")
    for person in case.people:
        if not person.photos:
            raise UserInputError(f"{person.name} has no photos")
    return case


def _to_line(case: Case) -> dict[str, Any]:
    """What a line says of a case, without what was left at its default."""
    values = dataclasses.asdict(case)
    line = {name: values[name] for name in _FIELDS if values[name] not in (None, False)}
    line["people"] = [
        {name: value for name, value in person.items() if value is not None} for person in line["people"]
    ]
    return line
