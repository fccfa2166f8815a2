"""The parts of a model folder, read strictly: nothing missing, unknown or of another shape.

Weights are safetensors, or PyTorch's own files, of which nothing but tensors is read.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from accelerate import init_empty_weights
from diffusers import AutoencoderKLCogVideoX, CogVideoXDDIMScheduler, CogVideoXDPMScheduler
from safetensors import SafetensorError, safe_open
from transformers import AutoTokenizer, PreTrainedTokenizerBase, T5Config, T5EncoderModel

from ingredients.core.errors import ModelFolderError
from ingredients.core.model_files import name_some, read_json
from ingredients.faces.face_stack import load_face_stack
from ingredients.faces.weights import read_tensors
from ingredients.models.state_dict_adapter import config_from_published, from_published, published_key_map
from ingredients.models.transformer_ingredients import IngredientsTransformer3DModel
from ingredients.pipelines.out_of_memory import is_out_of_memory

MODEL_INDEX = "model_index.json"
FACE_ENCODER = "face_encoder"
TRANSFORMER = "transformer"
TRANSFORMER_EMA = "transformer_ema"
"""Stands in for `transformer/` where a folder has only averaged weights."""

SCHEDULERS = {each.__name__: each for each in (CogVideoXDPMScheduler, CogVideoXDDIMScheduler)}

_DIFFUSERS_WEIGHTS = ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin")
_TRANSFORMERS_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
_PUBLISHED_PREFIX = "local_facial_extractor."

_PartT = TypeVar("_PartT", bound=torch.nn.Module)
Shapes = dict[str, tuple[int, ...]]


def load_components(
    folder: str | Path, *, dtype: torch.dtype, given: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Reads all parts of a model folder.

    Args:
        folder: The folder, in the published layout.
        dtype: Of the weights; the face networks stay in float32.
        given: Parts that are there already, by name, and are not read.

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
    transformer_name = transformer_folder(folder)
    readers: dict[str, Callable[[], Any]] = {
        TRANSFORMER: lambda: load_transformer(folder / transformer_name, dtype=dtype),
        "vae": lambda: load_vae(folder / "vae", dtype=dtype),
        "text_encoder": lambda: load_text_encoder(folder / "text_encoder", dtype=dtype),
        "tokenizer": lambda: load_tokenizer(folder / "tokenizer"),
        "scheduler": lambda: load_scheduler(folder / "scheduler"),
        FACE_ENCODER: lambda: load_face_stack(folder / FACE_ENCODER),
    }
    if unknown := sorted(set(given) - set(readers)):
        raise TypeError(f"A model has no part named {', '.join(unknown)}; its parts are {', '.join(readers)}.")
    wanted = {part: reader for part, reader in readers.items() if part not in given}
    _check_parts(folder, wanted, transformer_name)
    return given | {part: reader() for part, reader in wanted.items()}


def transformer_folder(folder: Path) -> str:
    """Name of the transformer's part of a model folder."""
    return TRANSFORMER if (folder / TRANSFORMER).is_dir() else TRANSFORMER_EMA


def load_transformer(folder: Path, *, dtype: torch.dtype) -> IngredientsTransformer3DModel:
    """Reads a transformer whose weights have our names, or the published ones.

    Raises:
        ModelFolderError: As `load_components`.
    """
    model = build_transformer(folder)
    files = weight_files(folder, _DIFFUSERS_WEIGHTS)
    stored = _stored_shapes(files)
    if any(name.startswith(_PUBLISHED_PREFIX) for name in stored):
        _fill_from_published(model, folder, files, stored, dtype=dtype)
    else:
        _check_shapes(folder, stored, _shapes(model))
        model = _load(IngredientsTransformer3DModel, folder, files, torch_dtype=dtype)
    return model


def build_transformer(folder: Path) -> IngredientsTransformer3DModel:
    """A transformer without weights, from its `config.json` in our fields or the published ones.

    Raises:
        ModelFolderError: If that is missing or damaged.
    """
    config = read_json(folder / "config.json")
    with _explained(folder), init_empty_weights(include_buffers=False):
        arguments = config_from_published(config) if "is_train_face" in config else config
        model: IngredientsTransformer3DModel = _build(IngredientsTransformer3DModel, arguments)
    return model


def build_vae(folder: Path) -> AutoencoderKLCogVideoX:
    """A VAE without weights; raises as `build_transformer`."""
    config = read_json(folder / "config.json")
    with _explained(folder), init_empty_weights():
        return _build(AutoencoderKLCogVideoX, config)


def load_vae(folder: Path, *, dtype: torch.dtype) -> AutoencoderKLCogVideoX:
    """Reads a VAE; raises as `load_components`."""
    expected = _shapes(build_vae(folder))
    files = weight_files(folder, _DIFFUSERS_WEIGHTS)
    _check_shapes(folder, _stored_shapes(files), expected)
    return _load(AutoencoderKLCogVideoX, folder, files, torch_dtype=dtype)


