"""Diffusers' step caches on our transformer: work is left out, and what the identities add is added once.

A video is three identities, four blocks of which the first and the third are routed, and steps with other latents.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from diffusers.hooks import (
    FasterCacheConfig,
    FirstBlockCacheConfig,
    MagCacheConfig,
    PyramidAttentionBroadcastConfig,
    TaylorSeerCacheConfig,
)

from ingredients.models.identity_features import IdentityFeatures
from ingredients.models.transformer_ingredients import IngredientsTransformer3DModel
from tests.models.tiny import CONFIG, NUM_TOKENS, tiny_call, tiny_identities, tiny_transformer

NUM_BLOCKS = CONFIG["num_layers"]
ROUTED = 2
MIDDLE_TIMESTEP = 500
Call = Callable[..., Any]


def always_within(timestep: int) -> Callable[[], int]:
    return lambda: timestep


def pab() -> PyramidAttentionBroadcastConfig:
    return PyramidAttentionBroadcastConfig(
        spatial_attention_block_skip_range=2, current_timestep_callback=always_within(MIDDLE_TIMESTEP)
    )


def taylor() -> TaylorSeerCacheConfig:
    return TaylorSeerCacheConfig(
        cache_interval=2,
        disable_cache_before_step=1,
        max_order=1,
        taylor_factors_dtype=torch.float32,
        cache_identifiers=[r"transformer_blocks\.\d+\.(attn1|ff)"],
    )


def mag() -> MagCacheConfig:
    return MagCacheConfig(
        threshold=1.0, max_skip_steps=1, retention_ratio=0.0, num_inference_steps=9, mag_ratios=[1.0] * 9
    )


def faster(**changes: Any) -> FasterCacheConfig:
    return FasterCacheConfig(
        **{
            "spatial_attention_timestep_skip_range": (-1, 1000),
            "unconditional_batch_skip_range": 2,
            "unconditional_batch_timestep_skip_range": (-1, 1000),
            "attention_weight_callback": lambda _: 0.5,
            "tensor_format": "BFCHW",
            "current_timestep_callback": always_within(MIDDLE_TIMESTEP),
        }
        | changes
    )


CACHES: dict[str, Callable[[], Any]] = {
    "first-block": lambda: FirstBlockCacheConfig(threshold=1e9),
    "mag": mag,
    "pab": pab,
    "taylor": taylor,
    "faster": faster,
}


@pytest.fixture
def model() -> IngredientsTransformer3DModel:
    return tiny_transformer(cross_attn_interval=2).requires_grad_(False)


@pytest.fixture(params=["plain", "folded"])
def features(model: IngredientsTransformer3DModel, request: pytest.FixtureRequest) -> IdentityFeatures:
    return model.prepare_identities(*tiny_identities(2, 3), form=request.param)


def arguments(features: IdentityFeatures, step: int) -> dict[str, Any]:
    call = tiny_call(2) | {"identity_features": features, "timestep": torch.full((2,), 900 - 100 * step)}
    generator = torch.Generator().manual_seed(step)
    call["hidden_states"] = torch.randn(call["hidden_states"].shape, generator=generator)
    return call


@pytest.fixture
def counted(model: IngredientsTransformer3DModel) -> Iterator[Callable[[], dict[str, int]]]:
    """How often the layers that do the work have been called since it was last asked."""
    layers = {"attention": "attn1.to_q", "feed-forward": "ff.net.0", "identities": "id_attn", "router": "id_router"}
    counts = dict.fromkeys(layers, 0)
    handles = []

    def count(kind: str) -> Callable[..., None]:
        def hook(*_: Any) -> None:
            counts[kind] += 1

        return hook

    for name, module in model.named_modules():
        for kind, suffix in layers.items():
            if name.endswith(suffix):
                handles.append(module.register_forward_hook(count(kind)))

    def read() -> dict[str, int]:
        seen = dict(counts)
        counts.update(dict.fromkeys(layers, 0))
        return seen

    yield read
    for handle in handles:
        handle.remove()


ALL_WORK = {"attention": NUM_BLOCKS, "feed-forward": NUM_BLOCKS, "identities": ROUTED, "router": ROUTED}
SECOND_STEP: dict[str, dict[str, int]] = {
    "first-block": {"attention": 1, "feed-forward": 1, "identities": 1, "router": 1},
    "mag": dict.fromkeys(ALL_WORK, 0),
    "pab": ALL_WORK | {"attention": 0},
    "taylor": ALL_WORK | {"attention": 0, "feed-forward": 0},
    "faster": ALL_WORK | {"attention": 0},
}


@pytest.mark.parametrize("name", CACHES)
def test_the_second_step_leaves_work_out(
    model: IngredientsTransformer3DModel,
    features: IdentityFeatures,
    counted: Callable[[], dict[str, int]],
    name: str,
) -> None:
    model.enable_cache(CACHES[name]())
    work = []
    for step in range(2):
        with model.cache_context("video"):
            model(**arguments(features, step))
        work.append(counted())
    assert work == [ALL_WORK, SECOND_STEP[name]]


@pytest.mark.parametrize("name", CACHES)
def test_without_the_cache_the_numbers_are_exact_again(
    model: IngredientsTransformer3DModel, features: IdentityFeatures, name: str
) -> None:
    exact = [model(**arguments(features, step)).sample for step in range(2)]
    model.enable_cache(CACHES[name]())
    with model.cache_context("video"):
        first, second = (model(**arguments(features, step)).sample for step in range(2))
    assert torch.equal(first, exact[0])
    assert not torch.allclose(second, exact[1], rtol=1e-3, atol=1e-3)
    model.disable_cache()
    for step, expected in enumerate(exact):
        assert torch.equal(model(**arguments(features, step)).sample, expected)


@pytest.mark.parametrize("name", CACHES)
def test_after_a_reset_nothing_is_left_of_the_video_before(
    model: IngredientsTransformer3DModel, features: IdentityFeatures, name: str
) -> None:
    def make_video() -> list[torch.Tensor]:
        with model.cache_context("video"):
            return [model(**arguments(features, step)).sample for step in range(3)]

    model.enable_cache(CACHES[name]())
    first = make_video()
    model._reset_stateful_cache()
    assert all(torch.equal(a, b) for a, b in zip(first, make_video(), strict=True))


@pytest.mark.parametrize("name", ["pab", "taylor"])
def test_a_cache_of_layers_adds_to_their_old_output_the_identities_of_now(
    model: IngredientsTransformer3DModel,
    features: IdentityFeatures,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The second step equals one in which the cached layers are constants, and everything else is as always."""
    cached = {
        layer_name: layer
        for layer_name, layer in model.named_modules()
        if layer_name.endswith("attn1") or (name == "taylor" and layer_name.endswith("ff"))
    }
    kept: dict[str, Any] = {}
    handles = [
        layer.register_forward_hook(lambda _module, _args, output, key=key: kept.update({key: output}))
        for key, layer in cached.items()
    ]
    model(**arguments(features, 0))
    for handle in handles:
        handle.remove()

    model.enable_cache(CACHES[name]())
    with model.cache_context("video"):
        model(**arguments(features, 0))
        actual = model(**arguments(features, 1))
    model.disable_cache()

    for key, layer in cached.items():
        monkeypatch.setattr(layer, "forward", lambda *_args, key=key, **_kwargs: kept[key])
    expected = model(**arguments(features, 1))
    assert torch.equal(actual.sample, expected.sample)
    assert all(torch.equal(a, b) for a, b in zip(actual.routing_logits, expected.routing_logits, strict=True))


