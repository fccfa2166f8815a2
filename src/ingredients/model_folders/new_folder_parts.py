"""A new model folder around a transformer: the other parts of the model that it was trained from, as they are."""

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from diffusers import __version__ as diffusers_version

from ingredients.core import json_yaml
from ingredients.core.errors import ModelFolderError, UserInputError
from ingredients.core.json_yaml import BadFileError, to_json
from ingredients.core.model_files import read_json
from ingredients.faces.network_settings import ScaleSource
from ingredients.model_folders.components import load_text_encoder, load_vae
from ingredients.model_folders.folder_names import FACE_ENCODER, MODEL_INDEX, PIPELINE_CLASS, TRANSFORMER
from ingredients.model_folders.needed_files import needed_files
from ingredients.model_folders.sampling_settings import SAMPLING_DEFAULTS_NAME
from ingredients.model_folders.speed_defaults import SPEED_DEFAULTS_NAME
from ingredients.model_folders.weight_files import (
    DIFFUSERS_WEIGHTS,
    TRANSFORMERS_WEIGHTS,
    stored_dtypes,
    stored_shapes,
    weight_files,
)
from ingredients.models.transformer_ingredients import IngredientsTransformer3DModel

_KEPT_FOLDERS = ("tokenizer", "scheduler", "judge")
_PATH_FIELDS = ("_name_or_path", "name_or_path")
_Loader = Callable[..., torch.nn.Module]
_WEIGHTS: dict[str, tuple[tuple[str, ...], _Loader]] = {
    "vae": (DIFFUSERS_WEIGHTS, load_vae),
    "text_encoder": (TRANSFORMERS_WEIGHTS, load_text_encoder),
}


def stored_dtype(folder: Path) -> torch.dtype:
    """The type of a transformer's or a VAE's weights, the most exact one where there are several.

    Raises:
        ModelFolderError: If they are missing or damaged.
    """
    return _most_exact(_dtypes(weight_files(folder, DIFFUSERS_WEIGHTS)))


def copy_model_parts(source: Path, target: Path, *, dtype: torch.dtype | None = None) -> None:
    """Copies all that a model folder has beside transformer and face networks.

    What is in the type asked for already is copied byte by byte, so that clips which were encoded by it stay of use;
    pickles become safetensors. In float16 the text encoder keeps in float32 what would overflow, as transformers does.
    Magnitudes of residuals are left behind: they belong to the transformer.

    Args:
        source: The model folder.
        target: The new one.
        dtype: Of the weights; None leaves them in theirs.

    Raises:
        ModelFolderError: If a part is missing or damaged.
        UserInputError: If weights do not fit into the type.
    """
    names = needed_files(_file_names(source))
    kept = [name for name in names if name.split("/")[0] in _KEPT_FOLDERS]
    kept += [
        name
        for name in names
        if name in (SAMPLING_DEFAULTS_NAME, SPEED_DEFAULTS_NAME) or name.upper().startswith("LICEN")
    ]
    for part, (known_names, load) in _WEIGHTS.items():
        files = weight_files(source / part, known_names)
        stored = _dtypes(files)
        if {file.suffix for file in files} == {".safetensors"} and (dtype is None or stored == {dtype}):
            kept += [name for name in names if name.startswith(f"{part}/")]
        else:
            module: Any = load(source / part, dtype=dtype or _most_exact(stored))
            check_finite(module, part)
            module.save_pretrained(target / part)
    _copy(source, target, kept)
    index = read_json(source / MODEL_INDEX)
    index |= {
        "_class_name": PIPELINE_CLASS,
        "_diffusers_version": diffusers_version,
        TRANSFORMER: [IngredientsTransformer3DModel.__module__, IngredientsTransformer3DModel.__name__],
    }
    fields = ("_class_name", "_diffusers_version", *_WEIGHTS, "tokenizer", "scheduler", TRANSFORMER)
    index = {name: index[name] for name in sorted(index) if name in fields}
    (target / MODEL_INDEX).write_text(to_json(index, indent=2) + "\n", encoding="utf-8")


def copy_face_encoder(source: Path, target: Path, *, scale_source: ScaleSource) -> None:
    """Copies the files of face networks that are read.

    Args:
        source: Their folder.
        target: Folder of the model, or of identity weights, that they go into.
        scale_source: Which multi-scale features the transformer was trained on.
    """
    inside = f"{FACE_ENCODER}/"
    names = needed_files(f"{inside}{name}" for name in _file_names(source))
    _copy(source, target / FACE_ENCODER, [name.removeprefix(inside) for name in names])
    config = target / FACE_ENCODER / "config.json"
    values = read_json(config) if config.is_file() else {}
    if values.get("scale_source", "clip") != scale_source:
        config.write_text(to_json(values | {"scale_source": scale_source}, indent=2) + "\n", encoding="utf-8")


def check_finite(module: torch.nn.Module, name: str) -> None:
    """Refuses weights that are too large for the type that they are in.

    Raises:
        UserInputError: If a number is none.
    """
    for key, tensor in module.state_dict().items():
        if not torch.isfinite(tensor).all():
            dtype = str(tensor.dtype).removeprefix("torch.")
            raise UserInputError(
                f"The weights {key} of the {name} do not fit into {dtype}; take bfloat16 or float32 (--dtype)."
            )


def forget_paths(folder: Path) -> None:
    """Empties the fields in which libraries note from which folder of this machine a part was read."""
    for path in folder.rglob("*.json"):
        try:
            values = json_yaml.read_json(path, remedy="copy it again")
        except BadFileError as error:
            raise ModelFolderError(str(error)) from error
        if not isinstance(values, dict):
            continue
        noted = {name: "" for name in _PATH_FIELDS if Path(str(values.get(name, ""))).is_absolute()}
        if noted:
            path.write_text(to_json(values | noted, indent=2) + "\n", encoding="utf-8")


def _dtypes(files: list[Path]) -> set[torch.dtype]:
    stored_shapes(files)  # refuses what is no plain number
    return stored_dtypes(files)


def _most_exact(dtypes: Iterable[torch.dtype]) -> torch.dtype:
    return max(dtypes, key=lambda dtype: dtype.itemsize)


def _file_names(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file()]


def _copy(source: Path, target: Path, names: Iterable[str]) -> None:
    for name in names:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, target / name)
