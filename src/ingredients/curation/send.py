"""A curated data set copied from a disk into object storage: by fsspec, to wherever it knows a way."""

import contextlib
from pathlib import Path
from typing import Any

from ingredients.core.errors import OutputError, UserInputError
from ingredients.core.files import make_folder
from ingredients.core.optional_dependencies import import_optional
from ingredients.core.output_folders import MARKER_NAME, check_output_folder
from ingredients.core.paths import without_secrets
from ingredients.core.protocols import ProgressCallback
from ingredients.curation.copies import CopyRecord, Facts
from ingredients.curation.fetch import reason_of

_TABLE_NAME = "metadata.jsonl"
"""The file by which others find a data set: it comes last, so that whoever finds it finds all the rest."""

_LEFT = (".curation", ".ingredients.lock")
_RECORD = ".curation/sent.jsonl"
"""The record of what was sent where, in the store."""


def send(folder: Path, url: str, *, progress: ProgressCallback | None = None) -> int:
    """Copies a data set without its store; what is there already, and did not change since, is left alone.

    What an earlier data set has left at the address and this one no longer names stays there.

    Args:
        folder: the data set.
        url: the address of a folder for it, such as `s3://bucket/clips`, `gs://...`, `memory://...`: new, empty, or
            with such a data set already.
        progress: told of the files done, and of all.

    Returns:
        How many files were sent.

    Raises:
        UserInputError: if the folder holds no curated data set, the address something else, or there is no way there.
        OutputError: if the folder holds results of another kind.
    """
    check_output_folder(folder, "a curated data set")
    if not (folder / _TABLE_NAME).is_file():
        raise UserInputError(f"The folder {folder} holds no finished data set; make one with: ingredients curate.")
    names = sorted((name for name in _names(folder) if name != MARKER_NAME), key=_order)
    num_sent = 0
    record = CopyRecord(folder / _RECORD)
    fsspec = import_optional("fsspec", extra="curate")
    shown = without_secrets(url)
    try:
        storage, root = fsspec.core.url_to_fs(url)
        if isinstance(storage, fsspec.implementations.local.LocalFileSystem) and _is_within(Path(root), folder):
            raise UserInputError(
                f"The address {shown} is within the data set {folder} itself; name a place elsewhere."
            )
        there = _there(storage, root)
        if there and MARKER_NAME not in there:
            raise UserInputError(
                f"The address {shown} holds something already ({min(there)}) and no curated data set; name a new one."
            )
        for number, name in enumerate((MARKER_NAME, *names)):
            path, target, address = folder / name, f"{root.rstrip('/')}/{name}", f"{shown.rstrip('/')}/{name}"
            if name not in there or not record.is_same(address, there[name], path):
                storage.makedirs(target.rpartition("/")[0], exist_ok=True)
                storage.put_file(str(path), target)
                with contextlib.suppress(OutputError):  # a data set that can only be read is sent as well
                    make_folder((folder / _RECORD).parent)
                    record.add(address, storage.info(target), path)
                num_sent += 1
            if progress is not None:
                progress(number, len(names))
    except UserInputError:
        raise
    except Exception as error:  # each storage has errors of its own, which are not all those of files
        raise UserInputError(
            f"The data set cannot be sent to {shown} ({reason_of(error, url)}); run the command again, and it goes on."
        ) from None
    return num_sent


def _is_within(path: Path, folder: Path) -> bool:
    return path.resolve().is_relative_to(folder.resolve())


def _names(folder: Path) -> list[str]:
    """Files of a data set within its folder."""
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return [str(path.as_posix()) for path in found if path.parts[0] not in _LEFT]


def _order(name: str) -> tuple[bool, bool, str]:
    """Tables after what they name, and the one by which all is found last."""
    is_table = name.rpartition("/")[2] == _TABLE_NAME
    return is_table, name == _TABLE_NAME, name


def _there(storage: Any, root: str) -> dict[str, Facts]:
    """What a storage says of each file at an address by its name below it."""
    if not storage.exists(root):
        return {}
    if storage.isfile(root):
        return {root.rpartition("/")[2]: {}}
    found = storage.find(root, detail=True)
    return {name.removeprefix(root.rstrip("/")).lstrip("/"): facts for name, facts in found.items()}
