"""The parts of a model folder, read strictly: nothing missing, unknown or of another shape.

Weights are safetensors, or PyTorch's own files, of which nothing but tensors is read.
"""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from accelerate import init_empty_weights
from diffusers import AutoencoderKLCogVideoX, CogVideoXDDIMScheduler, CogVideoXDPMScheduler
from transformers import AutoTokenizer, PreTrainedTokenizerBase, T5Config, T5EncoderModel

from ingredients.core.errors import ModelFolderError
from ingredients.core.model_files import read_json
from ingredients.faces.face_stack import load_face_stack
from ingredients.faces.face_stack_name import FaceStackName
from ingredients.pipelines.identity_folder import IDENTITY_FOLDER
from ingredients.pipelines.transformer_folder import is_base, load_transformer
from ingredients.pipelines.weight_files import (
    DIFFUSERS_WEIGHTS,
    TRANSFORMERS_WEIGHTS,
    check_shapes,
    explained,
    shapes_of,
    stored_shapes,
    weight_files,
)

MODEL_INDEX = "model_index.json"
FACE_ENCODER = "face_encoder"
TRANSFORMER = "transformer"
TRANSFORMER_EMA = "transformer_ema"
"""Averaged weights, which come first where a folder has both, as in the published code."""

SCHEDULERS = {each.__name__: each for each in (CogVideoXDPMScheduler, CogVideoXDDIMScheduler)}

_VOCABULARIES = ("tokenizer.json", "spiece.model")
"""Without one of them transformers makes a tokenizer that knows no word."""

_PartT = TypeVar("_PartT", bound=torch.nn.Module)


def load_components(
    folder: str | Path,
    *,
    dtype: torch.dtype,
    given: Mapping[str, Any] | None = None,
    identity: Path | None = None,
    drop_learned_positions: bool = False,
    face_stack: FaceStackName = "model",
) -> dict[str, Any]:
    """Reads all parts of a model folder.

    Args:
        folder: The folder, in the published layout, in ours, or a CogVideoX of diffusers' as the base.
        dtype: Of the weights; the face networks stay in float32.
        given: Parts that are there already, by name, and are not read.
        identity: Identity weights for a base (`pipelines/identity_folder.py`); by default `identity/` in the folder,
            if it is there.
        drop_learned_positions: Leave out a base's learned positions, which fix the size of the video.
        face_stack: As `load_face_stack`.

    Raises:
        ModelFolderError: If a part is missing or damaged, or a tensor is missing, unknown or of another shape; one
            sentence that names them.
    """
    folder, given = Path(folder), dict(given or {})
    if not folder.is_dir():
        raise ModelFolderError(
            f"There is no model folder {folder}; check the name, or leave it out for the small model."
        )
    if not (folder / MODEL_INDEX).is_file():
        raise ModelFolderError(f"The folder {folder} is no model folder: it lacks {MODEL_INDEX}.")
    if identity is not None and not identity.is_dir():
        raise ModelFolderError(f"There is no folder {identity} with identity weights; check the name.")
    transformer_name = transformer_part(folder)
    identity = identity or identity_beside(folder)
    faces = face_encoder_folder(folder, identity)
    readers: dict[str, Callable[[], Any]] = {
        TRANSFORMER: lambda: load_transformer(
            folder / transformer_name, dtype=dtype, identity=identity, drop_learned_positions=drop_learned_positions
        ),
        "vae": lambda: load_vae(folder / "vae", dtype=dtype),
        "text_encoder": lambda: load_text_encoder(folder / "text_encoder", dtype=dtype),
        "tokenizer": lambda: load_tokenizer(folder / "tokenizer"),
        "scheduler": lambda: load_scheduler(folder / "scheduler"),
        FACE_ENCODER: lambda: load_face_stack(faces, name=face_stack),
    }
    if unknown := sorted(set(given) - set(readers)):
        raise TypeError(f"A model has no part named {', '.join(unknown)}; its parts are {', '.join(readers)}.")
    if FACE_ENCODER not in given and not faces.is_dir() and is_base(folder / transformer_name):
        if identity is not None:
            raise ModelFolderError(
                f"The base {folder} needs face networks: put them into {identity / FACE_ENCODER}, those that the "
                "identity weights were trained with."
            )
        given[FACE_ENCODER] = None  # a base alone knows nobody
    wanted = {part: reader for part, reader in readers.items() if part not in given}
    places = {part: folder / part for part in wanted} | {TRANSFORMER: folder / transformer_name, FACE_ENCODER: faces}
    _check_parts(folder, {part: places[part] for part in wanted})
    return given | {part: reader() for part, reader in wanted.items()}


