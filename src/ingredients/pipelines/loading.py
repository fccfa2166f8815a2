"""The one door to a model: a folder, or a model of the hub, becomes a pipeline that is ready to run."""

import dataclasses
from pathlib import Path

import psutil
import torch

from ingredients.core.errors import ModelFolderError, OutOfMemoryError
from ingredients.core.memory_mode import MemoryMode
from ingredients.core.out_of_memory import explained_out_of_memory
from ingredients.faces.face_stack_names import FaceStackName
from ingredients.model_folders.components import count_weights
from ingredients.model_folders.find_model import find_model
from ingredients.pipelines.execution.execution import check_speed_in_memory_mode
from ingredients.pipelines.execution.memory_estimate import VideoDemand
from ingredients.pipelines.execution.memory_plan import gigabytes, plan_memory
from ingredients.pipelines.execution.model_weights import weigh
from ingredients.pipelines.execution.speed_options import SpeedOptions
from ingredients.pipelines.pipeline_ingredients import IngredientsPipeline


def default_device() -> torch.device:
    """A GPU if there is one."""
    return torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else torch.device("cpu")


def default_dtype(device: torch.device) -> torch.dtype:
    """The type of weights: float32 on a processor, bfloat16 on a GPU, and float16 on one that is too old for it."""
    if device.type == "cpu":
        return torch.float32
    if device.type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.float16
    return torch.bfloat16


def load_pipeline(
    model: str | Path | None = None,
    *,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
    identity: str | Path | None = None,
    drop_learned_positions: bool = False,
    face_stack: FaceStackName = "model",
    speed: SpeedOptions | None = None,
    memory: MemoryMode | str = MemoryMode.AUTO,
    demand: VideoDemand | None = None,
) -> IngredientsPipeline:
    """Loads a model, the shipped one by default.

    Everything is read into the processor's memory first; the memory mode says what goes to the device, and when.
    `execution.memory` of the pipeline says which mode it is, and why.

    Args:
        model: As `find_model` takes it: in the published layout, in ours, or a CogVideoX of diffusers' as the base.
        device: Where it runs; a GPU if there is one.
        dtype: The type of the weights; by default `default_dtype`.
        identity: Folder of identity weights for a base; by default `identity/` in the base's folder, if it is there.
        drop_learned_positions: Leave out a base's learned positions, which fix the size of the video.
        face_stack: `dlib` has dlib find the faces of the photos; a stack's name insists on it.
        speed: How it runs; by default exactly.
        memory: Mode by its name; `auto` takes the fastest that fits the device's free memory, and `full` on a CPU.
        demand: The video that must fit; by default one of two people as the model was trained on.

    Raises:
        ModelFolderError: If a part is missing or damaged, or a tensor is missing, unknown or of another shape.
        HubError: If it cannot be downloaded.
        SpeedOptionError: If the model or the device cannot run so.
        OutOfMemoryError: If the model does not fit.
    """
    device = torch.device(device) if device is not None else default_device()
    on_processor = device.type == "cpu"
    folder, dtype = find_model(model), dtype or default_dtype(device)
    _check_machine_holds(folder, dtype, on_processor=on_processor)
    with explained_out_of_memory(None, on_processor=on_processor):
        pipeline = IngredientsPipeline.from_pretrained(
            folder,
            dtype=dtype,
            identity=identity,
            drop_learned_positions=drop_learned_positions,
            face_stack=face_stack,
        )
    weights = weigh(pipeline.transformer, pipeline.text_encoder, pipeline.vae, sampling=pipeline.sampling_defaults)
    speed = speed or SpeedOptions()
    demand = dataclasses.replace(demand or VideoDemand(), speed=speed)
    plan = plan_memory(MemoryMode(memory), weights, demand, device=device)
    if speed != SpeedOptions():
        check_speed_in_memory_mode(speed, plan.mode)
        pipeline.apply_speed_options(speed, device=device)
    with explained_out_of_memory(plan.mode, on_processor=on_processor):
        pipeline.apply_memory_plan(plan, device)
    return pipeline


def _check_machine_holds(folder: Path, dtype: torch.dtype, *, on_processor: bool) -> None:
    """Refuses a model that would fill the machine's memory, for which the system would kill the process."""
    try:
        num_bytes = count_weights(folder) * dtype.itemsize
    except ModelFolderError:
        return  # loading says what is wrong with it
    total = psutil.virtual_memory().total
    if num_bytes > total:
        remedy = "use one with a GPU, where they take half, or more memory" if on_processor else "use a larger one"
        raise OutOfMemoryError(
            f"The weights of {folder} take {gigabytes(num_bytes)} of the machine's memory, which has "
            f"{gigabytes(total)}; {remedy} (`ingredients doctor` says what fits)."
        )
