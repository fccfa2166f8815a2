"""The LoRAs of runs that went on from each other, as one LoRA on the base that the first of them began with.

Each run merges the LoRA of the run before it: `W_2 = W + B_1 A_1 + B_2 A_2`. That is one LoRA of the ranks' sum,
`[B_1, B_2] [A_1; A_2]`, exactly: no run scales its product (`add_lora`), so the joined one is not scaled either.

Legend: R rank, I/O widths in and out of a module.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from peft import LoraConfig

from ingredients.core.errors import UserInputError
from ingredients.model_folders.weight_files import DIFFUSERS_WEIGHTS, stored_tensors, weight_files
from ingredients.models import IngredientsTransformer3DModel

Adapter = dict[str, tuple[torch.Tensor, torch.Tensor]]
"""The matrices A (R, I) and B (O, R), by the name of a module."""

_NAME = re.compile(r"(?P<module>.+)\.lora_(?P<side>[AB])\.[^.]+\.weight")
_ROUNDINGS = 16
"""Roundings of float32 that summing in another order may cost."""


def adapter_of(averages: Mapping[str, torch.Tensor]) -> Adapter:
    """The LoRA among the weights that a run trained."""
    sides: dict[str, dict[str, torch.Tensor]] = {}
    for name, tensor in averages.items():
        if match := _NAME.fullmatch(name):
            sides.setdefault(match["module"], {})[match["side"]] = tensor
    return {module: (each["A"], each["B"]) for module, each in sides.items()}


def join_adapters(adapters: Sequence[Adapter]) -> Adapter:
    """LoRAs that were merged one after the other, as one."""
    joined: Adapter = {}
    for adapter in adapters:
        for module, (down, up) in adapter.items():
            if module in joined:
                first_down, first_up = joined[module]
                down, up = torch.cat([first_down, down]), torch.cat([first_up, up], dim=1)  # (R, I), (O, R)
            joined[module] = (down, up)
    return joined


def add_adapter(transformer: IngredientsTransformer3DModel, adapter: Adapter) -> None:
    """Adds a LoRA with these weights, unscaled, to a transformer that has none; modules may differ in rank."""
    ranks = {module: down.shape[0] for module, (down, _) in adapter.items()}
    rank = Counter(ranks.values()).most_common(1)[0][0]
    others = {module: each for module, each in ranks.items() if each != rank}
    transformer.add_adapter(
        LoraConfig(
            r=rank, lora_alpha=rank, target_modules=sorted(adapter), rank_pattern=others, alpha_pattern=dict(others)
        )
    )
    with torch.no_grad():
        for module, (down, up) in adapter.items():
            layer = transformer.get_submodule(module)
            layer.lora_A["default"].weight.copy_(down)
            layer.lora_B["default"].weight.copy_(up)


def trained_beside(
    base: Path, merged: IngredientsTransformer3DModel, adapter: Adapter, *, run_dtype: torch.dtype
) -> list[str]:
    """Names of the base's own weights that were trained beside the LoRA, such as the patch embedding's.

    Args:
        base: Folder of the base's transformer.
        merged: What training made of it.
        adapter: All LoRAs that were merged.
        run_dtype: Of the weights while they were trained.

    Raises:
        UserInputError: If the base and the LoRA do not add up to the merged weights.
    """
    weights = merged.state_dict()
    tolerance = max(_ROUNDINGS * torch.finfo(torch.float32).eps, 2 * torch.finfo(run_dtype).eps)
    trained = []
    for name, tensor in stored_tensors(weight_files(base, DIFFUSERS_WEIGHTS)):
        if name not in weights:
            continue  # learned positions that were dropped
        found, expected = weights[name].float(), tensor.to(run_dtype).float()
        module = name.removesuffix(".weight")
        if module in adapter:
            down, up = adapter[module]
            expected = torch.addmm(expected, up.float(), down.float())
            if (found - expected).abs().max() > tolerance * found.abs().max():
                raise UserInputError(
                    f"The base {base} and the LoRAs of the runs do not add up to what was trained (first difference: "
                    f"{name}): a run was trained on after the next one began, or the base is another one; export with "
                    "--layout ours."
                )
        elif found.shape != expected.shape or not torch.equal(found, expected):
            trained.append(name)
    return trained
