"""Which files of a model's repository a pipeline reads.

Repositories hold more: weights in several formats and precisions, networks that are never used, pictures. What is
needed follows from the names alone, so that nothing else is downloaded.
"""

import re
from collections.abc import Iterable, Sequence

from ingredients.faces.face_stack_names import ANTELOPE_FOLDER, DETECTOR_NAME, EVA_NAMES, RECOGNISER_NAME
from ingredients.model_folders.folder_names import (
    FACE_ENCODER,
    IDENTITY_FOLDER,
    MODEL_INDEX,
    TRANSFORMER,
    TRANSFORMER_EMA,
)

_PARTS = ("vae", "text_encoder", "tokenizer", "scheduler")
_TRANSFORMERS = (TRANSFORMER_EMA, TRANSFORMER)
_SMALL_FILES = re.compile(
    r"(README\.md|LICEN[CS]E[^/]*|(model_index|(sampling|speed)_defaults|residual_magnitudes)\.json)",
    re.IGNORECASE,
)

_WEIGHTS = re.compile(
    r"(?P<stem>diffusion_pytorch_model|pytorch_model|model)(-\d+-of-\d+)?\.(?P<kind>safetensors|bin)(\.index\.json)?"
)
"""Weights of diffusers and transformers; a word between stem and suffix (`.fp16.`) means another precision."""

_SETTINGS = (".json", ".model", ".txt")
_OUR_NETWORKS = (".json", ".safetensors", ".txt", ".yaml")
_ANTELOPE_NETWORKS = tuple((ANTELOPE_FOLDER / name).as_posix() for name in (DETECTOR_NAME, RECOGNISER_NAME))


def needed_files(names: Iterable[str]) -> list[str]:
    """The files of a repository that loading it reads, and its licence.

    Args:
        names: all of its files, as paths with `/`.
    """
    names = list(names)
    needed = [name for name in names if "/" not in name and _SMALL_FILES.fullmatch(name)]
    transformer = next((part for part in _TRANSFORMERS if _inside(names, part)), _TRANSFORMERS[-1])
    for part in (transformer, *_PARTS):
        needed += _needed_of_part(part, _inside(names, part))
    for faces in (FACE_ENCODER, f"{IDENTITY_FOLDER}/{FACE_ENCODER}"):
        needed += _needed_of_faces(faces, _inside(names, faces))
    for folder in ("judge", IDENTITY_FOLDER):
        needed += [f"{folder}/{name}" for name in _inside(names, folder) if _is_flat(name, _OUR_NETWORKS)]
    return needed


def is_model(names: Iterable[str]) -> bool:
    """Whether a repository has the layout of a model at all."""
    return MODEL_INDEX in names


def _inside(names: Iterable[str], folder: str) -> list[str]:
    return [name.removeprefix(f"{folder}/") for name in names if name.startswith(f"{folder}/")]


def _is_flat(name: str, suffixes: Sequence[str]) -> bool:
    return "/" not in name and name.endswith(tuple(suffixes))


def _needed_of_part(part: str, names: Sequence[str]) -> list[str]:
    """Settings, and weights in one format: safetensors where there are any."""
    weights = {name: match["kind"] for name in names if (match := _WEIGHTS.fullmatch(name))}
    kind = "safetensors" if "safetensors" in weights.values() else "bin"
    settings = [name for name in names if _is_flat(name, _SETTINGS) and not name.endswith(".index.json")]
    return [f"{part}/{name}" for name in [*settings, *(name for name in weights if weights[name] == kind)]]


def _needed_of_faces(folder: str, names: Sequence[str]) -> list[str]:
    """The published networks where they are, and of the drawn world's all."""
    towers = [name for name in EVA_NAMES if name in names][:1]
    if not any(name.startswith("models/") for name in names):
        return [f"{folder}/{name}" for name in names if name.endswith(_OUR_NETWORKS)]
    networks = [name for name in names if name in _ANTELOPE_NETWORKS or name == "config.json"]
    return [f"{folder}/{name}" for name in [*networks, *towers]]
