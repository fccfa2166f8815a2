"""Golden files of the published code, and our modules with the weights that they were computed with."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import nn

from ingredients.models.state_dict_adapter import (
    config_from_published,
    from_published,
    published_key_map,
    published_name,
)
from ingredients.models.transformer_ingredients import IngredientsTransformer3DModel
from tests.golden import fill

GOLDEN = Path(__file__).parents[1] / "golden"
NUM_IDENTITIES, NUM_SCALES = 2, 5


class Golden:
    """One golden file: what the published code computed, and the settings it computed it with."""

    def __init__(self, name: str) -> None:
        with safe_open(GOLDEN / f"{name}.safetensors", "pt") as file:
            self.meta: dict[str, Any] = json.loads(file.metadata()["meta"])
            self.tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a dictionary

    def assert_close(self, key: str, actual: torch.Tensor, tolerance: float = 1e-4) -> None:
        """Fails unless `actual` is within `tolerance` times the root mean square of what was recorded."""
        error = self.relative_error(key, actual)
        assert error <= tolerance, f"{key}: max|d| is {error:.2e} of the rms"

    def relative_error(self, key: str, actual: torch.Tensor) -> float:
        expected = self.tensors[key]
        if actual.numel() != expected.numel():  # big files keep every so many values
            assert actual.numel() > self.meta["stride_above"]
            actual = actual.flatten()[:: self.meta["stride"]]
        assert actual.numel() == expected.numel()
        difference = actual.float().reshape(expected.shape) - expected
        return float(difference.abs().max() / expected.square().mean().sqrt())


def stream(number: int, *shape: int, scale: float = 1.0) -> torch.Tensor:
    return torch.from_numpy(fill.tensor(number, shape, scale))


def fill_module(module: nn.Module, prefix: str) -> None:
    """Fill one module, known to the whole model as `prefix`, by the sorted order of its published names."""
    names = {key: published_name(prefix + key, cross_attn_interval=1) for key in module.state_dict()}
    weights = fill.weights({names[key]: tensor.shape for key, tensor in module.state_dict().items()})
    module.load_state_dict({key: torch.from_numpy(weights[name]) for key, name in names.items()})


def golden_transformer(config: dict[str, Any], **overrides: Any) -> IngredientsTransformer3DModel:
    """Our transformer as the published code was built, guidance fault included, with the golden weights."""
    config = dict(config)
    arguments = config_from_published({k: v for k, v in config.items() if k != "small_ctor"})
    if "small_ctor" in config:
        arguments |= qformer_arguments(config["small_ctor"]["lfe"])
    arguments |= {"published_guidance_fault": True} | overrides
    with torch.device("meta"):
        model = IngredientsTransformer3DModel(**arguments)
    names = published_key_map(model)
    weights = fill.weights({names[key]: tensor.shape for key, tensor in model.state_dict().items()})
    renamed = from_published({key: torch.from_numpy(value) for key, value in weights.items()}, model)
    model.load_state_dict(renamed, assign=True)
    if not model.config.use_rotary_positional_embeddings:
        # Sine positions are computed, not loaded, so the meta device left none behind.
        rebuilt = IngredientsTransformer3DModel(**arguments)
        rebuilt.load_state_dict(renamed)
        model = rebuilt
    return model.eval().requires_grad_(False)


def qformer_arguments(ctor: dict[str, int]) -> dict[str, int]:
    names = {
        "dim": "id_qformer_dim",
        "depth": "id_qformer_depth",
        "dim_head": "id_qformer_head_dim",
        "heads": "id_qformer_num_heads",
        "num_id_token": "id_num_id_tokens",
        "num_queries": "id_num_queries",
        "output_dim": "id_token_dim",
        "ff_mult": "id_qformer_ff_mult",
    }
    return {names[key]: value for key, value in ctor.items()}


def golden_identities() -> tuple[torch.Tensor, list[torch.Tensor]]:
    """`id_embeds` (1, 2, 1280) and five hidden states (1, 2, 7, 1024) of the d_* files."""
    id_embeds = torch.stack([stream(100032 + n, 1, 1280) for n in range(NUM_IDENTITIES)], dim=1)
    hidden_states = [
        torch.stack([stream(100040 + NUM_SCALES * n + s, 1, 7, 1024) for n in range(NUM_IDENTITIES)], dim=1)
        for s in range(NUM_SCALES)
    ]
    return id_embeds, hidden_states


def golden_call(golden: Golden, rows: list[int]) -> dict[str, Any]:
    """Latents, text, time step and rotary positions of the d_* files for some batch elements."""
    rope = None
    if "in.rope_cos" in golden.tensors:
        rope = (golden.tensors["in.rope_cos"], golden.tensors["in.rope_sin"])
    return {
        "hidden_states": stream(100030, 2, 3, 32, 4, 6)[rows],
        "encoder_hidden_states": stream(100031, 2, 5, 40)[rows],
        "timestep": golden.tensors["in.timestep"][rows],
        "image_rotary_emb": rope,
    }
