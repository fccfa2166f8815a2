"""What diffusers offers for a transformer works on ours, identities included."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.hooks import ModelHook, add_hook_to_module
from diffusers import CogVideoXTransformer3DModel
from diffusers.hooks import FirstBlockCacheConfig
from diffusers.hooks.group_offloading import ModuleGroup
from diffusers.models.attention_dispatch import AttentionBackendName, _AttentionBackendRegistry
from peft import LoraConfig

from ingredients.models.transformer_ingredients import LORA_TARGETS, IngredientsTransformer3DModel
from tests.models.tiny import CONFIG, tiny_call, tiny_identities, tiny_transformer

NUM_IDENTITIES = 3


def generate(model: IngredientsTransformer3DModel, form: Any = "plain", **overrides: Any) -> Any:
    features = model.prepare_identities(*tiny_identities(2, NUM_IDENTITIES), form=form)
    return model(**tiny_call(2) | overrides, identity_features=features)


@pytest.fixture
def model() -> IngredientsTransformer3DModel:
    return tiny_transformer(cross_attn_interval=2).requires_grad_(False)


def test_without_identities_it_is_cogvideox_bit_for_bit() -> None:
    ours = tiny_transformer(identity_modules=False)
    theirs = CogVideoXTransformer3DModel(**{k: v for k, v in CONFIG.items() if not k.startswith(("id_", "rout"))})
    theirs.load_state_dict(ours.state_dict())
    with torch.no_grad():
        assert torch.equal(ours(**tiny_call(2)).sample, theirs.eval()(**tiny_call(2)).sample)


def test_temporal_patches_as_in_cogvideox_1_5() -> None:
    config = {"patch_size_t": 3, "identity_modules": False, "ofs_embed_dim": 12}
    ours = tiny_transformer(**config)
    base = {k: v for k, v in CONFIG.items() if not k.startswith(("id_", "rout"))}
    theirs = CogVideoXTransformer3DModel(**base | {"patch_size_t": 3, "ofs_embed_dim": 12})
    theirs.load_state_dict(ours.state_dict())
    call = tiny_call(2) | {"ofs": torch.full((1,), 2.0)}
    cosines, sines = call["image_rotary_emb"]
    call["image_rotary_emb"] = (cosines[:10], sines[:10])  # one temporal patch
    with torch.no_grad():
        assert torch.equal(ours(**call).sample, theirs.eval()(**call).sample)


def test_save_and_load(model: IngredientsTransformer3DModel, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path)
    loaded = IngredientsTransformer3DModel.from_pretrained(tmp_path)
    saved = {field: value for field, value in model.config.items() if not field.startswith("_")}
    assert {field: loaded.config[field] for field in saved} == saved
    assert loaded.config.num_layers == CONFIG["num_layers"]
    assert torch.equal(generate(loaded).sample, generate(model).sample)


def test_lora_on_the_base_leaves_identity_modules_alone(model: IngredientsTransformer3DModel) -> None:
    before = generate(model).sample
    model.add_adapter(LoraConfig(r=2, target_modules=list(LORA_TARGETS)))
    lora = {name: parameter for name, parameter in model.named_parameters() if "lora" in name}
    assert len(lora) == 2 * len(LORA_TARGETS) * CONFIG["num_layers"]
    assert all("attn1" in name and parameter.requires_grad for name, parameter in lora.items())
    assert torch.equal(generate(model).sample, before)
    for name, parameter in lora.items():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter)
    assert not torch.equal(generate(model).sample, before)
    model.disable_adapters()
    assert torch.equal(generate(model).sample, before)


def test_folding_sees_adapters_on_the_identity_modules(model: IngredientsTransformer3DModel) -> None:
    targets = ["id_attn.to_q", "id_attn.to_kv", "id_attn.to_out", "id_router.video_out", "id_router.identity_out"]
    model.add_adapter(LoraConfig(r=2, target_modules=targets, init_lora_weights=False))
    with torch.no_grad():
        plain, folded = generate(model, "plain"), generate(model, "folded")
    torch.testing.assert_close(plain.sample, folded.sample, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(plain.routing_logits, folded.routing_logits, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("scale", [0.0, 0.5])
@torch.no_grad()
def test_the_lora_scale_of_a_call_is_that_of_set_adapters_plain_and_folded(
    model: IngredientsTransformer3DModel, scale: float
) -> None:
    def scaled(form: str, kwargs: dict[str, Any] | None) -> torch.Tensor:
        features = model.prepare_identities(*identities, form=form, attention_kwargs=kwargs)
        assert features.form == form
        return model(**tiny_call(2), identity_features=features, attention_kwargs=kwargs).sample

    identities = tiny_identities(2, NUM_IDENTITIES)
    without = scaled("plain", None)
    targets = ["id_attn.to_q", "id_attn.to_kv", "id_attn.to_out"]  # two of them are folded, one is not
    model.add_adapter(LoraConfig(r=2, lora_alpha=3, target_modules=targets, init_lora_weights=False), "style")
    whole = scaled("plain", None)
    by_call = {form: scaled(form, {"scale": scale}) for form in ("plain", "folded")}
    assert torch.equal(scaled("plain", None), whole)  # nothing of the scale stays
    model.set_adapters("style", scale)
    by_weight = {form: scaled(form, None) for form in ("plain", "folded")}
    for each in (by_call["folded"], by_weight["plain"], by_weight["folded"]):
        torch.testing.assert_close(by_call["plain"], each, rtol=1e-4, atol=1e-4)
    assert torch.allclose(by_call["plain"], without, rtol=1e-5, atol=1e-5) == (scale == 0)
    assert not torch.allclose(by_call["plain"], whole, rtol=1e-2, atol=1e-2)


def test_a_variant_is_saved_and_loaded_whole_and_in_shards(
    model: IngredientsTransformer3DModel, tmp_path: Path
) -> None:
    expected = generate(model).sample
    for name, size in (("whole", "1GB"), ("shards", "60KB")):
        model.save_pretrained(tmp_path / name, variant="fp16", max_shard_size=size)
        files = [path.name for path in (tmp_path / name).glob("*.safetensors")]
        assert all(".fp16" in file for file in files)
        assert (len(files) > 1) == (name == "shards")
        loaded = IngredientsTransformer3DModel.from_pretrained(tmp_path / name, variant="fp16")
        assert torch.equal(generate(loaded).sample, expected)
        with pytest.raises(OSError, match="diffusion_pytorch_model"):
            IngredientsTransformer3DModel.from_pretrained(tmp_path / name)


def test_a_lora_is_saved_loaded_fused_and_taken_away(model: IngredientsTransformer3DModel, tmp_path: Path) -> None:
    without = generate(model, "folded").sample
    targets = ["attn1.to_v", "id_attn.to_kv", "id_attn.to_out"]
    config = LoraConfig(r=2, lora_alpha=3, target_modules=targets, init_lora_weights=False)
    model.add_adapter(config, adapter_name="style")
    expected = generate(model, "folded").sample
    assert not torch.allclose(expected, without, rtol=1e-2, atol=1e-2)
    model.save_lora_adapter(tmp_path, adapter_name="style")
    model.delete_adapters("style")
    assert torch.equal(generate(model, "folded").sample, without)
    model.load_lora_adapter(
        tmp_path, weight_name="pytorch_lora_weights.safetensors", prefix=None, adapter_name="again"
    )
    assert torch.equal(generate(model, "folded").sample, expected)
    model.fuse_lora()
    torch.testing.assert_close(generate(model, "folded").sample, expected, rtol=1e-4, atol=1e-4)
    model.unfuse_lora()
    model.unload_lora()
    torch.testing.assert_close(generate(model, "folded").sample, without, rtol=1e-4, atol=1e-4)


def test_a_second_transformer_of_the_same_config_is_the_same_class_and_shape(
    model: IngredientsTransformer3DModel,
) -> None:
    second = IngredientsTransformer3DModel.from_config(model.config)
    second.load_state_dict(model.state_dict())
    assert torch.equal(generate(second.eval()).sample, generate(model).sample)


def test_step_cache_at_threshold_zero_is_no_cache(model: IngredientsTransformer3DModel) -> None:
    steps = [torch.tensor([900, 880]), torch.tensor([500, 480]), torch.tensor([100, 80])]
    expected = [generate(model, timestep=step) for step in steps]
    model.enable_cache(FirstBlockCacheConfig(threshold=0.0))
    with model.cache_context("denoising"):
        actual = [generate(model, timestep=step) for step in steps]
    model.disable_cache()
    for cached, plain in zip(actual, expected, strict=True):
        assert torch.equal(cached.sample, plain.sample)
        assert all(torch.equal(a, b) for a, b in zip(cached.routing_logits, plain.routing_logits, strict=True))


def test_a_step_that_skips_blocks_has_no_routing(model: IngredientsTransformer3DModel) -> None:
    model.enable_cache(FirstBlockCacheConfig(threshold=1e9))
    with model.cache_context("denoising"):
        first, second = generate(model), generate(model)
    model.disable_cache()
    assert first.routing_logits is not None
    assert second.routing_logits is None
    # The identities are inside the blocks: a repeated step must not add them twice.
    torch.testing.assert_close(second.sample, first.sample, rtol=1e-4, atol=1e-5)


@pytest.fixture
def counted_backend(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[torch.Size]]:
    """Counts calls of one backend that is not the default."""
    backend = AttentionBackendName._NATIVE_MATH
    original = _AttentionBackendRegistry._backends[backend]
    calls: list[torch.Size] = []

    def counted(**arguments: Any) -> torch.Tensor:
        calls.append(arguments["key"].shape)
        return original(**arguments)

    monkeypatch.setitem(_AttentionBackendRegistry._backends, backend, counted)
    active = _AttentionBackendRegistry._active_backend
    yield calls
    _AttentionBackendRegistry.set_active_backend(active)


def test_attention_backend_is_obeyed(model: IngredientsTransformer3DModel, counted_backend: list[torch.Size]) -> None:
    expected = generate(model).sample
    assert not counted_backend
    model.set_attention_backend("_native_math")
    _AttentionBackendRegistry.set_active_backend(AttentionBackendName.NATIVE)  # the model's own choice is enough
    torch.testing.assert_close(generate(model).sample, expected, rtol=1e-4, atol=1e-5)
    num_queries = CONFIG["id_num_queries"]
    identity_calls = [shape for shape in counted_backend if shape[1] == num_queries]
    assert len(identity_calls) == NUM_IDENTITIES * len(model.routed_blocks)
    assert len(counted_backend) - len(identity_calls) == CONFIG["num_layers"]
    model.reset_attention_backend()
    counted_backend.clear()
    generate(model)
    assert not counted_backend


def test_fused_projections(model: IngredientsTransformer3DModel) -> None:
    expected = generate(model).sample
    model.fuse_qkv_projections()
    assert model.transformer_blocks[0].attn1.fused_projections
    torch.testing.assert_close(generate(model).sample, expected, rtol=1e-4, atol=1e-5)
    model.unfuse_qkv_projections()
    assert torch.equal(generate(model).sample, expected)


class RecordingHook(ModelHook):
    """Stands for accelerate's offload hook, which brings a model to its device before it is used."""

    def __init__(self) -> None:
        self.num_calls = 0

    def pre_forward(self, module: torch.nn.Module, *args: Any, **kwargs: Any) -> Any:
        self.num_calls += 1
        return args, kwargs


