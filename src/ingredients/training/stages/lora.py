"""LoRA through peft, with a cheaper exact form of its forward where a rank is large for the width.

peft computes `W x + B (A x)`. Without dropout that equals `(W + B A) x`, which takes one small product of matrices a
step, and in the backward pass the gradient of the whole matrix. The way through A and B costs three products with each
of them. At a rank of half the width, as a narrow transformer needs, that is more than the layer itself; at the
published width of 3072 and a rank of 128 it is a quarter of one gradient.
"""

import copy
import functools
from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from peft import LoraConfig
from peft.tuners.lora import Linear as LoraLinear
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from torch.distributed.tensor import DTensor

from ingredients.core.errors import UserInputError
from ingredients.models import IngredientsTransformer3DModel
from ingredients.training.stages.settings import LORA_MODULES


def add_lora(
    transformer: IngredientsTransformer3DModel, rank: int, *, modules: Sequence[str] = LORA_MODULES
) -> dict[str, torch.nn.Parameter]:
    """Freezes the transformer and adds a LoRA to its blocks.

    Args:
        transformer: changed in place.
        rank: the rank of A and B; their product is scaled by 1.
        modules: which modules of a block have one, by the ends of their names.

    Returns:
        The LoRA's parameters by name: all that can still be trained.

    Raises:
        UserInputError: if no module has such a name.
    """
    transformer.requires_grad_(False)
    try:
        transformer.add_adapter(LoraConfig(r=rank, lora_alpha=rank, target_modules=list(modules)))
    except ValueError as error:
        raise UserInputError(
            f"The transformer has no modules named {', '.join(modules)}, so none can have a LoRA ({error}); the usual "
            f"ones are {', '.join(LORA_MODULES)}."
        ) from error
    for module in transformer.modules():
        if isinstance(module, LoraLinear) and _is_cheaper_summed(module):
            module.forward = functools.partial(_summed_forward, module)
    return {name: parameter for name, parameter in transformer.named_parameters() if parameter.requires_grad}


def _is_cheaper_summed(layer: LoraLinear) -> bool:
    (adapter,) = layer.active_adapters
    out_features, in_features = layer.get_base_layer().weight.shape
    return bool(3 * layer.r[adapter] * (in_features + out_features) > in_features * out_features)


def _summed_forward(layer: LoraLinear, hidden_states: torch.Tensor) -> torch.Tensor:
    (adapter,) = layer.active_adapters
    base, down, up = layer.get_base_layer(), layer.lora_A[adapter].weight, layer.lora_B[adapter].weight
    weight = torch.addmm(base.weight, up, down, alpha=layer.scaling[adapter])
    return F.linear(hidden_states, weight, base.bias)


def exported_transformer(transformer: IngredientsTransformer3DModel) -> IngredientsTransformer3DModel | None:
    """A copy on the processor with its LoRA merged into the weights.

    Where the weights are in shards every process must call it, and only the first one gets the copy; where they are
    not, only the first one needs it.
    """
    merged = _whole_copy(transformer)
    if merged is not None and getattr(merged, "peft_config", None):
        merged.fuse_lora()
        merged.unload_lora()
    return merged


def _whole_copy(transformer: IngredientsTransformer3DModel) -> IngredientsTransformer3DModel | None:
    is_first = not torch.distributed.is_initialized() or torch.distributed.get_rank() == 0
    if not any(isinstance(parameter, DTensor) for parameter in transformer.parameters()):
        return _copy(transformer) if is_first else None
    options = StateDictOptions(full_state_dict=True, cpu_offload=True)
    weights = get_model_state_dict(transformer, options=options)
    if not is_first:
        return None
    whole = cast(IngredientsTransformer3DModel, IngredientsTransformer3DModel.from_config(transformer.config))
    for name, config in getattr(transformer, "peft_config", {}).items():
        whole.add_adapter(config, adapter_name=name)
    whole.load_state_dict(weights, assign=True)  # each in the precision that it has
    return whole


def _copy(transformer: IngredientsTransformer3DModel) -> IngredientsTransformer3DModel:
    compiled = {block: block.forward for block in transformer.transformer_blocks if "forward" in vars(block)}
    transformer.uncompile_repeated_blocks()  # what is compiled cannot be copied
    try:
        copied: IngredientsTransformer3DModel = copy.deepcopy(transformer).to("cpu")
        return copied
    finally:
        for block, forward in compiled.items():
            block.forward = forward