def transformer_part(folder: Path) -> str:
    """Name of the transformer's part of a model folder."""
    return TRANSFORMER_EMA if (folder / TRANSFORMER_EMA).is_dir() else TRANSFORMER


def identity_beside(folder: Path) -> Path | None:
    """The identity weights in a base's folder, if it has some."""
    identity = folder / IDENTITY_FOLDER
    return identity if identity.is_dir() else None


def build_vae(folder: Path) -> AutoencoderKLCogVideoX:
    """A VAE without weights; raises as `load_components`."""
    config = read_json(folder / "config.json")
    with explained(folder), init_empty_weights():
        return _build(AutoencoderKLCogVideoX, config)


def count_weights(folder: Path) -> int:
    """Numbers in the transformer, text encoder and VAE of a model folder, without reading them where that is possible.

    Raises:
        ModelFolderError: If a part is missing or damaged.
    """
    parts = {
        transformer_part(folder): DIFFUSERS_WEIGHTS,
        "text_encoder": TRANSFORMERS_WEIGHTS,
        "vae": DIFFUSERS_WEIGHTS,
    }
    shapes = [stored_shapes(weight_files(folder / part, names)) for part, names in parts.items()]
    return sum(math.prod(shape) for part in shapes for shape in part.values())


def load_vae(folder: Path, *, dtype: torch.dtype) -> AutoencoderKLCogVideoX:
    """Reads a VAE; raises as `load_components`."""
    files = weight_files(folder, DIFFUSERS_WEIGHTS)
    check_shapes(folder, stored_shapes(files), shapes_of(build_vae(folder)))
    return _load(AutoencoderKLCogVideoX, folder, files, torch_dtype=dtype)


def load_text_encoder(folder: Path, *, dtype: torch.dtype) -> T5EncoderModel:
    """Reads a T5 encoder; raises as `load_components`."""
    config = read_json(folder / "config.json")
    files = weight_files(folder, TRANSFORMERS_WEIGHTS)
    stored = stored_shapes(files)
    with explained(folder), init_empty_weights():
        expected = shapes_of(T5EncoderModel(T5Config.from_dict(config)))
    tied = "encoder.embed_tokens.weight"  # the same tensor as shared.weight, so a file need not hold it twice
    if tied not in stored:
        del expected[tied]
    check_shapes(folder, stored, expected)
    return _load(T5EncoderModel, folder, files, dtype=dtype)


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """Reads a tokenizer; raises as `load_components`."""
    if not any((folder / name).is_file() for name in _VOCABULARIES):
        raise ModelFolderError(
            f"The model folder lacks {folder / _VOCABULARIES[0]}, or {_VOCABULARIES[1]}; copy the folder again."
        )
    with explained(folder):
        return AutoTokenizer.from_pretrained(folder, local_files_only=True)


def load_scheduler(folder: Path) -> CogVideoXDPMScheduler | CogVideoXDDIMScheduler:
    """Reads one of CogVideoX's schedulers; raises as `load_components`."""
    config = read_json(folder / "scheduler_config.json")
    name = config.get("_class_name")
    if name not in SCHEDULERS:
        raise ModelFolderError(f"The scheduler {name} in {folder} is not supported; use {' or '.join(SCHEDULERS)}.")
    with explained(folder):
        return SCHEDULERS[name].from_config(config)


def face_encoder_folder(folder: Path, identity: Path | None) -> Path:
    """The face networks that come with the identity weights, or else with the model."""
    beside = None if identity is None else identity / FACE_ENCODER
    return beside if beside is not None and beside.is_dir() else folder / FACE_ENCODER


def _check_parts(folder: Path, places: Mapping[str, Path]) -> None:
    missing = [f"{part}/" for part, place in places.items() if not place.is_dir()]
    if missing:
        raise ModelFolderError(f"The model folder {folder} lacks {', '.join(missing)}; copy the folder again.")


def _build(part_type: type[_PartT], config: Mapping[str, Any]) -> _PartT:
    return cast(_PartT, cast(Any, part_type).from_config(config))


def _load(part_type: type[_PartT], folder: Path, files: list[Path], **dtype: torch.dtype) -> _PartT:
    is_safe = files[0].suffix == ".safetensors"
    with explained(folder):
        part = cast(Any, part_type).from_pretrained(folder, use_safetensors=is_safe, local_files_only=True, **dtype)
    return cast(_PartT, part.eval())
