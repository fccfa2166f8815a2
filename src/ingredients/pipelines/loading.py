"""The one door to a model: a folder, or a model of the hub, becomes a pipeline that is ready to run."""

import dataclasses
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import psutil
import torch

from ingredients.core.errors import HubError, ModelFolderError, OutOfMemoryError
from ingredients.core.memory_mode import MemoryMode
from ingredients.core.paths import parse_path
from ingredients.faces.face_stack import FaceStackName
from ingredients.pipelines.components import count_weights
from ingredients.pipelines.hub import HubModel, fetch, find_downloaded, parse_hub_id
from ingredients.pipelines.known_models import KNOWN_MODELS, SMALL_WORLD, find_known_model
from ingredients.pipelines.memory_estimate import VideoDemand, weigh
from ingredients.pipelines.memory_modes import apply_memory_mode
from ingredients.pipelines.memory_plan import gigabytes, plan_memory
from ingredients.pipelines.out_of_memory import explained_out_of_memory
from ingredients.pipelines.pipeline_ingredients import IngredientsPipeline
from ingredients.pipelines.speed import SpeedOptions, apply_speed_options, check_speed_in_memory_mode


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


def find_model(model: str | Path | None = None, *, notice: Callable[[str], None] | None = None) -> Path:
    """The folder of a model: the shipped one, one on the disk, or one of the hub, which is downloaded the first time.

    Args:
        model: A folder; a name of `known_models`; or `owner/name`, `owner/name@revision` on the hub.
        notice: Told of a download before it begins.

    Raises:
        ModelFolderError: If it is nothing of the kind.
        HubError: If it cannot be downloaded.
    """
    place = _place(model)
    if isinstance(place, Path):
        return place
    try:
        return fetch(place, notice=notice)
    except HubError as error:
        if find_known_model(str(model)):
            raise
        raise HubError(f"There is no folder {model} here, and the hub was asked: {error}") from error


def find_model_here(model: str | Path | None = None) -> Path | None:
    """As `find_model`, but None for a model of the hub that is not on the disk: nothing is asked of the network."""
    place = _place(model)
    return place if isinstance(place, Path) else find_downloaded(place)


def _place(model: str | Path | None) -> Path | HubModel:
    """A model's folder, or where it is on the hub; raises as `find_model`."""
    if model is None:
        return default_model_path()
    if isinstance(model, Path) or parse_path(model).is_dir():
        return parse_path(model)
    if known := find_known_model(model):
        return known.source or default_model_path()
    if (source := parse_hub_id(model)) is not None:
        return source
    raise ModelFolderError(
        f"There is no model folder {model}; check the name, or take one of "
        f"{', '.join(known.name for known in KNOWN_MODELS)}, or OWNER/NAME on the hub."
    )


def default_device() -> torch.device:
    """A GPU if there is one."""
    return torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else torch.device("cpu")


def default_dtype(device: torch.device) -> torch.dtype:
    """Of weights: float32 on a processor, bfloat16 on a GPU, and float16 on one that is too old for it."""
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
    `memory_plan` of the pipeline says which mode it is, and why.

    Args:
        model: As `find_model` takes it: in the published layout, in ours, or a CogVideoX of diffusers' as the base.
        device: Where it runs; a GPU if there is one.
        dtype: Of the weights; by default `default_dtype`.
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
        apply_speed_options(pipeline, speed, device=device)
    with explained_out_of_memory(plan.mode, on_processor=on_processor):
        apply_memory_mode(pipeline, plan.mode, device)
    pipeline.memory_plan = plan
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
