"""LoRA through peft, with a cheaper exact form of its forward where a rank is large for the width.

peft computes `W x + B (A x)`. Without dropout that equals `(W + B A) x`, which takes one small product of matrices a
step, and in the backward pass the gradient of the whole matrix. The way through A and B costs three products with each
of them. At a rank of half the width, as a narrow transformer needs, that is more than the layer itself; at the
published width of 3072 and a rank of 128 it is a quarter of one gradient.
"""

import functools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from peft import LoraConfig
from peft.tuners.lora import Linear as LoraLinear

from ingredients.core.errors import UserInputError
from ingredients.models import IngredientsTransformer3DModel

LORA_MODULES = ("attn1.to_q", "attn1.to_k", "attn1.to_v", "attn1.to_out.0", "ff.net.0.proj", "ff.net.2")


def add_lora(
    transformer: IngredientsTransformer3DModel, rank: int, *, modules: Sequence[str] = LORA_MODULES
) -> dict[str, torch.nn.Parameter]:
    """Freezes the transformer and adds a LoRA to its blocks.

    Args:
        transformer: changed in place.
        rank: of A and B; their product is scaled by 1.
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
