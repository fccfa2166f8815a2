"""The weights that a run trained: moving averages, from its end or from one of its checkpoints."""

from collections.abc import Callable
from pathlib import Path

import torch

from ingredients.core.errors import UserInputError
from ingredients.model_folders.transformer import load_transformer
from ingredients.models import IngredientsTransformer3DModel
from ingredients.training.loop.checkpoints import read_checkpoint
from ingredients.training.runs.folder import RunFolder
from ingredients.training.runs.run import build_stage


def run_transformer(
    run: RunFolder,
    *,
    checkpoint: Path | None = None,
    dtype: torch.dtype = torch.float32,
    notice: Callable[[str], None] | None = None,
) -> IngredientsTransformer3DModel:
    """The transformer of a run, its LoRA merged, on the processor.

    Args:
        run: Of which.
        checkpoint: Whose averages are taken; None: what the run exported at its end.
        dtype: Of the weights.
        notice: Told of a download before it begins.

    Raises:
        UserInputError: If the checkpoint is damaged, or does not fit the run's settings.
        ModelFolderError: If a part of the model is missing or damaged, or the run has not ended.
    """
    if checkpoint is None:
        return load_transformer(run.transformer, dtype=dtype)
    transformer = _merged_checkpoint(run, checkpoint, notice=notice)
    transformer.to(dtype).eval()
    return transformer


def read_averages(checkpoint: Path) -> dict[str, torch.Tensor]:
    """The moving averages in a checkpoint, by the names of their parameters.

    Raises:
        UserInputError: If the file is missing, damaged or of another kind.
    """
    return read_checkpoint(checkpoint, remedy="export another one").averages


def _merged_checkpoint(
    run: RunFolder, checkpoint: Path, *, notice: Callable[[str], None] | None
) -> IngredientsTransformer3DModel:
    averages = read_averages(checkpoint)
    stage, _ = build_stage(run.kind, run.config, device=torch.device("cpu"), notice=notice)
    trained = {name: each for group in stage.parameter_groups() for name, each in group.parameters.items()}
    shapes, expected = ({name: each.shape for name, each in tensors.items()} for tensors in (averages, trained))
    if differing := sorted(name for name in {**shapes, **expected} if shapes.get(name) != expected.get(name)):
        raise UserInputError(
            f"{checkpoint} does not fit the settings beside it (first difference: {differing[0]}), so they were "
            "changed after it was written; put the run's own config.yaml back."
        )
    with torch.no_grad():
        for name, parameter in trained.items():
            parameter.copy_(averages[name])
    if run.config.stage.tuning == "lora":
        stage.transformer.fuse_lora()
        stage.transformer.unload_lora()
    return stage.transformer
