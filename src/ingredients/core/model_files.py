"""Reading the small files of a model folder."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ingredients.core.errors import ModelFolderError
from ingredients.core.input_files import read_text

_NUM_NAMED = 3


def read_json(path: Path) -> dict[str, Any]:
    """Reads a JSON object of a model folder.

    Raises:
        ModelFolderError: if the file is missing or holds no JSON object.
    """
    try:
        values = json.loads(read_text(path))
    except FileNotFoundError as error:
        raise ModelFolderError(f"The model folder lacks {path}; copy the folder again or name another one.") from error
    except (OSError, ValueError) as error:
        raise ModelFolderError(f"The file {path} is damaged ({error}); copy it again.") from error
    if not isinstance(values, dict):
        raise ModelFolderError(f"The file {path} must hold a JSON object; copy it again.")
    return values


def name_some(names: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    more = len(names) - _NUM_NAMED
    return ", ".join(names[:_NUM_NAMED]) + (f" and {more} more" if more > 0 else "")


def digest_files(path: Path) -> str:
    """A digest of a file, or of all files of a folder: their names, sizes, beginnings and ends.

    Quick for weights of any size: a safetensors file begins with names and shapes, and weights that were trained
    further end otherwise.
    """
    digest = hashlib.sha256()
    files = [path] if path.is_file() else sorted(each for each in path.rglob("*") if each.is_file())
    for file in files:
        size = file.stat().st_size
        digest.update(f"{'' if file == path else file.relative_to(path)} {size}\n".encode())
        with file.open("rb") as content:
            digest.update(content.read(_DIGESTED_BYTES))
            content.seek(max(0, size - _DIGESTED_BYTES))
            digest.update(content.read(_DIGESTED_BYTES))
    return digest.hexdigest()[:16]


_DIGESTED_BYTES = 2**20
