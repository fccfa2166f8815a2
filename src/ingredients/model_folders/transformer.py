"""A transformer from a folder: ours, the published one's, or diffusers' CogVideoX with identity weights beside it.

| `_class_name` or names in the folder | what it is |
|---|---|
| names that begin with `local_facial_extractor.` | the published checkpoint |
| `CogVideoXTransformer3DModel` | a base: CogVideoX-5b or CogVideoX-5b-I2V as diffusers keeps them |
| anything else | what `save_pretrained` wrote |
"""

from collections.abc import Iterable
from pathlib import Path

import torch
from peft import get_peft_model_state_dict

from ingredients.core.errors import ModelFolderError
from ingredients.core.model_files import name_some, read_json
from ingredients.model_folders.identity import IdentityFolder, read_identity_folder
from ingredients.model_folders.lora_files import normalise_lora, plain_name, read_header
from ingredients.model_folders.part_configs import build_part, checked_config
from ingredients.model_folders.weight_files import (
    ANY_WEIGHTS,
    DIFFUSERS_WEIGHTS,
    Shapes,
    WeightChoice,
    check_shapes,
    explained,
    fill,
    shapes_of,
    stored_shapes,
    stored_tensors,
    weight_files,
    without_weights,
)
from ingredients.models.backbones import BACKBONES
from ingredients.models.state_dict_adapter import (
    config_from_published,
    from_published,
    load_base_weights,
    published_key_map,
)
from ingredients.models.transformer_ingredients import IngredientsTransformer3DModel

_BASE_CLASSES = {backbone.base_transformer for backbone in BACKBONES}
_PUBLISHED_PREFIX = "local_facial_extractor."
_LORA_ADAPTER = "identity"


def is_base(folder: Path) -> bool:
    """Whether a transformer's folder holds a CogVideoX without identity modules, as diffusers keeps it.

    Raises:
        ModelFolderError: If its config is missing or damaged.
    """
    return bool(read_json(folder / "config.json").get("_class_name") in _BASE_CLASSES)


def load_transformer(
    folder: Path,
    *,
    dtype: torch.dtype,
    identity: Path | None = None,
    drop_learned_positions: bool = False,
    choice: WeightChoice = ANY_WEIGHTS,
) -> IngredientsTransformer3DModel:
    """Reads a transformer.

    Args:
        folder: Of the transformer.
        dtype: Of the weights.
        identity: Folder of identity weights, for a base; without it a base takes no people.
        drop_learned_positions: Leave out a base's learned positions, which fix the size of the video.
        choice: Which weight files are read, where there are several.

    Raises:
        ModelFolderError: If a file is missing or damaged, or a tensor is missing, unknown or of another shape.
        NotFiniteError: If a tensor holds a value that is no number.
    """
    files = weight_files(folder, DIFFUSERS_WEIGHTS, choice)
    stored = stored_shapes(files)
    if is_base(folder):
        model = _load_base(folder, files, identity, dtype=dtype, drop_positions=drop_learned_positions)
    elif drop_learned_positions:
        raise ModelFolderError(
            f"The transformer in {folder} is no CogVideoX base, whose learned positions could be dropped; leave that "
            "option out."
        )
    elif identity is not None:
        raise ModelFolderError(
            f"The transformer in {folder} has identity modules of its own, so it takes none from {identity}; choose a "
            "CogVideoX base, or leave the identity weights out."
        )
    else:
        model = _load_whole(folder, files, stored, dtype=dtype)
    model.eval()
    return model


def build_transformer(
    folder: Path, *, identity: Path | None = None, drop_learned_positions: bool = False
) -> IngredientsTransformer3DModel:
    """A transformer without weights; arguments and errors as `load_transformer`."""
    path = folder / "config.json"
    config = checked_config(IngredientsTransformer3DModel, path)
    if is_base(folder):
        config |= {"identity_modules": False} if identity is None else read_identity_folder(identity).config
        if drop_learned_positions:
            config["use_learned_positional_embeddings"] = False
    with explained(path):
        if "is_train_face" in config:
            config = config_from_published(config)
    fields = {name: value for name, value in config.items() if not name.startswith("_")}
    with without_weights():
        model: IngredientsTransformer3DModel = build_part(
            IngredientsTransformer3DModel, path, fields, drop_unknown=False
        )
    return model


def _load_whole(
    folder: Path, files: list[Path], stored: Shapes, *, dtype: torch.dtype
) -> IngredientsTransformer3DModel:
    model = build_transformer(folder)
    if any(name.startswith(_PUBLISHED_PREFIX) for name in stored):
        with explained(folder):
            key_map = published_key_map(model)
        check_shapes(folder, stored, {key_map[name]: shape for name, shape in shapes_of(model).items()})
        weights = from_published({name: tensor.to(dtype) for name, tensor in stored_tensors(files)}, model)
        model.load_state_dict(weights, assign=True)
        return model
    check_shapes(folder, stored, shapes_of(model))
    with explained(folder):
        fill(model, files, lambda _: dtype)
    return model


def _load_base(
    folder: Path, files: list[Path], identity: Path | None, *, dtype: torch.dtype, drop_positions: bool
) -> IngredientsTransformer3DModel:
    model = build_transformer(folder, identity=identity, drop_learned_positions=drop_positions)
    weights = {name: tensor.to(dtype) for name, tensor in stored_tensors(files)}
    has_learned_positions = model.config.use_learned_positional_embeddings
    try:
        load_base_weights(model, weights, drop_positional_embedding=not has_learned_positions)
    except ValueError as error:
        raise ModelFolderError(f"The weights in {folder} do not fit: {error}; copy the folder again.") from error
    if identity is not None:
        _fill_identity(model, read_identity_folder(identity), dtype=dtype)
    return model


def _fill_identity(model: IngredientsTransformer3DModel, beside: IdentityFolder, *, dtype: torch.dtype) -> None:
    stored, expected = stored_shapes([beside.weights]), shapes_of(model)
    of_the_base = {name for name, _ in model.base_parameters()} - set(stored)  # a file may replace some of the base's
    check_shapes(beside.folder, stored, {name: shape for name, shape in expected.items() if name not in of_the_base})
    weights = {name: tensor.to(dtype) for name, tensor in stored_tensors([beside.weights])}
    model.load_state_dict(weights, strict=False, assign=True)
    if beside.lora is not None:
        _add_lora(model, beside.lora)


def _add_lora(model: IngredientsTransformer3DModel, path: Path) -> None:
    stored_shapes([path])  # refuses what is no plain number
    tensors = dict(stored_tensors([path]))
    with explained(path):
        weights, config = normalise_lora(tensors, read_header(path), where=str(path))
    layers = {name for name, _ in model.named_modules()}
    _check_no_lora_is_lost(path, tensors, {name for name in weights if _layer(name) in layers})
    with explained(path):
        model.load_lora_adapter(weights, prefix=None, metadata=config, adapter_name=_LORA_ADAPTER)
        taken = get_peft_model_state_dict(model, adapter_name=_LORA_ADAPTER)
    _check_no_lora_is_lost(path, tensors, taken)


def _layer(lora_name: str) -> str:
    return lora_name.rpartition(".lora_")[0]


def _check_no_lora_is_lost(path: Path, names: Iterable[str], taken: Iterable[str]) -> None:
    has_place = {*taken, *(f"{_layer(name)}.alpha" for name in taken)}
    if lost := [name for name in names if plain_name(name) not in has_place]:
        raise ModelFolderError(f"The LoRA {path} is for another model: it has no place for {name_some(lost)}.")
