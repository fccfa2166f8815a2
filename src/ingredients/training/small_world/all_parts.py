"""Trains all parts of a small model one after the other, within a time, and goes on where it was stopped."""

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path

from ingredients.core.warnings_told import Notice
from ingredients.training.small_world.parts import PARTS
from ingredients.training.small_world.plan import (
    PlannedPart,
    Progress,
    next_minutes,
    read_progress,
    trained_minutes,
    write_progress,
)
from ingredients.training.small_world.settings import SmallWorldName

_LEAST_MINUTES = 0.02
"""The minutes of a part for which no time is left: it takes a step or two, so that the model is whole in the end."""


def train_all_parts(
    planned: Sequence[PlannedPart],
    output: Path,
    *,
    model: SmallWorldName,
    minutes: float,
    resume: bool = False,
    show: bool = True,
    notice: Notice = lambda _: None,
) -> Path:
    """Trains the parts of a plan into `output`, and packs them.

    Whatever stops it, the same call with `resume` goes on, on this machine or on another one that has the folder:
    parts that are done stay, and the one that was interrupted goes on from its last checkpoint.

    Args:
        planned: the parts, in order.
        output: folder of all parts.
        model: which small model they make.
        minutes: training time of this call; what a part draws and measures beside its loop counts as well, and those
            after it get what is left.
        resume: go on with what the folder holds; without it, every part begins anew.
        show: show progress bars.
        notice: told which part begins, and how long it may take.

    Returns:
        The packed model.

    Raises:
        UserInputError: if the folder holds parts of another model, or as the parts raise it.
        TrainingInterruptedError: for Ctrl-C or SIGTERM, after a checkpoint.
    """
    output.mkdir(parents=True, exist_ok=True)
    progress = read_progress(output, model) if resume else Progress(model=model)
    write_progress(output, progress)
    deadline = time.monotonic() + 60 * minutes
    packed: Path | None = None
    waiting = [part for part in planned if part.name not in progress.done or not part.share]
    for part in waiting:
        left = (deadline - time.monotonic()) / 60
        own = max(next_minutes(waiting, part.name, left=left), _LEAST_MINUTES)
        settings = PARTS[part.name].settings
        notice(f"{part.name}: {PARTS[part.name].makes}")
        total = own + trained_minutes(output / part.name) if resume else own
        config = settings.load(overrides=part.settings, minutes=total if part.share else None)
        if resume and (ended := PARTS[part.name].ended_config(output)) is not None:
            config = ended  # its loop is over, and what was stopped is what comes after it
        result = PARTS[part.name].run(output, config, resume=resume, show=show)
        packed = result if isinstance(result, Path) else packed
        progress = dataclasses.replace(progress, done=(*progress.done, part.name))
        write_progress(output, progress)
    assert packed is not None  # packing takes no time, and is never left out
    return packed