@pytest.mark.parametrize("name", ["first-block", "mag"])
def test_a_cache_of_blocks_adds_what_they_added_before_identities_included(
    model: IngredientsTransformer3DModel,
    features: IdentityFeatures,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The second step equals one in which the first skipped block adds what all did, and the others nothing."""
    first_skipped = 1 if name == "first-block" else 0
    seen: dict[str, torch.Tensor] = {}
    handles = [
        model.transformer_blocks[first_skipped].register_forward_pre_hook(
            lambda _module, args: seen.update(entering=args[0])
        ),
        model.transformer_blocks[-1].register_forward_hook(
            lambda _module, _args, output: seen.update(leaving=output[0])
        ),
    ]
    model(**arguments(features, 0))
    for handle in handles:
        handle.remove()
    added = seen["leaving"] - seen["entering"]

    model.enable_cache(CACHES[name]())
    with model.cache_context("video"):
        model(**arguments(features, 0))
        actual = model(**arguments(features, 1))
    model.disable_cache()

    def skip(hidden_states: torch.Tensor, encoder_hidden_states: torch.Tensor, *_: Any) -> Any:
        return hidden_states, encoder_hidden_states, None

    def add(hidden_states: torch.Tensor, encoder_hidden_states: torch.Tensor, *_: Any) -> Any:
        return hidden_states + added, encoder_hidden_states, None

    for index in range(first_skipped, NUM_BLOCKS):
        monkeypatch.setattr(model.transformer_blocks[index], "forward", add if index == first_skipped else skip)
    torch.testing.assert_close(actual.sample, model(**arguments(features, 1)).sample, rtol=1e-5, atol=1e-5)
    assert actual.routing_logits is None


@pytest.mark.parametrize("has_indices", [False, True])
def test_faster_cache_keeps_the_people_of_the_half_that_it_keeps(
    model: IngredientsTransformer3DModel, has_indices: bool
) -> None:
    """Batch [negative, positive] of two videos, in which every row has other people, or nobody, and other places."""
    features = model.prepare_identities(*tiny_identities(4, 3), torch.tensor([[False] * 3] * 2 + [[True] * 3] * 2))
    indices = torch.randint(-1, 3, (4, NUM_TOKENS), generator=torch.Generator().manual_seed(1))
    bias = torch.randn(4, NUM_TOKENS, 3, generator=torch.Generator().manual_seed(2))
    placed = {"routing_indices": indices, "routing_bias": bias} if has_indices else {"routing_bias": bias}
    call = tiny_call(4) | {"identity_features": features, **placed}
    halved = {
        name: value[2:] if torch.is_tensor(value) else value
        for name, value in call.items()
        if name != "identity_features"
    }
    expected = model(**halved, identity_features=features.rows(slice(2, None)))
    exact = model(**call)

    # Attention is computed, and the frequencies in which the halves differed are taken as they were.
    model.enable_cache(
        faster(spatial_attention_timestep_skip_range=(-1, -1), alpha_low_frequency=1.0, alpha_high_frequency=1.0)
    )
    with model.cache_context("video"):
        first, second = model(**call), model(**call)
    assert torch.equal(first.sample, exact.sample)
    assert torch.equal(second.sample[2:], expected.sample)
    torch.testing.assert_close(second.sample[:2], exact.sample[:2], rtol=1e-4, atol=1e-4)
    assert [logits.shape[0] for logits in second.routing_logits] == [2] * ROUTED
    model.disable_cache()
    assert torch.equal(model(**call).sample, exact.sample)
    with pytest.raises(ValueError, match="identity_features has 4 rows and the latents have 2"):
        model(**halved, identity_features=features)
