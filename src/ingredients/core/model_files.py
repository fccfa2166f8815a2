"""Reading the small files of a model folder."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ingredients.core.errors import ModelFolderError

_NUM_NAMED = 3


def read_json(path: Path) -> dict[str, Any]:
    """Reads a JSON object of a model folder.

    Raises:
        ModelFolderError: if the file is missing or holds no JSON object.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
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
