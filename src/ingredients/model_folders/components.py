"""The parts of a model folder, read strictly: nothing missing, unknown or of another shape.

Weights are safetensors, or PyTorch's own files, of which nothing but tensors is read.
"""

import inspect
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer, PreTrainedTokenizerBase, T5Config, T5EncoderModel

from ingredients.core.errors import ModelFolderError
from ingredients.core.model_files import read_json
from ingredients.faces.face_stack import load_face_stack
from ingredients.faces.face_stack_names import FaceStackName
from ingredients.model_folders.find_model import check_model_folder
from ingredients.model_folders.folder_names import (
    FACE_ENCODER,
    IDENTITY_FOLDER,
    TRANSFORMER,
    TRANSFORMER_EMA,
)
from ingredients.model_folders.part_configs import build_from, build_part, checked_config
from ingredients.model_folders.time_taps import completed_shapes, with_empty_taps
from ingredients.model_folders.transformer import is_base, load_transformer
from ingredients.model_folders.weight_files import (
    ANY_WEIGHTS,
    DIFFUSERS_WEIGHTS,
    TRANSFORMERS_WEIGHTS,
    WeightChoice,
    check_shapes,
    explained,
    fill,
    has_variant,
    shapes_of,
    stored_shapes,
    weight_files,
    without_weights,
)
from ingredients.models.backbones import BACKBONES, VideoScheduler, VideoVae
from ingredients.models.transformer_ingredients import IngredientsTransformer3DModel

SCHEDULERS = {each.__name__: each for backbone in BACKBONES for each in backbone.scheduler_classes}

_VAES = {backbone.vae_class.__name__: backbone.vae_class for backbone in BACKBONES}

_VOCABULARIES = ("tokenizer.json", "spiece.model")
"""Without one of them transformers makes a tokenizer that knows no word."""

_TOKENIZER_CONFIG = "tokenizer_config.json"


