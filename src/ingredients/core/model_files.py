"""Reading the small files of a model folder."""

import contextlib
import hashlib
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from ingredients.core import json_yaml
from ingredients.core.config import ConfigT, config_from_dict
from ingredients.core.errors import ModelFolderError, UserInputError
from ingredients.core.json_yaml import BadFileError, MissingFileError, shorten

_NUM_NAMED = 3


def read_json(path: Path) -> dict[str, Any]:
    """Reads a JSON object of a model folder.

    Raises:
        ModelFolderError: if the file is missing or holds no JSON object.
    """
    try:
        values = json_yaml.read_json(path, remedy="copy it again")
    except MissingFileError as error:
        raise ModelFolderError(f"The model folder lacks {path}; copy the folder again or name another one.") from error
    except BadFileError as error:
        raise ModelFolderError(str(error)) from error
    if not isinstance(values, dict):
        raise ModelFolderError(f"The file {path} must hold a JSON object; copy it again.")
    return values


def read_model_record(record_type: type[ConfigT], path: Path, *, what: str) -> ConfigT:
    """Reads a JSON file of a model folder that holds a record, a dataclass.

    Args:
        record_type: dataclass of the record.
        path: the path of the file.
        what: it describes, for messages.

    Raises:
        ModelFolderError: if the file is missing or holds something else; it names the place.
    """
    values = read_json(path)
    try:
        return config_from_dict(record_type, values, where="")
    except UserInputError as error:
        reason = str(error).rstrip(".")
        raise ModelFolderError(f"The file {path} does not describe {what}: {reason}; copy it again.") from error


@contextlib.contextmanager
def building_from(path: Path, what: str) -> Iterator[None]:
    """Turns what a library says of a configuration into one sentence that names its file.

    Raises:
        ModelFolderError: for whatever is raised inside; libraries check their configurations in ways of their own.
    """
    try:
        yield
    except UserInputError:
        raise
    except Exception as error:
        reason = shorten(str(error) or type(error).__name__)
        raise ModelFolderError(f"The file {path} does not describe {what}: {reason}; copy it again.") from error


def name_some(names: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    more = len(names) - _NUM_NAMED
    return ", ".join(names[:_NUM_NAMED]) + (f" and {more} more" if more > 0 else "")


def digest_files(path: Path, *, without: Collection[str] = ()) -> str:
    """A digest of a file, or of all files of a folder but some: their names, sizes, beginnings and ends.

    Quick for weights of any size: a safetensors file begins with names and shapes, and weights that were trained
    further end otherwise.

    Args:
        path: the path of the file or folder.
        without: names of folders in it that do not count.
    """
    digest = hashlib.sha256()
    files = [path] if path.is_file() else sorted(each for each in path.rglob("*") if each.is_file())
    for file in files:
        if file.relative_to(path).as_posix().split("/")[0] in without:
            continue
        size = file.stat().st_size
        digest.update(f"{'' if file == path else file.relative_to(path)} {size}\n".encode())
        with file.open("rb") as content:
            digest.update(content.read(_DIGESTED_BYTES))
            content.seek(max(0, size - _DIGESTED_BYTES))
            digest.update(content.read(_DIGESTED_BYTES))
    return digest.hexdigest()[:16]


_DIGESTED_BYTES = 2**20
