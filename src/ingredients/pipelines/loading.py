"""The one door to a model: a folder becomes a pipeline that is ready to run."""

from importlib import resources
from pathlib import Path

import torch

from ingredients.core.errors import ModelFolderError
from ingredients.faces.face_stack import FaceStackName
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
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def load_pipeline(
    model: str | Path | None = None,
    *,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
    face_stack: FaceStackName = "model",
) -> IngredientsPipeline:
    """Loads a model folder, the shipped one by default.

    Args:
        model: The folder, in the published layout.
        device: Where it runs; a GPU if there is one.
        dtype: Of the weights; bfloat16 on a GPU and float32 on a CPU by default.
        face_stack: `dlib` has dlib find the faces of the photos; a stack's name insists on it.

    Raises:
        ModelFolderError: If a part is missing or damaged, or a tensor is missing, unknown or of another shape.
    """
    device = torch.device(device) if device is not None else default_device()
    dtype = dtype or (torch.float32 if device.type == "cpu" else torch.bfloat16)
    pipeline = IngredientsPipeline.from_pretrained(
        default_model_path() if model is None else model, dtype=dtype, face_stack=face_stack
    )
    pipeline.to(device)
    return pipeline
