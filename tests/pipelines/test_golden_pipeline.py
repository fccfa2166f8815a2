"""The denoising loop computes what the published code computes, draw by draw and step by step."""

import json
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from diffusers.schedulers import scheduling_dpm_cogvideox
from safetensors import safe_open
from safetensors.torch import load_file

from ingredients.models.state_dict_adapter import config_from_published, from_published, published_key_map
from ingredients.models.transformer_ingredients import IngredientsTransformer3DModel
from ingredients.pipelines.people import PeopleEmbeds
from ingredients.pipelines.pipeline_ingredients import IngredientsPipeline
from tests.golden import fill

GOLDEN = Path(__file__).parents[1] / "golden" / "e_pipeline.safetensors"
CASES = ("dpm3", "dpm3_nocfg", "dpm3_dyncfg", "dpm4", "ddim3")
TOLERANCE = 2e-4  # of the root mean square
HEIGHT, WIDTH, NUM_FRAMES = 32, 48, 9
INPUT_STREAM = 100_000


@pytest.fixture(scope="module")
def golden() -> dict[str, torch.Tensor]:
    return load_file(GOLDEN)


@pytest.fixture(scope="module")
def meta() -> dict[str, Any]:
    with safe_open(GOLDEN, framework="pt") as file:
        return dict(json.loads(file.metadata()["meta"]))


@pytest.fixture(scope="module")
def vae(meta: dict[str, Any]) -> diffusers.AutoencoderKLCogVideoX:
    vae = diffusers.AutoencoderKLCogVideoX(**meta["vae"])
    _fill(vae, {name: name for name in vae.state_dict()})
    return vae.eval()


@pytest.fixture(scope="module")
def transformer(meta: dict[str, Any]) -> IngredientsTransformer3DModel:
    return make_transformer(meta)


def make_transformer(meta: dict[str, Any], **changes: Any) -> IngredientsTransformer3DModel:
    lfe = meta["small_ctor"]["lfe"]
    config = config_from_published(meta["config"]) | {
        "rope_base_height": 30,  # the published grid, whatever the size
        "rope_base_width": 45,
        "id_mapping_dim": 1024,
        "id_qformer_dim": lfe["dim"],
        "id_qformer_depth": lfe["depth"],
        "id_qformer_num_heads": lfe["heads"],
        "id_qformer_head_dim": lfe["dim_head"],
        "id_qformer_ff_mult": lfe["ff_mult"],
        "id_num_id_tokens": lfe["num_id_token"],
        "id_num_queries": lfe["num_queries"],
        "id_token_dim": lfe["output_dim"],
        "published_guidance_fault": True,
    }
    transformer = IngredientsTransformer3DModel(**(config | changes))
    _fill(transformer, published_key_map(transformer))
    return transformer.eval()


