"""bfloat16 training: where it applies, and how near it stays to float32."""

import pytest
import torch

from ingredients.models import mixed_precision as module
from ingredients.models.mixed_precision import mixed_precision, resolve_precision

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("capabilities", "precision"),
    [
        ({"avx512_bf16": True, "cpu_name": "AMD EPYC"}, "bfloat16"),
        ({"avx512_bf16": True, "cpu_name": "Intel Xeon"}, "float32"),
        ({"avx512_bf16": True, "amx_bf16": True, "cpu_name": "Intel Xeon"}, "bfloat16"),
        ({"avx2": True, "cpu_name": "AMD EPYC"}, "float32"),
        ({}, "float32"),
    ],
)
def test_auto_is_what_the_processor_is_good_at(
    monkeypatch: pytest.MonkeyPatch, capabilities: dict[str, object], precision: str
) -> None:
    monkeypatch.setattr(module.torch.cpu, "get_capabilities", lambda: capabilities)
    assert resolve_precision("auto", CPU) == precision
    assert resolve_precision("float32", CPU) == "float32"
    assert resolve_precision("bfloat16", CPU) == "bfloat16"


def test_bfloat16_computes_roughly_what_float32_does_and_gives_float32_gradients() -> None:
    generator = torch.Generator().manual_seed(3)
    layer = torch.nn.Linear(16, 24)
    inputs = torch.randn(2, 5, 16, generator=generator)
    results = []
    for precision in ("float32", "bfloat16"):
        layer.zero_grad()
        with mixed_precision(precision, CPU):
            query, key, value = layer(inputs).chunk(3, dim=-1)
            output = torch.nn.functional.scaled_dot_product_attention(query, key, value)
        output.float().square().mean().backward()
        assert layer.weight.grad is not None
        assert layer.weight.grad.dtype == torch.float32
        results.append((output, layer.weight.grad.clone()))
    assert results[1][0].dtype == torch.bfloat16
    torch.testing.assert_close(results[0][0], results[1][0].float(), atol=0.02, rtol=0.02)
    torch.testing.assert_close(results[0][1], results[1][1], atol=0.01, rtol=0.05)
