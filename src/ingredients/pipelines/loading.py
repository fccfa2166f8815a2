"""The one door to a model: a folder becomes a pipeline that is ready to run."""

from importlib import resources
from pathlib import Path

import torch

from ingredients.core.errors import ModelFolderError
from ingredients.core.memory_mode import MemoryMode
from ingredients.pipelines.memory_estimate import VideoDemand, weigh
from ingredients.pipelines.memory_modes import apply_memory_mode
from ingredients.pipelines.memory_plan import plan_memory
from ingredients.pipelines.out_of_memory import explained_out_of_memory
from ingredients.pipelines.pipeline_ingredients import IngredientsPipeline

SMALL_WORLD = "small-world"


def default_model_path() -> Path:
    """The folder of the small model that ships with the package.

    Raises:
        ModelFolderError: If it is not there, as in a checkout without weights.
    """
    path = Path(str(resources.files("ingredients"))) / "assets" / SMALL_WORLD
    if not path.is_dir():
        raise ModelFolderError(
            f"The small model is not at {path}; install the package again, or give a model folder with --model."
        )
    return path


def default_device() -> torch.device:
    """A GPU if there is one."""
    return torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else torch.device("cpu")


def load_pipeline(
    model: str | Path | None = None,
    *,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
    memory: MemoryMode | str = MemoryMode.AUTO,
    demand: VideoDemand | None = None,
) -> IngredientsPipeline:
    """Loads a model folder, the shipped one by default.

    Everything is read into the processor's memory first; the memory mode says what goes to the device, and when.
    `memory_plan` of the pipeline says which mode it is, and why.

    Args:
        model: The folder, in the published layout.
        device: Where it runs; a GPU if there is one.
        dtype: Of the weights; bfloat16 on a GPU and float32 on a CPU by default.
        memory: Mode by its name; `auto` takes the fastest that fits the device's free memory, and `full` on a CPU.
        demand: The video that must fit; by default one of two people as the model was trained on.

    Raises:
        ModelFolderError: If a part is missing or damaged, or a tensor is missing, unknown or of another shape.
        OutOfMemoryError: If the model does not fit.
    """
    device = torch.device(device) if device is not None else default_device()
    dtype = dtype or (torch.float32 if device.type == "cpu" else torch.bfloat16)
    on_processor = device.type == "cpu"
    with explained_out_of_memory(None, on_processor=on_processor):
        pipeline = IngredientsPipeline.from_pretrained(default_model_path() if model is None else model, dtype=dtype)
    weights = weigh(pipeline.transformer, pipeline.text_encoder, pipeline.vae, sampling=pipeline.sampling_defaults)
    plan = plan_memory(MemoryMode(memory), weights, demand or VideoDemand(), device=device)
    with explained_out_of_memory(plan.mode, on_processor=on_processor):
        apply_memory_mode(pipeline, plan.mode, device)
    pipeline.memory_plan = plan
    return pipeline
