"""A LoRA has the scale that it was trained with, wherever its file says so."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.loaders.lora_base import LORA_ADAPTER_METADATA_KEY
from safetensors.torch import save_file

from ingredients.core.errors import ModelFolderError
from ingredients.model_folders.lora_files import normalise_lora
from ingredients.model_folders.transformer import _add_lora
from ingredients.models.transformer_ingredients import IngredientsTransformer3DModel
from tests.pipelines.stand_ins import make_pipeline, make_transformer

LAYERS = ("transformer_blocks.0.attn1.to_q", "transformer_blocks.1.attn1.to_out.0")
RANKS = (3, 5)
WIDTH = 32


def lora(*, prefix: str = "", down: str = "lora_A", up: str = "lora_B") -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    weights = {}
    for layer, rank in zip(LAYERS, RANKS, strict=True):
        weights[f"{prefix}{layer}.{down}.weight"] = torch.randn(rank, WIDTH, generator=generator)
        weights[f"{prefix}{layer}.{up}.weight"] = torch.randn(WIDTH, rank, generator=generator)
    return weights


def alphas(prefix: str = "", *, first: float = 6.0, second: float = 2.5) -> dict[str, torch.Tensor]:
    return {
        f"{prefix}{layer}.alpha": torch.tensor(value) for layer, value in zip(LAYERS, (first, second), strict=True)
    }


def noted(prefix: str = "", **config: Any) -> dict[str, str]:
    values = {"target_modules": list(LAYERS), "r": RANKS[0], "rank_pattern": {LAYERS[1]: RANKS[1]}} | config
    return {LORA_ADAPTER_METADATA_KEY: json.dumps({f"{prefix}{name}": value for name, value in values.items()})}


def scales(transformer: IngredientsTransformer3DModel) -> list[float]:
    layers = [transformer.get_submodule(layer) for layer in LAYERS]
    return [next(iter(layer.scaling.values())) for layer in layers]


CASES = [
    (lora(), {}, [1.0, 1.0]),
    (lora(prefix="transformer."), {}, [1.0, 1.0]),
    (lora() | alphas(), {}, [2.0, 0.5]),
    (lora(prefix="transformer.") | alphas("transformer."), {}, [2.0, 0.5]),
    (lora(prefix="diffusion_model.", down="lora_down", up="lora_up") | alphas("diffusion_model."), {}, [2.0, 0.5]),
    (lora(prefix="base_model.model."), {"lora_alpha": "6"}, [2.0, 1.2]),
    (lora(), {"ss_network_alpha": "15.0"}, [5.0, 3.0]),
    (lora(), {"format": "pt"}, [1.0, 1.0]),
    (lora(), noted(lora_alpha=6, alpha_pattern={LAYERS[1]: 10}), [2.0, 2.0]),
    (lora(prefix="transformer."), noted("transformer.", lora_alpha=6), [2.0, 1.2]),
    (lora(prefix="transformer."), noted(lora_alpha=6), [2.0, 1.2]),
    (lora(), noted("transformer.", lora_alpha=6), [2.0, 1.2]),
    (lora() | alphas(), noted(lora_alpha=1), [2.0, 0.5]),
]


@pytest.mark.parametrize(("tensors", "header", "expected"), CASES)
def test_a_file_beside_a_base_keeps_its_scale(
    tmp_path: Path, tensors: dict[str, torch.Tensor], header: dict[str, str], expected: list[float]
) -> None:
    save_file(tensors, tmp_path / "lora.safetensors", metadata=header)
    transformer = make_transformer()
    _add_lora(transformer, tmp_path / "lora.safetensors")
    assert scales(transformer) == pytest.approx(expected)
    weight = transformer.get_submodule(LAYERS[0]).lora_A["identity"].weight
    assert torch.equal(weight, next(iter(tensors.values())))


@pytest.mark.parametrize(("tensors", "header", "expected"), CASES[::2])
def test_load_lora_weights_keeps_its_scale(
    tmp_path: Path, tensors: dict[str, torch.Tensor], header: dict[str, str], expected: list[float]
) -> None:
    save_file(tensors, tmp_path / "lora.safetensors", metadata=header)
    pipeline = make_pipeline()
    pipeline.load_lora_weights(tmp_path, weight_name="lora.safetensors", adapter_name="style")
    assert scales(pipeline.transformer) == pytest.approx(expected)
    pipeline.unload_lora_weights()
    pipeline.load_lora_weights(str(tmp_path / "lora.safetensors"))
    assert scales(pipeline.transformer) == pytest.approx(expected)
    if not header:
        pipeline.unload_lora_weights()
        pipeline.load_lora_weights(tensors)
        assert scales(pipeline.transformer) == pytest.approx(expected)


def test_alphas_of_layers_that_are_not_there_are_another_models(tmp_path: Path) -> None:
    stranger = lora() | {"transformer_blocks.7.attn1.to_q.alpha": torch.tensor(2.0)}
    save_file(stranger, tmp_path / "lora.safetensors")
    with pytest.raises(ModelFolderError, match=r"no place for transformer_blocks\.7\.attn1\.to_q\.alpha"):
        _add_lora(make_transformer(), tmp_path / "lora.safetensors")


@pytest.mark.parametrize(
    ("tensors", "header", "message"),
    [
        (lora() | alphas(first=float("nan")), {}, r"to_q\.alpha=nan, which is no scale"),
        (lora() | alphas(second=0.0), {}, r"to_out\.0\.alpha=0\.0, which is no scale"),
        (lora(), {"lora_alpha": "much"}, "lora_alpha=much, which is no scale"),
        (lora(), {LORA_ADAPTER_METADATA_KEY: "<html>"}, "header of the LoRA here is damaged"),
        (lora(), {LORA_ADAPTER_METADATA_KEY: "[1]"}, "header of the LoRA here is damaged"),
    ],
)
def test_scales_that_are_none_are_refused(
    tensors: dict[str, torch.Tensor], header: dict[str, str], message: str
) -> None:
    with pytest.raises(ModelFolderError, match=message):
        normalise_lora(tensors, header, where="here")
