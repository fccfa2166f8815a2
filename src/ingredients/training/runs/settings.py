"""The folder of a run before the run begins: whose it is, and whether these settings can go on with what is there."""

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ingredients.core.config import config_to_dict, load_config
from ingredients.core.errors import OutputError, UserInputError
from ingredients.core.output_folders import claimed_folder, mark_folder
from ingredients.training.loop.checkpoints import Checkpoints, is_checkpoint, read_position
from ingredients.training.loop.trainer import TrainerConfig

CONFIG_NAME = "config.yaml"


@contextlib.contextmanager
def run_folder(folder: Path, *, resume: bool) -> Iterator[None]:
    """Has a folder for a run while the block runs, and no other run has it.

    One without the marker of output folders is ours if a run of an earlier version left a checkpoint in it and goes
    on.

    Raises:
        OutputError: if the folder holds something else, or another process trains into it.
    """
    if resume and any(is_checkpoint(path) for path in Checkpoints(folder, keep=1).paths()):
        mark_folder(folder, "a training run")
    with claimed_folder(folder, "a training run"):
        yield


def check_not_read(folder: Path, inputs: Mapping[str, Path | str | None]) -> None:
    """Refuses a folder for a run that is, or holds, what the run reads.

    Args:
        folder: of the run.
        inputs: folders by the names of their settings; names that are no folders here are left out.

    Raises:
        OutputError: if it is one of them.
    """
    real = Path(os.path.realpath(folder))
    for name, given in inputs.items():
        if given is not None and os.path.lexists(given):
            there = Path(os.path.realpath(given))
            if real == there or real in there.parents:
                raise OutputError(
                    f"The output {folder} holds {given}, which the run reads ({name}); choose another folder for it."
                )


def is_finished(folder: Path, config: Any, trainer: TrainerConfig, *, defaults: Any) -> bool:
    """Whether the run in a folder has nothing left to train, and these are the settings that it had.

    Args:
        folder: of the run.
        config: of the run, all of it.
        trainer: the loop's part of it.
        defaults: for settings that an earlier version did not have.

    Raises:
        UserInputError: if other settings are given for a run that has ended: they would change nothing but the record.
    """
    paths, record = Checkpoints(folder, keep=1).paths(), folder / CONFIG_NAME
    if not paths:
        return False
    position = read_position(paths[-1])
    is_over = trainer.minutes is not None and position.seconds >= 60 * trainer.minutes
    if position.step < trainer.num_steps and not is_over:
        return False
    if not record.exists():
        return False
    before = _flat(config_to_dict(load_config(type(config), record, defaults=defaults)))
    now = _flat(config_to_dict(config))
    if differing := [name for name in now if place(before.get(name)) != place(now[name])]:
        name = differing[0]
        raise UserInputError(
            f"The run {folder} has ended, after step {position.step}, so {name}={as_yaml(now[name])} in place of "
            f"{as_yaml(before.get(name))} would change nothing; train on with a larger trainer.num_steps (and "
            "trainer.minutes), or name another folder."
        )
    return True


def place(value: object) -> object:
    """A path that exists, in full: it may be named in several ways; anything else as it is."""
    if isinstance(value, list):
        return [place(each) for each in value]
    return os.path.realpath(value) if isinstance(value, str) and os.path.lexists(value) else value


def as_yaml(value: object) -> str:
    """A value as a setting says it."""
    return "null" if value is None else str(value)


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) and value else {prefix + name: value}
    return flat