def load_components(
    folder: str | Path,
    *,
    dtype: torch.dtype | Mapping[str, torch.dtype],
    given: Mapping[str, Any] | None = None,
    identity: Path | None = None,
    drop_learned_positions: bool = False,
    face_stack: FaceStackName = "model",
    choice: WeightChoice = ANY_WEIGHTS,
) -> dict[str, Any]:
    """Reads all parts of a model folder.

    Args:
        folder: The folder, in the published layout, in ours, or a CogVideoX of diffusers' as the base.
        dtype: Type of the weights, or types by the part's name, with `default` for the others (float32 without it);
            the face networks stay in float32.
        given: Parts that are there already, by name, and are not read.
        identity: Identity weights for a base (`model_folders/identity.py`); by default `identity/` in the folder,
            if it is there.
        drop_learned_positions: Leave out a base's learned positions, which fix the size of the video.
        face_stack: As `load_face_stack`.
        choice: Which weight files are read, where there are several.

    Raises:
        ModelFolderError: If a part is missing or damaged, or a tensor is missing, unknown or of another shape; one
            sentence that names them.
        NotFiniteError: If a tensor holds a value that is no number.
    """
    folder, given = Path(folder), dict(given or {})
    check_model_folder(folder)
    if identity is not None and not identity.is_dir():
        raise ModelFolderError(f"There is no folder {identity} with identity weights; check the name.")
    transformer_name = transformer_part(folder)
    identity = identity or identity_beside(folder)
    faces = face_encoder_folder(folder, identity)

    def dtype_of(part: str) -> torch.dtype:
        return dtype if isinstance(dtype, torch.dtype) else dtype.get(part, dtype.get("default", torch.float32))

    readers: dict[str, Callable[[], Any]] = {
        TRANSFORMER: lambda: load_transformer(
            folder / transformer_name,
            dtype=dtype_of(TRANSFORMER),
            identity=identity,
            drop_learned_positions=drop_learned_positions,
            choice=choice,
        ),
        "vae": lambda: load_vae(folder / "vae", dtype=dtype_of("vae"), choice=choice),
        "text_encoder": lambda: load_text_encoder(
            folder / "text_encoder", dtype=dtype_of("text_encoder"), choice=choice
        ),
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
    _check_variant(folder, {part: places[part] for part in wanted}, choice.variant)
    return given | {part: reader() for part, reader in wanted.items()}


def transformer_part(folder: Path) -> str:
    """Name of the transformer's part of a model folder."""
    return TRANSFORMER_EMA if (folder / TRANSFORMER_EMA).is_dir() else TRANSFORMER


def identity_beside(folder: Path) -> Path | None:
    """The identity weights in a base's folder, if it has some."""
    identity = folder / IDENTITY_FOLDER
    return identity if identity.is_dir() else None


def max_text_length(folder: Path) -> int:
    """Text tokens that the transformer of a model folder reads; raises as `load_components`."""
    path = folder / transformer_part(folder) / "config.json"
    default = inspect.signature(IngredientsTransformer3DModel.__init__).parameters["max_text_seq_length"].default
    return int(checked_config(IngredientsTransformer3DModel, path).get("max_text_seq_length", default))


def build_vae(folder: Path) -> VideoVae:
    """A VAE without weights; raises as `load_components`."""
    config = folder / "config.json"
    vae_class = _VAES.get(str(read_json(config).get("_class_name")), BACKBONES[0].vae_class)
    with without_weights():
        vae: VideoVae = build_part(vae_class, config, checked_config(vae_class, config))
    return vae


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


def load_vae(folder: Path, *, dtype: torch.dtype, choice: WeightChoice = ANY_WEIGHTS) -> VideoVae:
    """Reads a VAE, whose kernels may lie there without their empty taps; raises as `load_components`."""
    files = weight_files(folder, DIFFUSERS_WEIGHTS, choice)
    vae = build_vae(folder)
    expected = shapes_of(vae)
    check_shapes(folder, completed_shapes(stored_shapes(files), expected), expected)
    with explained(folder):
        fill(vae, files, lambda _: dtype, complete=lambda name, kernel: with_empty_taps(kernel, expected[name]))
    return vae


def load_text_encoder(folder: Path, *, dtype: torch.dtype, choice: WeightChoice = ANY_WEIGHTS) -> T5EncoderModel:
    """Reads a T5 encoder; raises as `load_components`.

    In float16 what would overflow stays in float32, as transformers has it.
    """
    text_encoder = build_text_encoder(folder)
    files = weight_files(folder, TRANSFORMERS_WEIGHTS, choice)
    stored, expected = stored_shapes(files), shapes_of(text_encoder)
    tied = "encoder.embed_tokens.weight"  # the same tensor as shared.weight, so a file need not hold it twice
    if tied not in stored:
        del expected[tied]
    check_shapes(folder, stored, expected)
    kept = set(text_encoder._keep_in_fp32_modules) if dtype == torch.float16 else set()
    with explained(folder):
        fill(text_encoder, files, lambda name: torch.float32 if kept & set(name.split(".")) else dtype)
        text_encoder.tie_weights()
    return text_encoder


def build_text_encoder(folder: Path) -> T5EncoderModel:
    """A T5 encoder without weights; raises as `load_components`."""
    config = folder / "config.json"
    values = read_json(config)
    with without_weights():
        return build_from(
            lambda each: T5EncoderModel(T5Config.from_dict(each)), config, values, defaults=T5Config().to_dict()
        )


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """Reads a tokenizer; raises as `load_components`."""
    if not any((folder / name).is_file() for name in _VOCABULARIES):
        raise ModelFolderError(
            f"The model folder lacks {folder / _VOCABULARIES[0]}, or {_VOCABULARIES[1]}; copy the folder again."
        )
    for path in sorted(folder.glob("*.json")):
        _check_json(folder, path)
    if not (folder / _TOKENIZER_CONFIG).is_file():
        raise ModelFolderError(f"The model folder lacks {folder / _TOKENIZER_CONFIG}; copy the folder again.")
    with explained(folder):
        return AutoTokenizer.from_pretrained(folder, local_files_only=True)


def load_scheduler(folder: Path) -> VideoScheduler:
    """Reads one of CogVideoX's schedulers; raises as `load_components`."""
    path = folder / "scheduler_config.json"
    name = read_json(path).get("_class_name")
    if not isinstance(name, str) or name not in SCHEDULERS:
        raise ModelFolderError(f"The scheduler {name} in {folder} is not supported; use {' or '.join(SCHEDULERS)}.")
    return build_part(SCHEDULERS[name], path, checked_config(SCHEDULERS[name], path))


def face_encoder_folder(folder: Path, identity: Path | None) -> Path:
    """The face networks that come with the identity weights, or else with the model."""
    beside = None if identity is None else identity / FACE_ENCODER
    return beside if beside is not None and beside.is_dir() else folder / FACE_ENCODER


def _check_parts(folder: Path, places: Mapping[str, Path]) -> None:
    missing = [f"{part}/" for part, place in places.items() if not place.is_dir()]
    if missing:
        raise ModelFolderError(f"The model folder {folder} lacks {', '.join(missing)}; copy the folder again.")


def _check_variant(folder: Path, places: Mapping[str, Path], variant: str | None) -> None:
    """Refuses a variant that no part has; parts without it are read without it, as in diffusers."""
    if variant is None:
        return
    names = {TRANSFORMER: DIFFUSERS_WEIGHTS, "vae": DIFFUSERS_WEIGHTS, "text_encoder": TRANSFORMERS_WEIGHTS}
    read = {part: known for part, known in names.items() if part in places}
    if read and not any(has_variant(places[part], known, variant) for part, known in read.items()):
        raise ModelFolderError(
            f"The model folder {folder} has no weights of the variant {variant}; leave variant out, or check its name."
        )


def _check_json(folder: Path, path: Path) -> None:
    """Refuses what is no JSON object, of which libraries say much but not where it is."""
    try:
        read_json(path)
    except ModelFolderError as error:
        raise ModelFolderError(f"The part {folder} cannot be read: {error}") from error
