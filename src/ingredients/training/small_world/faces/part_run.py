"""A face network's run: the folder of its part, filled and found again."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ingredients.core.config import save_config
from ingredients.core.errors import ModelFolderError
from ingredients.training.loop.stage import Stage
from ingredients.training.loop.trainer import Trainer, TrainerConfig
from ingredients.training.runs.folder import CONFIG_NAME


def train_part(
    make_stage: Callable[[], Stage], config: Any, trainer: TrainerConfig, folder: Path, *, resume: bool, show: bool
) -> dict[str, float]:
    """Trains a part into its folder: settings, weights, log, checkpoint, metrics.

    Args:
        make_stage: makes what is trained, once the folder is there.
        config: the part's settings.
        trainer: those of the loop.
        folder: of the part.
        resume: go on from the last checkpoint.
        show: show a progress bar on standard error.

    Returns:
        The metrics on what is held out.
    """
    folder.mkdir(parents=True, exist_ok=True)
    save_config(config, folder / CONFIG_NAME)
    return Trainer(make_stage(), folder, trainer).fit(resume=resume, show=show)


def trained_part(output: Path, part: str, weights_name: str) -> Path:
    """The folder of a part that is trained.

    Raises:
        ModelFolderError: if it is not; the message names the command that trains it.
    """
    if not (output / part / weights_name).is_file():
        raise ModelFolderError(
            f"The part {part} is not trained in {output}; run: ingredients world train {part} --output {output}"
        )
    return output / part
