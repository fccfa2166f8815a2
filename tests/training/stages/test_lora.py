import functools

import pytest
import torch
from peft.tuners.lora import Linear as LoraLinear
from torch.utils.flop_counter import FlopCounterMode

from ingredients.training.stages.lora import _summed_forward, add_lora
from tests.training.conftest import TinyWorld


def test_the_summed_form_equals_pefts_in_value_and_gradient(tiny_world: TinyWorld) -> None:
    transformer = tiny_world.transformer()
    parameters = add_lora(transformer, rank=16)
    layers = [module for module in transformer.modules() if isinstance(module, LoraLinear)]
    assert len(layers) == 6 * len(transformer.transformer_blocks)
    assert all("forward" in vars(layer) for layer in layers)
    for layer in layers[:6]:
        down, up = layer.lora_A["default"].weight, layer.lora_B["default"].weight
        torch.nn.init.normal_(up)
        hidden_states = torch.randn(2, 5, layer.in_features)
        outputs, gradients = [], []
        for forward in (layer.forward, lambda states, layer=layer: LoraLinear.forward(layer, states)):
            output = forward(hidden_states)
            outputs.append(output)
            gradients.append(torch.autograd.grad(output.square().sum(), (down, up)))
        torch.testing.assert_close(*outputs)
        for first, second in zip(*gradients, strict=True):
            torch.testing.assert_close(first, second, atol=1e-3, rtol=1e-4)
    assert all(".lora_" in name for name in parameters)


@pytest.mark.parametrize(("rank", "is_summed"), [(2, False), (5, False), (6, True), (16, True)])
def test_the_cheaper_form_is_taken(tiny_world: TinyWorld, rank: int, is_summed: bool) -> None:
    """Width 32; over enough tokens for the sum of the matrices itself not to matter."""
    transformer = tiny_world.transformer()
    add_lora(transformer, rank)
    layer = transformer.transformer_blocks[0].attn1.to_q
    hidden_states = torch.randn(1, 2000, 32, requires_grad=True)
    costs = []
    for forward in (functools.partial(LoraLinear.forward, layer), functools.partial(_summed_forward, layer)):
        with FlopCounterMode(display=False) as counter:
            forward(hidden_states).sum().backward()
        costs.append(counter.get_total_flops())
    assert (costs[1] < costs[0]) == is_summed == ("forward" in vars(layer))
