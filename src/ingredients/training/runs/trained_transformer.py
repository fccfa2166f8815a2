"""The transformer that training leaves, whole and plain: shards put together, adapters merged."""

import copy
from typing import cast

import torch
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from torch.distributed.tensor import DTensor

from ingredients.models import IngredientsTransformer3DModel


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
