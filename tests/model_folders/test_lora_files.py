"""A LoRA has the scale that it was trained with, wherever its file says so."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.loaders.lora_base import LORA_ADAPTER_METADATA_KEY
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from safetensors.torch import save_file

from ingredients.core.errors import ModelFolderError
from ingredients.model_folders.lora_files import normalise_lora
from ingredients.model_folders.transformer import _add_lora
from ingredients.models.transformer_ingredients import IngredientsTransformer3DModel
from tests.pipelines.stand_ins import PROMPT, make_people, make_pipeline, make_transformer

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


@pytest.mark.parametrize("targets", [["attn1.to_v"], ["id_attn.to_q", "id_attn.to_kv", "id_attn.to_out"]])
def test_a_lora_of_the_pipeline_is_written_read_and_fused(tmp_path: Path, targets: list[str]) -> None:
    def latents() -> torch.Tensor:
        settings = {"num_inference_steps": 2, "generator": 7, "output_type": "latent"}
        return pipeline(prompt=PROMPT, people=make_people(2), **settings).frames

    pipeline = make_pipeline()
    without = latents()
    torch.manual_seed(3)
    config = LoraConfig(r=2, lora_alpha=3, target_modules=targets, init_lora_weights=False)
    pipeline.transformer.add_adapter(config, adapter_name="style")
    for name, parameter in pipeline.transformer.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(parameter, std=0.5)
    expected = latents()
    assert not torch.allclose(expected, without, rtol=1e-2, atol=1e-2)
    weights, metadata = get_peft_model_state_dict(pipeline.transformer, adapter_name="style"), config.to_dict()
    metadata["target_modules"] = sorted(metadata["target_modules"])
    pipeline.save_lora_weights(
        tmp_path, transformer_lora_layers=weights, transformer_lora_adapter_metadata={**metadata}
    )
    pipeline.unload_lora_weights()
    assert torch.equal(latents(), without)
    pipeline.load_lora_weights(tmp_path)
    torch.testing.assert_close(latents(), expected)
    pipeline.fuse_lora()
    torch.testing.assert_close(latents(), expected, rtol=1e-4, atol=1e-4)
    pipeline.unfuse_lora()
    torch.testing.assert_close(latents(), expected, rtol=1e-4, atol=1e-4)


DAMAGED = [
    ("<html>", "line 1, column 1"),
    ("[1]", "is damaged; copy"),
    ("[" * 100_000, "more than 64 lists and objects within each other"),
    ('{"r": NaN}', "holds NaN, which is no number"),
    ('{"r": 3, "alpha_pattern": [1]}', r"alpha_pattern=\[1\]"),
    ('{"r": 3, "use_rslora": "yes"}', "use_rslora=yes"),
    ('{"r": 3, "lora_alpha": "much"}', "lora_alpha=much, which is no scale"),
]


@pytest.mark.parametrize(("header", "message"), DAMAGED)
def test_a_damaged_header_is_one_sentence(tmp_path: Path, header: str, message: str) -> None:
    path = tmp_path / "lora.safetensors"
    save_file(lora(), path, metadata={LORA_ADAPTER_METADATA_KEY: header})
    for load in (
        lambda: make_pipeline().load_lora_weights(tmp_path, weight_name=path.name),
        lambda: _add_lora(make_transformer(), path),
    ):
        with pytest.raises(ModelFolderError, match=f"LoRA {path} .*{message}"):
            load()


@pytest.mark.parametrize("content", [b"", b"<html>", b"\xff" * 300])
def test_a_file_that_is_no_lora_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "lora.safetensors").write_bytes(content)
    with pytest.raises(ModelFolderError, match=r"lora\.safetensors cannot be read \(.*\); check its name, or copy"):
        make_pipeline().load_lora_weights(tmp_path, weight_name="lora.safetensors")
    with pytest.raises(ModelFolderError, match=r"nothing/here\.safetensors cannot be read"):
        make_pipeline().load_lora_weights("nothing/here.safetensors", local_files_only=True)


@pytest.mark.parametrize(
    "noise", [{"r": "many"}, {"r": None}, {"rank_pattern": [1]}, {"target_modules": 5}, {"from_the_future": 5}]
)
def test_ranks_and_layers_are_those_of_the_tensors_whatever_is_noted(tmp_path: Path, noise: dict[str, Any]) -> None:
    save_file(lora(), tmp_path / "lora.safetensors", metadata=noted(**{"lora_alpha": 6} | noise))
    pipeline = make_pipeline()
    pipeline.load_lora_weights(tmp_path, weight_name="lora.safetensors")
    assert scales(pipeline.transformer) == pytest.approx([2.0, 1.2])


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