def test_preparing_identities_fires_the_model_offload_hook(model: IngredientsTransformer3DModel) -> None:
    hook = RecordingHook()
    add_hook_to_module(model, hook)
    model.prepare_identities(*tiny_identities(2, NUM_IDENTITIES))
    assert hook.num_calls == 1


@pytest.mark.parametrize("form", ["plain", "folded"])
def test_preparing_identities_fires_every_sequential_offload_hook(
    model: IngredientsTransformer3DModel, form: str
) -> None:
    """Sequential offload hooks every layer with weights of its own: each must be called, not read."""
    owners = {
        name: module
        for name, module in model.named_modules()
        if list(module.parameters(recurse=False)) and ("projector" in name or "id_attn.to_" in name)
    }
    hooks = {name: RecordingHook() for name in owners}
    for name, module in owners.items():
        add_hook_to_module(module, hooks[name])
    model.prepare_identities(*tiny_identities(2, NUM_IDENTITIES), form=form)
    unused = {name for name, hook in hooks.items() if not hook.num_calls}
    video_side = {name for name in owners if name.endswith(("id_attn.to_q", "id_attn.to_out"))}
    assert unused == (video_side if form == "plain" else set())


@pytest.mark.parametrize("offload_type", ["block_level", "leaf_level"])
@pytest.mark.parametrize("form", ["plain", "folded"])
def test_group_offload(
    model: IngredientsTransformer3DModel, offload_type: str, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = generate(model, form).sample
    cpu = torch.device("cpu")
    model.enable_group_offload(
        onload_device=cpu, offload_device=cpu, offload_type=offload_type, num_blocks_per_group=1
    )
    assert torch.equal(generate(model, form).sample, expected)

    onloaded: list[torch.nn.Module] = []
    monkeypatch.setattr(ModuleGroup, "onload_", lambda group: onloaded.extend(group.modules))
    model.prepare_identities(*tiny_identities(2, NUM_IDENTITIES), form=form)
    needed = [model.multi_scale_projector, *(model.transformer_blocks[index] for index in model.routed_blocks)]
    if offload_type == "leaf_level":
        needed = [model.multi_scale_projector.embedding_mapping[0], model.transformer_blocks[2].id_attn.to_kv]
    assert all(any(module is other for other in onloaded) for module in needed)


def test_layerwise_casting(model: IngredientsTransformer3DModel) -> None:
    expected = generate(model).sample
    model.enable_layerwise_casting(storage_dtype=torch.bfloat16, compute_dtype=torch.float32)
    for form in ("plain", "folded"):
        difference = generate(model, form).sample - expected
        assert 0 < difference.square().mean().sqrt() < 0.1 * expected.square().mean().sqrt()


@pytest.mark.slow
@torch.no_grad()
def test_compiled_blocks(model: IngredientsTransformer3DModel) -> None:
    expected = {form: generate(model, form).sample for form in ("plain", "folded")}
    model.compile_repeated_blocks()
    for form, sample in expected.items():
        torch.testing.assert_close(generate(model, form).sample, sample, rtol=1e-3, atol=1e-4)


def test_casting_says_nothing_where_there_is_nothing_to_say() -> None:
    """diffusers warns at every `to(dtype)` of modules that should be kept in float32, which are none here."""
    logger, records = logging.getLogger("diffusers.models.modeling_utils"), list[logging.LogRecord]()
    handler = logging.Handler()
    handler.emit = records.append  # type: ignore[method-assign]
    logger.addHandler(handler)
    level = logger.level
    logger.setLevel(logging.WARNING)  # an earlier command may have silenced diffusers
    try:
        model = tiny_transformer(num_layers=1)
        model.to(torch.float16)
        assert not records
        model._keep_in_fp32_modules = ["norm"]
        model.to(torch.float16)
        assert "kept in float32: ['norm']" in records[0].getMessage()
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