def _fill(module: torch.nn.Module, published_names: dict[str, str]) -> None:
    shapes = {published_names[name]: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    weights = {name: torch.from_numpy(array) for name, array in fill.weights(shapes).items()}
    if isinstance(module, IngredientsTransformer3DModel):
        weights = from_published(weights, module)
    module.load_state_dict(weights)


def make_pipeline(
    meta: dict[str, Any], case: str, vae: diffusers.AutoencoderKLCogVideoX, transformer: IngredientsTransformer3DModel
) -> IngredientsPipeline:
    scheduler = getattr(diffusers, meta["cases"][case]["scheduler_class"])(**meta["scheduler"])
    pipeline = IngredientsPipeline(
        tokenizer=None, text_encoder=None, vae=vae, transformer=transformer, scheduler=scheduler
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def make_inputs(meta: dict[str, Any], case: str) -> dict[str, Any]:
    def tensor(stream: int, *shape: int) -> torch.Tensor:
        return torch.from_numpy(fill.tensor(INPUT_STREAM + stream, shape))

    settings = meta["cases"][case]
    vit_hidden_states = [[tensor(40 + 5 * n + i, 7, 1024) for i in range(5)] for n in range(2)]
    return {
        "canvas": np.floor((fill.tensor(INPUT_STREAM + 70, (HEIGHT, WIDTH, 3)) + 1.0) * 127.5).astype(np.uint8),
        "prompt_embeds": tensor(71, 1, 5, 40),
        "negative_prompt_embeds": tensor(72, 1, 5, 40),
        "people": PeopleEmbeds(
            id_embeds=torch.cat([tensor(32, 1, 1280), tensor(33, 1, 1280)]),
            id_vit_hidden_states=[torch.stack(states) for states in zip(*vit_hidden_states, strict=True)],
        ),
        "height": HEIGHT,
        "width": WIDTH,
        "num_frames": NUM_FRAMES,
        "num_inference_steps": settings["steps"],
        "guidance_scale": settings["guidance"],
        "use_dynamic_cfg": settings["use_dynamic_cfg"],
        "generator": settings["seed"],
        "output_type": "latent",
    }


def record_steps(pipeline: IngredientsPipeline, inputs: dict[str, Any]) -> list[torch.Tensor]:
    steps: list[torch.Tensor] = []

    def callback(_: object, step: int, timestep: object, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        steps.append(tensors["latents"].clone())
        return {}

    final = pipeline(**inputs, callback_on_step_end=callback).frames
    assert torch.equal(final, steps[-1])
    return steps


def relative_error(actual: torch.Tensor, expected: torch.Tensor) -> float:
    assert actual.shape == expected.shape
    return float((actual - expected).abs().max() / expected.square().mean().sqrt())


@pytest.mark.parametrize("case", CASES)
def test_every_step_is_the_published_one(
    case: str,
    meta: dict[str, Any],
    golden: dict[str, torch.Tensor],
    vae: diffusers.AutoencoderKLCogVideoX,
    transformer: IngredientsTransformer3DModel,
) -> None:
    pipeline = make_pipeline(meta, case, vae, transformer)
    steps = record_steps(pipeline, make_inputs(meta, case))
    assert len(steps) == meta["cases"][case]["steps"]
    assert torch.equal(pipeline.scheduler.timesteps, golden[f"{case}.timesteps"])
    for index, latents in enumerate(steps):
        assert relative_error(latents, golden[f"{case}.latents_after_step{index}"]) <= TOLERANCE


def test_the_fault_is_a_switch(
    meta: dict[str, Any], golden: dict[str, torch.Tensor], vae: diffusers.AutoencoderKLCogVideoX
) -> None:
    transformer = make_transformer(meta, published_guidance_fault=False)
    guided = record_steps(make_pipeline(meta, "dpm3", vae, transformer), make_inputs(meta, "dpm3"))
    assert relative_error(guided[-1], golden["dpm3.latents_after_step2"]) > 0.01
    alone = record_steps(make_pipeline(meta, "dpm3_nocfg", vae, transformer), make_inputs(meta, "dpm3_nocfg"))
    assert relative_error(alone[-1], golden["dpm3_nocfg.latents_after_step2"]) <= TOLERANCE


def test_one_generator_draws_posterior_noise_and_scheduler_noises_in_this_order(
    meta: dict[str, Any],
    golden: dict[str, torch.Tensor],
    vae: diffusers.AutoencoderKLCogVideoX,
    transformer: IngredientsTransformer3DModel,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn: list[torch.Tensor] = []
    draw = scheduling_dpm_cogvideox.randn_tensor

    def record(*args: Any, **kwargs: Any) -> torch.Tensor:
        drawn.append(draw(*args, **kwargs))
        return drawn[-1]

    monkeypatch.setattr(scheduling_dpm_cogvideox, "randn_tensor", record)
    record_steps(make_pipeline(meta, "dpm4", vae, transformer), make_inputs(meta, "dpm4"))
    expected = [golden[f"dpm4.sched_noise{index}"] for index in range(6)]  # one, two, two and one
    assert len(drawn) == len(expected)
    for noise, published in zip(drawn, expected, strict=True):
        assert torch.equal(noise, published)


def test_the_canvas_is_sampled_into_the_first_latent_frame(
    meta: dict[str, Any],
    golden: dict[str, torch.Tensor],
    vae: diffusers.AutoencoderKLCogVideoX,
    transformer: IngredientsTransformer3DModel,
) -> None:
    seen: list[torch.Tensor] = []
    hook = transformer.register_forward_pre_hook(
        lambda module, args, kwargs: seen.append(kwargs["hidden_states"]), with_kwargs=True
    )
    record_steps(make_pipeline(meta, "dpm3", vae, transformer), make_inputs(meta, "dpm3"))
    hook.remove()
    noise, image_latents = seen[0].split(16, dim=2)
    for half in (0, 1):  # negative, positive
        assert torch.equal(noise[half], golden["init_latents"][0])
        assert relative_error(image_latents[half], golden["image_latents"][0]) <= TOLERANCE
    assert (image_latents[:, 1:] == 0).all()
    assert all(torch.equal(step[:, :, 16:], seen[0][:, :, 16:]) for step in seen)
