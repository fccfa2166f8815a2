import torch
from peft.tuners.lora import Linear as LoraLinear

from ingredients.training.lora import add_lora
from tests.training.conftest import TinyWorld


def test_the_summed_form_equals_pefts_in_value_and_gradient(tiny_world: TinyWorld) -> None:
    transformer = tiny_world.transformer()
    parameters = add_lora(transformer, rank=3)
    layers = [module for module in transformer.modules() if isinstance(module, LoraLinear)]
    assert len(layers) == 6 * len(transformer.transformer_blocks)
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
