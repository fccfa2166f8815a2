"""Speed options on a pipeline of tiny real parts: what they leave as it is, what they save, and what is refused."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from diffusers.models.attention_dispatch import AttentionBackendName, _AttentionBackendRegistry
from torch._dynamo.utils import counters

from ingredients.core.errors import MissingDependencyError, SpeedOptionError
from ingredients.pipelines.execution.execution import Execution
from ingredients.pipelines.execution.residual_magnitudes import ResidualMagnitudes
from ingredients.pipelines.execution.speed_options import ATTENTION_BACKENDS, STEP_CACHES, WITHIN_BLOCKS, SpeedOptions
from ingredients.pipelines.execution.step_caches import step_cache_config
from ingredients.pipelines.inputs import Branches
from ingredients.pipelines.pipeline_ingredients import IngredientsPipeline
from tests.pipelines.stand_ins import (
    NUM_BLOCKS,
    TOKEN_GRID,
    make_canvas,
    make_people,
    make_pipeline,
    make_seeing_face_stack,
)

STEPS = 10
MAGNITUDES = ResidualMagnitudes(timesteps=(999, 0), log_magnitudes=(0.0, 0.0))
CLOSE = {"rtol": 1e-4, "atol": 1e-4}
PASSES = {
    "one pass": {"guidance_scale": 1.0, "identity_guidance_scale": 1.0},
    "as published": {"guidance_scale": 3.0, "identity_guidance_scale": 1.0},
    "away from nobody": {"guidance_scale": 3.0, "identity_guidance_scale": 3.0},
    "three passes": {"guidance_scale": 3.0, "identity_guidance_scale": 2.0},
    "perturbed": {"guidance_scale": 1.0, "identity_guidance_scale": 1.0, "perturbed_attention_scale": 2.0},
}


@pytest.fixture
def pipeline() -> IngredientsPipeline:
    made = make_pipeline()
    made.residual_magnitudes = MAGNITUDES
    return made


def call(pipeline: IngredientsPipeline, **changes: Any) -> Any:
    settings: dict[str, Any] = {
        "prompt": ["two people wave", "people smile at night"],
        "canvas": make_canvas(),
        "people": make_people(3),
        "num_inference_steps": STEPS,
        "guidance_scale": 3.0,
        "identity_guidance_scale": 3.0,
        "layout_share": 0.3,
        "generator": [7, 8],
        "output_type": "latent",
    }
    return pipeline(**settings | changes)


def run(pipeline: IngredientsPipeline, **changes: Any) -> torch.Tensor:
    latents = call(pipeline, **changes).frames
    assert isinstance(latents, torch.Tensor)
    return latents


@pytest.fixture
def batch_sizes(pipeline: IngredientsPipeline) -> Iterator[list[int]]:
    """Rows of each call of the transformer."""
    sizes: list[int] = []
    handle = pipeline.transformer.patch_embed.register_forward_hook(
        lambda _module, args, _output: sizes.append(args[1].shape[0])
    )
    yield sizes
    handle.remove()


def test_the_defaults_change_nothing(pipeline: IngredientsPipeline) -> None:
    exact = run(pipeline)
    pipeline.apply_speed_options(SpeedOptions())
    assert torch.equal(run(pipeline), exact)


@pytest.mark.parametrize("passes", PASSES)
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"layout_share": 0.0, "branches": Branches(face_scale=0.5)},
        {"branches": Branches(use_identities=False)},
        {"branches": Branches(use_canvas=False, routing="softmax")},
        {"branches": Branches(routing_indices=torch.arange(45).reshape(TOKEN_GRID) % 4 - 1)},
        {"use_dynamic_cfg": True},
    ],
    ids=["plan", "router", "canvas alone", "identities alone", "forced", "dynamic"],
)
def test_split_guidance_makes_the_same_video(
    pipeline: IngredientsPipeline, batch_sizes: list[int], passes: str, changes: dict[str, Any]
) -> None:
    settings = PASSES[passes] | changes | {"num_inference_steps": 4, "output_routing_maps": True}
    batched = call(pipeline, **settings)
    num_calls, num_rows = len(batch_sizes), sum(batch_sizes)
    batch_sizes.clear()
    pipeline.apply_speed_options(SpeedOptions(split_guidance=True))
    split = call(pipeline, **settings)
    torch.testing.assert_close(split.frames, batched.frames, **CLOSE)
    assert (split.routing_maps is None) == (batched.routing_maps is None)
    if batched.routing_maps is not None:
        assert torch.equal(split.routing_maps, batched.routing_maps)
    assert num_calls == 4
    assert batch_sizes == [2] * (num_rows // 2)


def test_split_guidance_refuses_the_published_fault() -> None:
    pipeline = make_pipeline(published_guidance_fault=True)
    pipeline.apply_speed_options(SpeedOptions(split_guidance=True))
    with pytest.raises(SpeedOptionError, match="published_guidance_fault"):
        run(pipeline, identity_guidance_scale=1.0)
    assert torch.isfinite(run(pipeline, **PASSES["one pass"], num_inference_steps=1)).all()


@pytest.mark.parametrize("name", STEP_CACHES)
def test_two_videos_in_a_row_are_those_that_fresh_pipelines_make(name: Any) -> None:
    def fresh() -> IngredientsPipeline:
        pipeline = make_pipeline()
        pipeline.residual_magnitudes = MAGNITUDES
        pipeline.apply_speed_options(SpeedOptions(step_cache=name))
        return pipeline

    pipeline = fresh()
    for seed in (7, 11):
        assert torch.equal(run(pipeline, generator=seed), run(fresh(), generator=seed))


@pytest.mark.parametrize("name", STEP_CACHES)
def test_a_video_that_was_broken_off_leaves_nothing_behind(pipeline: IngredientsPipeline, name: Any) -> None:
    class BrokenOffError(Exception):
        pass

    def break_off(_pipeline: Any, step: int, _timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        if step == 4:
            raise BrokenOffError
        return tensors

    exact = run(pipeline)
    pipeline.apply_speed_options(SpeedOptions(step_cache=name))
    cached = run(pipeline)
    with pytest.raises(BrokenOffError):
        run(pipeline, generator=9, callback_on_step_end=break_off)
    assert not pipeline.transformer.is_cache_enabled
    assert torch.equal(run(pipeline), cached)
    pipeline.apply_speed_options(SpeedOptions())
    assert torch.equal(run(pipeline), exact)


@pytest.mark.parametrize("name", STEP_CACHES)
def test_a_cache_leaves_work_out_in_a_video(
    pipeline: IngredientsPipeline, monkeypatch: pytest.MonkeyPatch, name: Any
) -> None:
    """The defaults that a person gets do something; first-block goes by the video, so its threshold is raised."""
    rows: list[int] = []
    for block in pipeline.transformer.transformer_blocks:
        block.attn1.to_q.register_forward_hook(lambda _module, args, _output: rows.append(args[0].shape[0]))
    run(pipeline)
    exact_work = sum(rows)
    rows.clear()
    if name == "first-block":

        def config(*args: Any, **kwargs: Any) -> Any:
            return dataclasses.replace(step_cache_config(*args, **kwargs), threshold=1e9)

        monkeypatch.setattr("ingredients.pipelines.execution.step_caches.step_cache_config", config)
    pipeline.apply_speed_options(SpeedOptions(step_cache=name))
    run(pipeline)
    assert exact_work == STEPS * NUM_BLOCKS * 4
    assert sum(rows) < 0.9 * exact_work


@pytest.mark.parametrize("name", STEP_CACHES)
def test_a_routing_map_of_a_step_that_routes_nothing_is_the_one_before(
    pipeline: IngredientsPipeline, name: Any
) -> None:
    """Those are the identities that the step adds."""
    logits: list[bool] = []
    pipeline.transformer.register_forward_hook(
        lambda _module, _args, output: logits.append(output.routing_logits is not None)
    )
    pipeline.apply_speed_options(SpeedOptions(step_cache=name))
    maps = call(pipeline, output_routing_maps=True).routing_maps
    assert maps.shape[:3] == (2, STEPS, NUM_BLOCKS)
    assert all(logits) == (name in WITHIN_BLOCKS)
    for step in range(1, STEPS):
        assert logits[step] or torch.equal(maps[:, step], maps[:, step - 1])


@pytest.mark.parametrize("name", [name for name in STEP_CACHES if name != "faster"])
def test_each_pass_of_split_guidance_remembers_its_own_steps(pipeline: IngredientsPipeline, name: Any) -> None:
    """With one memory for all of them, a pass would be given what another one attended to."""
    settings: dict[str, Any] = {
        "guidance_scale": 3.0, "identity_guidance_scale": 1.0, "perturbed_attention_scale": 2.0
    }  # fmt: skip
    pipeline.apply_speed_options(SpeedOptions(step_cache=name))
    batched = run(pipeline, **settings)
    pipeline.apply_speed_options(SpeedOptions(step_cache=name, split_guidance=True))
    split = run(pipeline, **settings)
    if name == "first-block":  # it decides for each pass by itself
        assert torch.isfinite(split).all()
    else:
        torch.testing.assert_close(split, batched, **CLOSE)


def test_a_cache_that_a_user_enabled_starts_anew_with_each_video(pipeline: IngredientsPipeline) -> None:
    """Even if a video before it was broken off: here a single step of another one."""
    config = step_cache_config(
        "mag", timesteps=range(999, 0, -100), current_timestep=lambda: 500, magnitudes=MAGNITUDES
    )
    pipeline.transformer.enable_cache(config)
    first = run(pipeline)
    with pytest.raises(ZeroDivisionError):
        run(pipeline, generator=9, callback_on_step_end=lambda *_: 1 / 0)
    assert torch.equal(run(pipeline), first)
    assert pipeline.transformer.is_cache_enabled


@pytest.mark.parametrize("passes", ["one pass", "three passes", "perturbed"])
def test_faster_refuses_other_passes_than_those_without_and_with_the_prompt(
    pipeline: IngredientsPipeline, passes: str
) -> None:
    pipeline.apply_speed_options(SpeedOptions(step_cache="faster"))
    with pytest.raises(SpeedOptionError, match=r"faster .* these scales need other passes"):
        run(pipeline, **PASSES[passes])


def test_faster_refuses_the_published_fault() -> None:
    with pytest.raises(SpeedOptionError, match="published_guidance_fault"):
        make_pipeline(published_guidance_fault=True).apply_speed_options(SpeedOptions(step_cache="faster"))


def test_mag_needs_the_magnitudes_of_the_model() -> None:
    with pytest.raises(SpeedOptionError, match=r"benchmarks/residual_magnitudes\.py"):
        make_pipeline().apply_speed_options(SpeedOptions(step_cache="mag"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"step_cache": "tea"}, "'tea' does not exist; choose one of first-block, pab, faster, mag, taylor"),
        ({"step_cache": "faster", "split_guidance": True}, "faster leaves out one pass"),
        ({"step_cache": "pab", "compile": True}, "choose one of first-block, mag, or leave compiling out"),
        ({"attention_backend": "fast"}, "'fast' does not exist; choose one of .*native"),
        ({"precision": "fp8"}, "'fp8' does not exist; choose one of auto, float32, bfloat16"),
    ],
)
def test_options_that_cannot_be_are_refused_at_once(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SpeedOptionError, match=message):
        SpeedOptions(**options)


@pytest.mark.parametrize(("backend", "remedy"), [("sage", "sageattention"), ("flash", "flash-attn")])
def test_a_backend_without_its_library_says_what_installs_it(backend: str, remedy: str) -> None:
    with pytest.raises(MissingDependencyError, match=f"{backend} needs a library .* pip install {remedy}"):
        SpeedOptions(attention_backend=backend)


@pytest.mark.parametrize("backend", ["native", "_native_math", "_native_flash", "flex"])
def test_backends_of_the_processor_make_the_same_video(
    pipeline: IngredientsPipeline, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if backend == "_native_flash":
        monkeypatch.setattr(_AttentionBackendRegistry, "_checks_enabled", False)
    exact, active = run(pipeline, num_inference_steps=2), _AttentionBackendRegistry.get_active_backend()
    calls: list[int] = []
    original = _AttentionBackendRegistry._backends[AttentionBackendName(backend)]

    def counted(**arguments: Any) -> torch.Tensor:
        calls.append(1)
        attended: torch.Tensor = original(**arguments)
        return attended

    monkeypatch.setitem(_AttentionBackendRegistry._backends, AttentionBackendName(backend), counted)
    pipeline.apply_speed_options(SpeedOptions(attention_backend=backend))
    calls.clear()
    torch.testing.assert_close(run(pipeline, num_inference_steps=2), exact, **CLOSE)
    assert len(calls) >= 2 * NUM_BLOCKS
    monkeypatch.undo()
    assert _AttentionBackendRegistry.get_active_backend() == active
    pipeline.apply_speed_options(SpeedOptions())
    assert torch.equal(run(pipeline, num_inference_steps=2), exact)


def test_a_failing_backend_leaves_the_one_before(pipeline: IngredientsPipeline) -> None:
    pipeline.apply_speed_options(SpeedOptions(attention_backend="_native_math"))
    with pytest.raises(SpeedOptionError):
        pipeline.apply_speed_options(SpeedOptions(attention_backend="_native_cudnn"))
    processor = pipeline.transformer.transformer_blocks[0].attn1.processor
    assert processor._attention_backend == "_native_math"
    assert pipeline.execution.speed == SpeedOptions(attention_backend="_native_math")


def test_the_names_of_backends_are_those_that_diffusers_knows() -> None:
    assert tuple(backend.value for backend in AttentionBackendName) == ATTENTION_BACKENDS


def test_a_backend_is_tried_where_the_model_is_going_to_run(pipeline: IngredientsPipeline) -> None:
    with pytest.raises(SpeedOptionError, match="does not work on meta"):
        pipeline.apply_speed_options(SpeedOptions(attention_backend="native"), device=torch.device("meta"))


def test_a_backend_that_this_device_cannot_run_is_refused(pipeline: IngredientsPipeline) -> None:
    if torch.cuda.is_available():
        pytest.skip("needs a device without CUDA")
    exact = run(pipeline, num_inference_steps=1)
    with pytest.raises(SpeedOptionError, match="_native_cudnn does not work on cpu"):
        pipeline.apply_speed_options(SpeedOptions(attention_backend="_native_cudnn"))
    assert torch.equal(run(pipeline, num_inference_steps=1), exact)


def test_fused_projections_make_the_same_video(pipeline: IngredientsPipeline) -> None:
    exact = run(pipeline)
    names = set(pipeline.transformer.state_dict())
    pipeline.apply_speed_options(SpeedOptions(fuse_qkv=True))
    used: list[int] = []
    for block in pipeline.transformer.transformer_blocks:
        block.attn1.to_qkv.register_forward_hook(lambda *_: used.append(1))
    torch.testing.assert_close(run(pipeline), exact, **CLOSE)
    assert len(used) == STEPS * NUM_BLOCKS
    pipeline.apply_speed_options(SpeedOptions())
    assert set(pipeline.transformer.state_dict()) == names
    assert torch.equal(run(pipeline), exact)


def test_compiling_without_a_compiler_is_refused(pipeline: IngredientsPipeline) -> None:
    from torch._inductor import config

    # Not monkeypatch, which leaves this setting deleted for whoever compiles later.
    with (
        config.patch({"cpp.cxx": ("no-such-compiler",)}),
        pytest.raises(SpeedOptionError, match=r"needs a C\+\+ compiler"),
    ):
        pipeline.apply_speed_options(SpeedOptions(compile=True))


def test_a_report_can_name_the_options() -> None:
    assert SpeedOptions().names() == ()
    options = SpeedOptions(compile=True, step_cache="mag", attention_backend="native", split_guidance=True)
    assert options.names() == ("compile", "split-guidance", "step-cache mag", "attention-backend native")
    assert SpeedOptions(precision="auto").names() == ("precision auto",)


def test_bfloat16_arithmetic_makes_about_the_same_video_of_float32_weights() -> None:
    pipeline = make_pipeline(face_encoder=make_seeing_face_stack())
    computed: list[tuple[str, torch.dtype]] = []
    parts = {"block": pipeline.transformer.transformer_blocks[1].ff, "decoder": pipeline.vae.decoder.conv_out.conv}
    for name, part in parts.items():
        part.register_forward_hook(lambda _module, _args, output, name=name: computed.append((name, output.dtype)))

    def make(**options: Any) -> tuple[torch.Tensor, set[tuple[str, torch.dtype]]]:
        pipeline.apply_speed_options(SpeedOptions(**options))
        computed.clear()
        frames = run(pipeline, likeness_guidance_scale=0.3, num_inference_steps=4, output_type="pt")
        return frames, set(computed)

    exact, full = make()
    mixed, half = make(precision="bfloat16")
    assert full == {("block", torch.float32), ("decoder", torch.float32)}
    assert half == {("block", torch.bfloat16), ("decoder", torch.bfloat16)}
    assert mixed.dtype == exact.dtype == torch.float32
    assert 0 < float((mixed - exact).abs().mean()) < 0.02
    again, _ = make()
    assert torch.equal(again, exact)


def test_weights_in_half_precision_keep_their_arithmetic() -> None:
    device = torch.device("cpu")
    execution = Execution(speed=SpeedOptions(precision="bfloat16"))
    for weights, is_mixed in ((torch.float32, True), (torch.bfloat16, False), (torch.float16, False)):
        with execution.arithmetic(device, weights):
            assert torch.is_autocast_enabled("cpu") == is_mixed


def test_bfloat16_arithmetic_keeps_no_copies_of_the_weights() -> None:
    layer = torch.nn.Linear(3, 5)
    with Execution(speed=SpeedOptions(precision="bfloat16")).arithmetic(torch.device("cpu"), torch.float32):
        layer(torch.ones(2, 3))
        with torch.no_grad():
            layer.weight.zero_()
        again = layer(torch.ones(2, 3))
    assert torch.equal(again, layer.bias.to(torch.bfloat16).expand(2, 5))  # not of a copy of before


@pytest.mark.slow
def test_compiled_blocks_are_compiled_once_for_each_kind_of_step() -> None:
    """Blocks with and without identity modules, planned and routed: three graphs, and none for the next video."""
    pipeline = make_pipeline(cross_attn_interval=2, num_layers=4)
    pipeline.residual_magnitudes = MAGNITUDES
    exact = run(pipeline)
    torch._dynamo.reset()
    counters.clear()
    pipeline.apply_speed_options(SpeedOptions(compile=True))
    torch.testing.assert_close(run(pipeline), exact, rtol=1e-3, atol=1e-3)
    assert counters["stats"]["unique_graphs"] == 3
    run(pipeline, generator=5)
    for name in ("first-block", "mag"):
        pipeline.apply_speed_options(SpeedOptions(compile=True, step_cache=name))
        run(pipeline, generator=5)
    assert counters["stats"]["unique_graphs"] == 3
    assert not counters["graph_break"]
    pipeline.apply_speed_options(SpeedOptions())
    assert torch.equal(run(pipeline), exact)


@pytest.mark.slow
def test_videos_of_many_kinds_are_all_compiled() -> None:
    """PyTorch alone would stop after eight kinds of blocks, and say so in its log."""
    pipeline = make_pipeline(num_layers=1)
    torch._dynamo.reset()
    counters.clear()
    pipeline.transformer.compile_repeated_blocks(backend="eager")
    for passes in PASSES.values():
        for branches in (
            None,
            Branches(routing="softmax"),
            Branches(routing="uniform"),
            Branches(use_identities=False),
        ):
            run(pipeline, generator=[5], prompt="two people wave", num_inference_steps=4, branches=branches, **passes)
    assert counters["stats"]["unique_graphs"] > 8
