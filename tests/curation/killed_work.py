"""Work that ends its process, in a module that spawned processes find."""

import os
import signal
from pathlib import Path

from ingredients.core.errors import UserInputError
from ingredients.curation.workers import OnDone


def die_once(folder: Path, on_done: OnDone) -> str:
    """Kills its process the first time that it is asked to do something with a folder."""
    on_done("begun", 1)
    if not (folder / "died").exists():
        (folder / "died").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return folder.name


def die_always(folder: Path, on_done: OnDone) -> str:
    """Kills its process if the folder is called so."""
    if folder.name == "bad":
        os.kill(os.getpid(), signal.SIGKILL)
    if folder.name == "wrong":
        raise UserInputError("It is wrong.")
    return folder.name