def load_text_encoder(folder: Path, *, dtype: torch.dtype) -> T5EncoderModel:
    """Reads a T5 encoder; raises as `load_components`."""
    config = read_json(folder / "config.json")
    files = weight_files(folder, _TRANSFORMERS_WEIGHTS)
    stored = _stored_shapes(files)
    with _explained(folder), init_empty_weights():
        expected = _shapes(T5EncoderModel(T5Config.from_dict(config)))
    tied = "encoder.embed_tokens.weight"  # the same tensor as shared.weight, so a file need not hold it twice
    if tied not in stored:
        del expected[tied]
    _check_shapes(folder, stored, expected)
    return _load(T5EncoderModel, folder, files, dtype=dtype)


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """Reads a tokenizer; raises as `load_components`."""
    with _explained(folder):
        return AutoTokenizer.from_pretrained(folder, local_files_only=True)


def load_scheduler(folder: Path) -> CogVideoXDPMScheduler | CogVideoXDDIMScheduler:
    """Reads one of CogVideoX's schedulers; raises as `load_components`."""
    config = read_json(folder / "scheduler_config.json")
    name = config.get("_class_name")
    if name not in SCHEDULERS:
        raise ModelFolderError(f"The scheduler {name} in {folder} is not supported; use {' or '.join(SCHEDULERS)}.")
    with _explained(folder):
        return SCHEDULERS[name].from_config(config)


def weight_files(folder: Path, known_names: Sequence[str]) -> list[Path]:
    """The weights of a part: one file, or the shards that its index names.

    Args:
        folder: Of the part.
        known_names: What a single file may be called; the first that is there is taken.

    Raises:
        ModelFolderError: If there are none, or a shard is missing.
    """
    there = [name for name in known_names if (folder / name).is_file() or (folder / f"{name}.index.json").is_file()]
    name = (there or known_names)[0]
    index = folder / f"{name}.index.json"
    names = sorted(set(read_json(index).get("weight_map", {}).values())) if index.is_file() else [name]
    missing = [each for each in names if not (folder / each).is_file()]
    if missing or not names:
        raise ModelFolderError(f"The model folder lacks {folder / (missing or [name])[0]}; copy the folder again.")
    return [folder / each for each in names]


def _check_parts(folder: Path, wanted: Mapping[str, object], transformer_name: str) -> None:
    folders = {part: transformer_name if part == TRANSFORMER else part for part in wanted}
    missing = [part for part, name in folders.items() if not (folder / name).is_dir()]
    if missing:
        raise ModelFolderError(
            f"The model folder {folder} lacks {', '.join(f'{part}/' for part in missing)}; copy the folder again."
        )


def _check_shapes(folder: Path, stored: Shapes, expected: Shapes) -> None:
    problems = []
    if missing := [name for name in expected if name not in stored]:
        problems.append(f"lack {name_some(missing)}")
    if unknown := [name for name in stored if name not in expected]:
        problems.append(f"hold the unknown {name_some(unknown)}")
    if misshapen := [name for name in expected if name in stored and stored[name] != expected[name]]:
        problems.append(
            "hold " + name_some([f"{name} of shape {stored[name]} instead of {expected[name]}" for name in misshapen])
        )
    if problems:
        raise ModelFolderError(
            f"The weights in {folder} do not fit its config.json: they {' and '.join(problems)}; "
            "copy the folder again."
        )


def _fill_from_published(
    model: IngredientsTransformer3DModel, folder: Path, files: list[Path], stored: Shapes, *, dtype: torch.dtype
) -> None:
    with _explained(folder):
        key_map = published_key_map(model)
    _check_shapes(folder, stored, {key_map[name]: shape for name, shape in _shapes(model).items()})
    weights = from_published({name: tensor.to(dtype) for name, tensor in _tensors(files)}, model)
    model.load_state_dict(weights, assign=True)
    model.to(dtype).eval()


def _shapes(model: torch.nn.Module) -> Shapes:
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def _stored_shapes(files: list[Path]) -> Shapes:
    shapes: Shapes = {}
    for path in files:
        if path.suffix == ".safetensors":
            with _open(path) as file:
                shapes |= {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
        else:
            shapes |= {name: tuple(tensor.shape) for name, tensor in read_tensors(path).items()}
    return shapes


def _tensors(files: list[Path]) -> Iterator[tuple[str, torch.Tensor]]:
    for path in files:
        if path.suffix == ".safetensors":
            with _open(path) as file:
                for name in file.keys():  # noqa: SIM118
                    yield name, file.get_tensor(name)
        else:
            yield from read_tensors(path).items()


@contextlib.contextmanager
def _open(path: Path) -> Iterator[Any]:
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (SafetensorError, OSError) as error:
        raise ModelFolderError(f"The weights {path} are damaged ({error}); copy the file again.") from error


@contextlib.contextmanager
def _explained(folder: Path) -> Iterator[None]:
    """Turns what a library says of a bad file into one sentence that names the folder."""
    try:
        yield
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RuntimeError) as error:
        if is_out_of_memory(error):
            raise
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ModelFolderError(f"The part {folder} cannot be read ({reason}); copy the folder again.") from error


def _build(part_type: type[_PartT], config: Mapping[str, Any]) -> _PartT:
    return cast(_PartT, cast(Any, part_type).from_config(config))


def _load(part_type: type[_PartT], folder: Path, files: list[Path], **dtype: torch.dtype) -> _PartT:
    is_safe = files[0].suffix == ".safetensors"
    with _explained(folder):
        part = cast(Any, part_type).from_pretrained(folder, use_safetensors=is_safe, local_files_only=True, **dtype)
    return cast(_PartT, part.eval())
