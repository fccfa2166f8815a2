"""LoRA files of whatever trainer: names, ranks and scales as diffusers' loader wants them.

| where the scale stands | who writes it so |
|---|---|
| `lora_adapter_metadata` in the file's header | diffusers |
| a tensor `<layer>.alpha` for each layer | kohya's scripts, and what was converted from them |
| `lora_alpha`, `alpha` or `ss_network_alpha` in the header | other trainers |
| nowhere: alpha is the rank, and the scale 1 | diffusers' example scripts |
"""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers.loaders.lora_base import LORA_ADAPTER_METADATA_KEY
from safetensors import safe_open

from ingredients.core.errors import ModelFolderError
from ingredients.core.json_yaml import NotPlainError, parse_json

_PREFIXES = ("base_model.model.", "transformer.", "diffusion_model.")
_HEADER_ALPHAS = ("lora_alpha", "alpha", "ss_network_alpha")
_SWITCHES = ("use_rslora", "use_dora", "lora_bias")
"""What else in a noted config decides what weights mean; ranks and layers are those of the tensors."""

_PEFT_ALPHA = 8
_ALPHA = ".alpha"
_UP = ".lora_B.weight"
_RENAMED = {".lora_down.": ".lora_A.", ".lora_up.": ".lora_B.", ".lora.down.": ".lora_A.", ".lora.up.": ".lora_B."}


def read_header(path: Path) -> dict[str, str]:
    """What a safetensors file says about itself."""
    with safe_open(path, framework="pt") as file:
        return dict(file.metadata() or {})


def normalise_lora(
    tensors: Mapping[str, torch.Tensor], header: Mapping[str, str], *, where: str
) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """A LoRA by plain names, and the arguments of the `LoraConfig` that it was trained with.

    Args:
        tensors: the tensors of a file.
        header: the header of the file.
        where: what errors call it.

    Raises:
        ModelFolderError: if a scale is no number.
    """
    weights: dict[str, torch.Tensor] = {}
    alphas: dict[str, float] = {}
    for name, tensor in tensors.items():
        plain = plain_name(name)
        if plain.endswith(_ALPHA):
            alphas[plain.removesuffix(_ALPHA)] = _number(plain, tensor.item() if tensor.numel() == 1 else None, where)
        else:
            weights[plain] = tensor
    ranks = {name.removesuffix(_UP): tensor.shape[1] for name, tensor in weights.items() if name.endswith(_UP)}
    config: dict[str, Any] = {"target_modules": sorted(ranks)}
    noted = _config_in_header(header, where)
    if noted is None:
        alpha = next((_number(key, header[key], where) for key in _HEADER_ALPHAS if key in header), None)
        of_layers = {layer: rank if alpha is None else alpha for layer, rank in ranks.items()}
        config["lora_bias"] = any(name.endswith("lora_B.bias") for name in weights)
    else:
        of_layers = {layer: _noted_alpha(noted, layer, where) for layer in ranks}
        config |= {switch: _truth(switch, noted[switch], where) for switch in _SWITCHES if switch in noted}
    config |= _with_pattern("r", "rank_pattern", ranks) | _with_pattern(
        "lora_alpha", "alpha_pattern", of_layers | alphas
    )
    return weights, config


def plain_name(name: str) -> str:
    """What a tensor is called without a trainer's prefix, and by peft's words."""
    for prefix in _PREFIXES:
        name = name.removeprefix(prefix)
    for theirs, ours in _RENAMED.items():
        name = name.replace(theirs, ours)
    return name


def _config_in_header(header: Mapping[str, str], where: str) -> dict[str, Any] | None:
    """What diffusers notes, by plain names; None where there is nothing."""
    if not header.get(LORA_ADAPTER_METADATA_KEY):
        return None
    try:
        noted = parse_json(header[LORA_ADAPTER_METADATA_KEY])
    except NotPlainError as error:
        raise ModelFolderError(f"The header of the LoRA {where} is damaged ({error}); copy the file again.") from error
    if not isinstance(noted, dict):
        raise ModelFolderError(f"The header of the LoRA {where} is damaged; copy the file again.")
    config = {key.removeprefix("transformer."): value for key, value in noted.items()}
    return config if "r" in config else None


def _noted_alpha(noted: Mapping[str, Any], layer: str, where: str) -> float:
    """The value of the pattern that ends the layer's name, as in peft, or that of all: 8 where peft left it."""
    pattern = noted.get("alpha_pattern") or {}
    if not isinstance(pattern, dict):
        raise _no_value("alpha_pattern", pattern, where)
    for name, alpha in pattern.items():
        end = name.removeprefix("transformer.").removeprefix("^").replace("\\.", ".")
        if f".{layer}".endswith(f".{end}"):
            return _number(name, alpha, where)
    return _number("lora_alpha", noted.get("lora_alpha", _PEFT_ALPHA), where)


def _truth(name: str, value: Any, where: str) -> bool:
    if not isinstance(value, bool):
        raise _no_value(name, value, where)
    return value


def _no_value(name: str, value: Any, where: str) -> ModelFolderError:
    return ModelFolderError(
        f"The header of the LoRA {where} is damaged ({name}={str(value)[:40]}); copy the file again."
    )


def _with_pattern(field: str, pattern: str, values: Mapping[str, float]) -> dict[str, Any]:
    """The commonest value, and where others are."""
    if not values:
        return {}
    commonest = Counter(values.values()).most_common(1)[0][0]
    return {field: commonest, pattern: {layer: value for layer, value in values.items() if value != commonest}}


def _number(name: str, value: Any, where: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = -1.0
    if not 0 < number < float("inf"):
        raise ModelFolderError(
            f"The LoRA {where} has {name}={str(value)[:40]}, which is no scale; copy the file again."
        )
    return number
