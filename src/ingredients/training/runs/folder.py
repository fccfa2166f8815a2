"""The folder of a run: whose it is before the run begins, and what the run leaves, read again."""

import contextlib
import dataclasses
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ingredients.core.config import config_to_dict, load_config
from ingredients.core.errors import OutputError, UserInputError
from ingredients.core.json_yaml import BadFileError, read_yaml
from ingredients.core.output_folders import claimed_folder, mark_folder
from ingredients.core.training_log import LOG_NAME, METRICS_NAME, read_metrics_file, read_training_log
from ingredients.training.loop.checkpoints import Checkpoints, is_checkpoint, read_position
from ingredients.training.loop.settings import TrainerConfig
from ingredients.training.runs.configuration import CONFIG_NAME, IdentityRunConfig, check_run_folder
from ingredients.training.runs.kinds import RUN_KINDS, RunKind

TRANSFORMER_NAME = "transformer"
_KIND_BY_SETTING = {"alignment_routing": "align", "routing_loss": "route"}
"""A setting of the stage that no other stage has."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RunFolder:
    """A run of one of the two stages."""

    folder: Path
    """Where."""

    kind: RunKind
    """Which stage."""

    config: IdentityRunConfig
    """Its settings."""

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self.folder.resolve().name

    @property
    def transformer(self) -> Path:
        """The transformer that it exports at its end."""
        return self.folder / TRANSFORMER_NAME


def read_run(folder: Path) -> RunFolder:
    """Reads the settings of a run.

    Raises:
        UserInputError: If the folder holds no run of the two stages, or one of another version.
    """
    path = folder / CONFIG_NAME
    kind = _kind_of(folder)
    if kind is None:
        raise UserInputError(
            f"The run {folder} is none of the two stages on encoded clips; the small model's own parts go into a "
            "model folder with `ingredients world train pack`."
        )
    return RunFolder(folder=folder, kind=kind, config=load_config(kind.config_type, path, defaults=kind.config_type()))


def _kind_of(folder: Path) -> RunKind | None:
    """The stage whose settings lie in a folder; None for those of a part of the small model, such as a base."""
    path = folder / CONFIG_NAME
    check_run_folder(folder)
    try:
        values = read_yaml(path, remedy="put it back as the run wrote it")
    except BadFileError as error:
        raise UserInputError(f"The settings of the run cannot be read: {error}") from error
    has_groups = isinstance(values, dict) and {"model", "data", "stage"} <= values.keys()
    stage = values["stage"] if has_groups and isinstance(values["stage"], dict) else {}
    names = [name for setting, name in _KIND_BY_SETTING.items() if setting in stage]
    return RUN_KINDS[names[0]] if len(names) == 1 else None


def run_chain(run: RunFolder) -> tuple[RunFolder, ...]:
    """A run and those that it went on from, the oldest first.

    It ends where a run began with a model, or with a transformer that no run of the two stages left.

    Raises:
        UserInputError: As `read_run`.
    """
    chain = [run]
    while (start := chain[0].config.model.start) is not None:
        folder = next((each for each in (start, start.parent) if (each / CONFIG_NAME).is_file()), None)
        visited = {each.folder.resolve() for each in chain}
        if folder is None or folder.resolve() in visited or _kind_of(folder) is None:
            break
        chain.insert(0, read_run(folder))
    return tuple(chain)


def find_checkpoint(run: RunFolder, choice: str) -> Path:
    """A checkpoint of a run.

    Args:
        run: Of which.
        choice: `last`, `best`, or the number of its step.

    Raises:
        UserInputError: If it is not there; the message says which are.
    """
    checkpoints = Checkpoints(run.folder, keep=1)
    paths = {checkpoint_step(path): path for path in checkpoints.paths()}
    if not paths:
        raise UserInputError(
            f"The run {run.folder} has no checkpoint, and only those keep the LoRA by itself; go on with the run by "
            "--resume, or export what it left at its end with --layout ours."
        )
    if choice == "last":
        return paths[max(paths)]
    if choice == "best":
        best = checkpoints.best()
        if best is None:
            raise UserInputError(
                f"Nothing says which checkpoint of {run.folder} is the best, for none was measured on held-out clips; "
                "take --checkpoint last, or train with --validation-data and trainer.validate_every."
            )
        return best[0]
    if not re.fullmatch(r"\d+", choice):
        raise UserInputError(f"The checkpoint {choice} must be last, best, or the number of a step.")
    if int(choice) not in paths:
        raise UserInputError(
            f"The run {run.folder} has no checkpoint of step {choice}; it has those of "
            f"{', '.join(str(step) for step in sorted(paths))}."
        )
    return paths[int(choice)]


def checkpoint_step(path: Path) -> int:
    """The step after which a checkpoint was written."""
    return int(path.stem.removeprefix("step-"))


def read_metrics(run: RunFolder, *, step: int | None = None) -> dict[str, Any]:
    """What a run measured at its end, or what its log says of the steps up to `step`.

    Of a run without a record there is nothing.

    Raises:
        BadFileError: If the record is damaged.
    """
    if step is None:
        path = run.folder / METRICS_NAME
        return read_metrics_file(path) if path.is_file() else {}
    log = run.folder / LOG_NAME
    measured: dict[str, Any] = {}
    for each, values in read_training_log(log) if log.is_file() else ():
        if each <= step:
            measured |= values
    return measured


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
        folder: the folder of the run.
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
        folder: the folder of the run.
        config: all settings of the run.
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
