"""What a user of diffusers expects of a pipeline: the ideas of its test mixins, on ours."""

import copy
import dataclasses
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    CogVideoXTransformer3DModel,
    DiffusionPipeline,
    FasterCacheConfig,
    FirstBlockCacheConfig,
    PyramidAttentionBroadcastConfig,
    TaylorSeerCacheConfig,
)
from diffusers.models.attention_processor import CogVideoXAttnProcessor2_0
from peft import LoraConfig
from PIL import Image

from ingredients.core.errors import ArgumentError, HubError, ModelFolderError, NotFiniteError, UserInputError
from ingredients.media.photos import load_photo
from ingredients.model_folders.sampling_settings import SamplingSettings
from ingredients.pipelines.execution.residual_magnitudes import ResidualMagnitudes
from ingredients.pipelines.execution.speed_options import SpeedOptions, VideoOptions
from ingredients.pipelines.inputs import canvas_to_tensor
from ingredients.pipelines.pipeline_ingredients import IngredientsPipeline
from tests.pipelines.stand_ins import (
    HEIGHT,
    PROMPT,
    TEXT_DIM,
    TEXT_TOKENS,
    WIDTH,
    for_each_prompt,
    make_canvas,
    make_face_stack,
    make_people,
    make_photo,
    make_pipeline,
    make_seeing_face_stack,
)

DEFAULTS = SamplingSettings(num_inference_steps=3, guidance_scale=2.0, layout_share=0.5)
MAGNITUDES = ResidualMagnitudes(timesteps=(999, 500, 1), log_magnitudes=(0.0, 0.1, 0.3))
ID_TARGETS = ["id_attn.to_q", "id_attn.to_kv", "id_attn.to_out"]


def run(pipeline: IngredientsPipeline, *args: Any, **changes: Any) -> torch.Tensor:
    settings: dict[str, Any] = {"num_inference_steps": 2, "generator": 7, "output_type": "latent"}
    if "prompt_embeds" not in changes:
        settings["prompt"] = PROMPT
    if not args:
        settings["people"] = make_people(2)
    pipeline.set_progress_bar_config(disable=True)
    frames = pipeline(*args, **(settings | changes)).frames
    assert isinstance(frames, torch.Tensor)
    return frames


@pytest.fixture(scope="module")
def pipeline() -> IngredientsPipeline:
    return make_pipeline(face_encoder=make_seeing_face_stack())


@pytest.fixture
def configured() -> IngredientsPipeline:
    pipeline = make_pipeline(face_encoder=make_face_stack())
    pipeline.sampling_defaults, pipeline.residual_magnitudes = DEFAULTS, MAGNITUDES
    return pipeline


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "tiny"
    pipeline = make_pipeline(face_encoder=make_face_stack())
    pipeline.sampling_defaults, pipeline.residual_magnitudes = DEFAULTS, MAGNITUDES
    pipeline.save_pretrained(folder)
    return folder


# A second pipeline on the same parts


@pytest.mark.parametrize("way", ["from_pipe", "components"])
def test_a_second_pipeline_has_all_that_the_first_has(configured: IngredientsPipeline, way: str) -> None:
    configured.apply_speed_options(SpeedOptions(fuse_qkv=True, split_guidance=True, step_cache="mag"))
    if way == "from_pipe":
        second = IngredientsPipeline.from_pipe(configured)
    else:
        second = IngredientsPipeline(**configured.components)
    for name, part in configured.components.items():
        assert getattr(second, name) is part
    assert (second.sampling_defaults, second.residual_magnitudes) == (DEFAULTS, MAGNITUDES)
    assert second.facial_extractor is not None
    assert (second.execution.speed, second.execution.speed.step_cache) == (configured.execution.speed, "mag")
    assert second.execution.splits_guidance
    settings = {"num_inference_steps": None}
    assert torch.equal(run(second, **settings), run(configured, **settings))
    second.unfuse_qkv_projections()
    assert not any("to_qkv" in name for name, _ in second.transformer.named_modules())


def test_from_pipe_takes_other_parts_and_keeps_the_type_of_weights(configured: IngredientsPipeline) -> None:
    configured.transformer.to(torch.bfloat16)
    other = make_pipeline().transformer
    assert IngredientsPipeline.from_pipe(configured).transformer.dtype == torch.bfloat16
    second = IngredientsPipeline.from_pipe(configured, transformer=other, face_encoder=None)
    assert second.transformer is other
    assert second.face_encoder is None
    assert second.sampling_defaults == DEFAULTS
    assert IngredientsPipeline.from_pipe(configured, torch_dtype=torch.float32).transformer.dtype == torch.float32
    with pytest.raises(ArgumentError, match="has no part named unet; its parts are tokenizer, "):
        IngredientsPipeline.from_pipe(configured, unet=other)


def test_defaults_set_later_are_those_of_the_second_pipeline(configured: IngredientsPipeline) -> None:
    changed = DEFAULTS.override(guidance_scale=4.0)
    configured.sampling_defaults = changed
    assert IngredientsPipeline(**configured.components).sampling_defaults == changed
    assert make_pipeline().sampling_defaults == SamplingSettings()  # of another model: nothing leaks
    assert copy.deepcopy(configured).sampling_defaults == changed


def test_a_transformer_of_diffusers_is_refused_in_a_sentence(pipeline: IngredientsPipeline) -> None:
    transformer = CogVideoXTransformer3DModel(num_layers=1, num_attention_heads=2, attention_head_dim=16)
    with pytest.raises(
        ArgumentError, match=r"is a CogVideoXTransformer3DModel, .* with IngredientsPipeline\.from_pre"
    ):
        IngredientsPipeline(**pipeline.components | {"transformer": transformer})


# Saving and loading


@pytest.mark.parametrize("dtype", [None, torch.float32, torch.bfloat16])
def test_diffusers_own_loader_finds_the_class_and_what_lies_beside_the_parts(
    folder: Path, tmp_path: Path, dtype: torch.dtype | None
) -> None:
    stored = IngredientsPipeline.from_pretrained(folder, torch_dtype=torch.float16)
    stored.save_pretrained(tmp_path / "half")  # T5 is stored in two types
    source, types = (folder, {"dtype": dtype}) if dtype else (tmp_path / "half", {})
    found, expected = DiffusionPipeline.from_pretrained(source, **types), stored
    if dtype:
        expected = IngredientsPipeline.from_pretrained(source, **types)
    assert type(found) is IngredientsPipeline
    assert (found.sampling_defaults, found.residual_magnitudes) == (DEFAULTS, MAGNITUDES)
    for part in ("transformer", "vae", "text_encoder"):
        given, wanted = getattr(found, part).state_dict(), getattr(expected, part).state_dict()
        assert list(given) == list(wanted)
        assert len({tensor.dtype for tensor in given.values()}) == 1
        assert all(torch.equal(tensor, wanted[name].to(tensor.dtype)) for name, tensor in given.items())
    assert found.face_encoder is not None
    assert found.facial_extractor is not None
    if dtype:
        assert torch.equal(run(found), run(expected))


def test_diffusers_own_loader_takes_no_damaged_weights_and_no_half_of_a_hub_model(
    folder: Path, tmp_path: Path
) -> None:
    broken = IngredientsPipeline.from_pretrained(folder)
    broken.save_pretrained(tmp_path / "broken")
    broken.vae.decoder.conv_out.conv.bias.data[0] = torch.nan
    broken.vae.save_pretrained(tmp_path / "broken/vae")
    with pytest.raises(NotFiniteError, match="The weights of vae hold values that are not finite"):
        DiffusionPipeline.from_pretrained(tmp_path / "broken")
    whole = IngredientsPipeline.from_pretrained(folder)
    with pytest.raises(ModelFolderError, match=r"owner/name without its face encoder; load it with IngredientsPipeli"):
        whole.register_to_config(_name_or_path="owner/name")  # as diffusers does at the end


def test_variants_are_written_and_read_back(folder: Path, tmp_path: Path) -> None:
    original = IngredientsPipeline.from_pretrained(folder)
    original.save_pretrained(tmp_path / "half", variant="fp16")
    assert (tmp_path / "half/vae/diffusion_pytorch_model.fp16.safetensors").is_file()
    assert (tmp_path / "half/text_encoder/model.fp16.safetensors").is_file()
    loaded = IngredientsPipeline.from_pretrained(tmp_path / "half", variant="fp16")
    assert torch.equal(run(loaded), run(original))
    with pytest.raises(ModelFolderError, match="it has the variant fp16: load it with variant='fp16'"):
        IngredientsPipeline.from_pretrained(tmp_path / "half")
    with pytest.raises(ModelFolderError, match="has no weights of the variant bf16; leave variant out"):
        IngredientsPipeline.from_pretrained(folder, variant="bf16")


def test_shards_of_a_variant_are_read_and_parts_without_it_as_they_are(folder: Path, tmp_path: Path) -> None:
    original = IngredientsPipeline.from_pretrained(folder)
    original.save_pretrained(tmp_path / "tiny")
    for path in (tmp_path / "tiny/transformer").glob("*.safetensors"):
        path.unlink()
    original.transformer.save_pretrained(tmp_path / "tiny/transformer", variant="fp16", max_shard_size="60KB")
    assert len(list((tmp_path / "tiny/transformer").glob("*.fp16-*.safetensors"))) > 1
    loaded = IngredientsPipeline.from_pretrained(tmp_path / "tiny", variant="fp16")
    assert torch.equal(run(loaded), run(original))


def test_types_can_be_given_part_by_part(folder: Path) -> None:
    dtypes = {"transformer": torch.bfloat16, "default": torch.float16}
    loaded = IngredientsPipeline.from_pretrained(folder, torch_dtype=dtypes)
    assert (loaded.transformer.dtype, loaded.vae.dtype) == (torch.bfloat16, torch.float16)
    layer = loaded.text_encoder.encoder.block[0].layer
    assert layer[0].SelfAttention.q.weight.dtype == torch.float16
    assert layer[1].DenseReluDense.wo.weight.dtype == torch.float32  # would overflow, as transformers says
    assert (
        IngredientsPipeline.from_pretrained(folder, dtype={"vae": torch.bfloat16}).transformer.dtype == torch.float32
    )
    with pytest.raises(ArgumentError, match=r"dtype must be torch\.float32, .* not 'float16' for default"):
        IngredientsPipeline.from_pretrained(folder, torch_dtype="float16")  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="dtype has no part 'unet'; its keys are default, transformer, "):
        IngredientsPipeline.from_pretrained(folder, torch_dtype={"unet": torch.float16})


def test_arguments_that_change_nothing_are_taken(folder: Path) -> None:
    loaded = IngredientsPipeline.from_pretrained(
        folder,
        use_safetensors=True,
        low_cpu_mem_usage=True,
        local_files_only=True,
        revision="main",
        device_map=None,
        token=None,
        force_download=False,
    )
    assert loaded.sampling_defaults == DEFAULTS


@pytest.mark.parametrize(
    ("argument", "value", "remedy"),
    [
        ("device_map", "balanced", "memory=..."),
        ("max_memory", {0: "1GB"}, "memory=..."),
        ("quantization_config", object(), "memory='minimal'"),
        ("cache_dir", "/tmp", "HF_HOME"),
        ("token", "hf_secret", "hf auth login"),
        ("custom_pipeline", "other", "own code"),
        ("trust_remote_code", True, "own code"),
    ],
)
def test_arguments_that_cannot_be_followed_name_what_can(folder: Path, argument: str, value: Any, remedy: str) -> None:
    with pytest.raises(ArgumentError, match=f"^{argument} is not taken: .*{remedy}") as caught:
        IngredientsPipeline.from_pretrained(folder, **{argument: value})
    assert "hf_secret" not in str(caught.value)


def test_a_model_of_the_hub_that_is_not_here_is_not_asked_for_when_forbidden() -> None:
    with pytest.raises(HubError, match="nobody/nothing@v2 is not on the disk, and local_files_only forbids"):
        IngredientsPipeline.from_pretrained("nobody/nothing", revision="v2", local_files_only=True)


def test_use_safetensors_passes_pickles_over(folder: Path, tmp_path: Path) -> None:
    original = IngredientsPipeline.from_pretrained(folder)
    original.save_pretrained(tmp_path / "tiny")
    torch.save(original.vae.state_dict(), tmp_path / "tiny/vae/diffusion_pytorch_model.bin")
    (tmp_path / "tiny/vae/diffusion_pytorch_model.safetensors").unlink()
    assert torch.equal(run(IngredientsPipeline.from_pretrained(tmp_path / "tiny")), run(original))
    with pytest.raises(ModelFolderError, match=r"there is a \.bin file, which use_safetensors=True passes over"):
        IngredientsPipeline.from_pretrained(tmp_path / "tiny", use_safetensors=True)


@pytest.mark.parametrize("key", ["state_dict", "module", "model"])
@pytest.mark.parametrize("part", ["transformer", "vae", "text_encoder"])
def test_pickles_whose_tensors_lie_deeper_are_read(folder: Path, tmp_path: Path, part: str, key: str) -> None:
    original = IngredientsPipeline.from_pretrained(folder)
    original.save_pretrained(tmp_path / "tiny")
    name = "pytorch_model" if part == "text_encoder" else "diffusion_pytorch_model"
    for path in (tmp_path / "tiny" / part).glob("*.safetensors"):
        path.unlink()
    torch.save({key: getattr(original, part).state_dict(), "epoch": 3}, tmp_path / "tiny" / part / f"{name}.bin")
    loaded = IngredientsPipeline.from_pretrained(tmp_path / "tiny")
    for tensor_name, tensor in getattr(original, part).state_dict().items():
        assert torch.equal(getattr(loaded, part).state_dict()[tensor_name], tensor)
    assert torch.equal(run(loaded), run(original))


def test_loading_says_nothing(
    folder: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    for dtype in (torch.float32, torch.float16):
        IngredientsPipeline.from_pretrained(folder, torch_dtype=dtype)
    printed = capfd.readouterr()
    assert "float32" not in printed.out + printed.err + caplog.text


# Prompts by themselves


def test_prompts_are_encoded_without_vae_and_transformer(folder: Path) -> None:
    whole = IngredientsPipeline.from_pretrained(folder)
    text_only = IngredientsPipeline.from_pretrained(folder, vae=None, transformer=None, face_encoder=None)
    positive, negative = text_only.encode_prompt(PROMPT, "at night")
    assert positive.shape == (1, TEXT_TOKENS, TEXT_DIM)
    without_text = IngredientsPipeline.from_pretrained(folder, text_encoder=None, tokenizer=None, face_encoder=None)
    given = run(without_text, prompt_embeds=positive, negative_prompt_embeds=negative)
    assert torch.equal(given, run(whole, negative_prompt="at night"))
    with pytest.raises(ArgumentError, match="made without tokenizer and text encoder; give prompt_embeds"):
        run(without_text)
    with pytest.raises(ArgumentError, match="and with guidance negative_prompt_embeds"):
        run(without_text, prompt_embeds=positive)
    with pytest.raises(ArgumentError, match="made without vae and transformer, so it can make no video"):
        run(text_only)
    with pytest.raises(ArgumentError, match="made without vae and transformer, so it is no whole model"):
        text_only.save_pretrained(folder / "elsewhere")


def test_without_a_transformer_the_length_of_prompts_must_be_known(pipeline: IngredientsPipeline) -> None:
    alone = IngredientsPipeline(**pipeline.components | {"transformer": None, "vae": None})
    with pytest.raises(ArgumentError, match=r"give max_sequence_length \(226 for CogVideoX\)"):
        alone.encode_prompt(PROMPT)
    embeds, _ = alone.encode_prompt(PROMPT, max_sequence_length=TEXT_TOKENS)
    assert torch.equal(embeds, pipeline.encode_prompt(PROMPT)[0])


# LoRA


def add_lora(pipeline: IngredientsPipeline, targets: list[str]) -> None:
    torch.manual_seed(11)
    config = LoraConfig(r=2, lora_alpha=3, target_modules=targets, init_lora_weights=False)
    pipeline.transformer.add_adapter(config, adapter_name="style")
    for name, parameter in pipeline.transformer.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(parameter, std=0.5)


@pytest.mark.parametrize(
    "targets", [ID_TARGETS, ["attn1.to_v"], ["id_router.video_out", "attn1.to_v", "id_attn.to_kv"]]
)
@pytest.mark.parametrize("scale", [0.0, 0.5])
def test_the_lora_scale_of_a_call_does_what_set_adapters_does(targets: list[str], scale: float) -> None:
    pipeline = make_pipeline()
    without = run(pipeline)
    add_lora(pipeline, targets)
    whole = run(pipeline)
    scaled = run(pipeline, attention_kwargs={"scale": scale})
    assert torch.equal(run(pipeline), whole)  # nothing of the scale stays
    pipeline.set_adapters("style", scale)
    torch.testing.assert_close(scaled, run(pipeline), rtol=1e-5, atol=1e-5)
    assert torch.allclose(scaled, without, rtol=1e-5, atol=1e-5) == (scale == 0)
    assert not torch.allclose(scaled, whole, rtol=1e-2, atol=1e-2)


def test_a_scale_of_zero_leaves_what_set_adapters_has_set() -> None:
    pipeline = make_pipeline()
    add_lora(pipeline, ID_TARGETS)
    pipeline.set_adapters("style", 0.25)
    before = run(pipeline)
    run(pipeline, attention_kwargs={"scale": 0.0})
    assert torch.equal(run(pipeline), before)


# Caches, processors, fused projections


@pytest.mark.parametrize(
    "config",
    [
        FirstBlockCacheConfig(threshold=1e9),
        PyramidAttentionBroadcastConfig(
            spatial_attention_block_skip_range=2,
            spatial_attention_timestep_skip_range=(-1, 1000),
            current_timestep_callback=lambda: 500,
        ),
        FasterCacheConfig(
            spatial_attention_block_skip_range=2,
            spatial_attention_timestep_skip_range=(-1, 1000),
            unconditional_batch_skip_range=2,
            unconditional_batch_timestep_skip_range=(-1, 1000),
            attention_weight_callback=lambda _: 0.3,
            current_timestep_callback=lambda: 500,
            tensor_format="BFCHW",
        ),
        TaylorSeerCacheConfig(disable_cache_before_step=1, cache_interval=3, taylor_factors_dtype=torch.float32),
        TaylorSeerCacheConfig(disable_cache_before_step=1, cache_interval=3, use_lite_mode=True),
    ],
    ids=["first-block", "pab", "faster", "taylor", "taylor-lite"],
)
def test_caches_change_the_video_and_are_gone_when_disabled(config: Any) -> None:
    pipeline = make_pipeline()
    exact = run(pipeline, num_inference_steps=5)
    pipeline.transformer.enable_cache(config)
    cached = run(pipeline, num_inference_steps=5)
    assert torch.equal(run(pipeline, num_inference_steps=5), cached)  # nothing is carried from call to call
    pipeline.transformer.disable_cache()
    assert not torch.equal(cached, exact)
    assert torch.equal(run(pipeline, num_inference_steps=5), exact)


def test_a_step_that_lite_taylorseer_skips_repeats_the_routing_before_it() -> None:
    pipeline = make_pipeline()
    pipeline.transformer.enable_cache(
        TaylorSeerCacheConfig(disable_cache_before_step=2, cache_interval=9, use_lite_mode=True)
    )
    maps = pipeline(
        prompt=PROMPT, num_inference_steps=5, generator=7, output_type="latent", output_routing_maps=True,
        people=make_people(3),
    ).routing_maps  # fmt: skip
    assert maps.shape[1] == 5
    assert maps[:, 1].any()  # and not everywhere person 0, as zeros would say
    assert torch.equal(maps[:, -1], maps[:, -2])
    assert maps[:, -1].any()


def test_query_key_and_value_are_fused_on_the_pipeline(pipeline: IngredientsPipeline) -> None:
    before = run(pipeline)
    pipeline.fuse_qkv_projections()
    assert pipeline.transformer.transformer_blocks[0].attn1.fused_projections
    assert pipeline.execution.speed.fuse_qkv
    torch.testing.assert_close(run(pipeline), before, rtol=1e-4, atol=1e-4)
    pipeline.unfuse_qkv_projections()
    assert torch.equal(run(pipeline), before)


def test_names_that_diffusers_gives_to_sizes(pipeline: IngredientsPipeline) -> None:
    assert (pipeline.vae_scale_factor_spatial, pipeline.vae_scale_factor_temporal) == (4, 4)
    assert pipeline.vae_scaling_factor_image == 0.7


# Offload


def test_offloading_without_an_accelerator_is_answered_in_a_sentence(
    pipeline: IngredientsPipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingredients.pipelines.pipeline_ingredients.get_device", lambda: "cpu")
    for method in (pipeline.enable_model_cpu_offload, pipeline.enable_sequential_cpu_offload):
        with pytest.raises(ArgumentError, match=f"{method.__name__} moves parts .* there is none; leave it out"):
            method()


@pytest.mark.parametrize("offload_type", ["block_level", "leaf_level"])
def test_group_offload_of_the_pipeline_changes_nothing(offload_type: str) -> None:
    pipeline = make_pipeline(face_encoder=make_seeing_face_stack())
    people = {"ana": make_photo(1), "ben": make_photo(2)}
    before = run(pipeline, people, likeness_guidance_scale=0.5)
    device = torch.device("cpu")
    pipeline.enable_group_offload(
        onload_device=device, offload_device=device, offload_type=offload_type, num_blocks_per_group=1
    )
    assert torch.equal(run(pipeline, people, likeness_guidance_scale=0.5), before)


# Inputs as diffusers has them


def test_a_canvas_means_the_same_in_each_of_its_forms(pipeline: IngredientsPipeline) -> None:
    pixels = make_canvas()
    expected = run(pipeline, canvas=pixels)
    tensor = torch.from_numpy(pixels).permute(2, 0, 1)[None]
    forms: list[Any] = [
        pixels.astype(np.float32) / 255,
        pixels.astype(np.float64)[None] / 255,
        [Image.fromarray(pixels)],
        tensor,
        tensor / 127.5 - 1,
    ]
    for form in forms:
        torch.testing.assert_close(run(pipeline, canvas=form), expected, rtol=1e-4, atol=1e-4)
    pair = run(pipeline, canvas=[pixels, pixels[::-1].copy()], num_videos_per_prompt=2, generator=[7, 7])
    torch.testing.assert_close(pair[:1], expected, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(pair[1:], expected, rtol=1e-2, atol=1e-2)


def test_a_canvas_of_pillow_is_read_as_its_file_is(tmp_path: Path) -> None:
    pixels = make_canvas()
    alpha = np.zeros(pixels.shape[:2], np.uint8)
    alpha[4:-4, 6:-3] = 255
    Image.fromarray(np.dstack([pixels, alpha])).save(tmp_path / "cutout.png")
    grey = pixels[..., 0].astype(np.uint16) * 257
    Image.fromarray(grey).save(tmp_path / "grey.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its side
    Image.fromarray(pixels).transpose(Image.Transpose.ROTATE_90).save(tmp_path / "phone.png", exif=exif)
    for name in ("cutout.png", "grey.png", "phone.png"):
        expected = load_photo(tmp_path / name)
        with Image.open(tmp_path / name) as image:
            found = canvas_to_tensor(image, height=HEIGHT, width=WIDTH)
        assert torch.equal(found, canvas_to_tensor(expected, height=HEIGHT, width=WIDTH))
    assert (load_photo(tmp_path / "cutout.png")[0, 0] == 255).all()
    assert np.array_equal(load_photo(tmp_path / "phone.png"), pixels)


@pytest.mark.parametrize(
    ("canvas", "message"),
    [
        (make_canvas().astype(np.float32), r"go from 1 to 255: an array must be uint8, or lie in \[0, 1\]"),
        (make_canvas().astype(np.int64), r"an array must be uint8"),
        (torch.full((1, 3, HEIGHT, WIDTH), 3.0), r"go from 3 to 3: a tensor must be uint8, or lie in \[-1, 1\]"),
        (torch.full((1, 3, HEIGHT, WIDTH), torch.nan), r"go from nan to nan"),
    ],
)
def test_a_canvas_of_another_range_is_refused(pipeline: IngredientsPipeline, canvas: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        run(pipeline, canvas=canvas)


def test_people_may_come_without_names(pipeline: IngredientsPipeline) -> None:
    photos = [make_photo(1), make_photo(2)]
    expected = run(pipeline, {"ana": photos[0], "ben": photos[1]})
    assert torch.equal(run(pipeline, photos), expected)
    assert torch.equal(run(pipeline, [Image.fromarray(photo) for photo in photos]), expected)
    alone = run(pipeline, {"ana": photos})
    assert torch.equal(run(pipeline, [photos]), alone)
    assert torch.equal(run(pipeline, photos[0]), run(pipeline, {"ana": photos[0]}))
    assert pipeline.extract_identities(photos).names == ("person 1", "person 2")
    with pytest.raises(UserInputError, match="People cannot be a int; give photos by name"):
        run(pipeline, 3)
    with pytest.raises(UserInputError, match="A photo of person 2 cannot be a int"):
        run(pipeline, [photos[0], 3])


def test_seeds_may_be_whole_numbers_of_any_library(pipeline: IngredientsPipeline) -> None:
    expected = run(pipeline)
    for seed in (np.int64(7), np.uint8(7), torch.tensor(7), [np.int64(7)], np.array([7])):
        assert torch.equal(run(pipeline, generator=seed), expected)
    for wrong in (7.0, "7", [7.5]):
        with pytest.raises(ArgumentError, match=r"A seed must be a whole number or a torch\.Generator"):
            run(pipeline, generator=wrong)


@pytest.mark.parametrize("steps", [0, -1, 2.5, True, 1001])
def test_numbers_of_steps_that_cannot_be_are_refused(pipeline: IngredientsPipeline, steps: Any) -> None:
    with pytest.raises(ArgumentError, match="num_inference_steps must be"):
        run(pipeline, num_inference_steps=steps)
    with pytest.raises(ArgumentError, match="num_videos_per_prompt must be a whole number, 1 or more, not 0"):
        run(pipeline, num_videos_per_prompt=0)


def test_tiles_that_diffusers_rounds_apart_keep_the_size_of_the_video() -> None:
    pipeline = make_pipeline()
    whole = pipeline(prompt=PROMPT, num_inference_steps=1, generator=7, output_type="np").frames
    pipeline.vae.enable_tiling()
    tiled = pipeline(prompt=PROMPT, num_inference_steps=1, generator=7, output_type="np", canvas=make_canvas()).frames
    assert tiled.shape == whole.shape
    for height, width in ((8, 8), (5, 17), (4, 4), (20, 12)):
        pipeline.vae.enable_tiling(tile_sample_min_height=height, tile_sample_min_width=width)
        assert pipeline(prompt=PROMPT, num_inference_steps=1, output_type="np").frames.shape == whole.shape


# Threads


def test_calls_from_several_threads_make_the_videos_that_they_make_alone(pipeline: IngredientsPipeline) -> None:
    second = IngredientsPipeline.from_pipe(pipeline)
    seeds = [1, 2, 3, 4]
    expected = [run(pipeline, generator=seed, num_inference_steps=3) for seed in seeds]
    made: dict[int, torch.Tensor] = {}

    def work(index: int) -> None:
        used = (pipeline, second)[index % 2]
        made[index] = run(used, generator=seeds[index], num_inference_steps=3)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(len(seeds))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for index, video in enumerate(expected):
        assert torch.equal(made[index], video)


def test_videos_made_another_way_do_not_change_how_those_of_other_threads_are_made(
    pipeline: IngredientsPipeline,
) -> None:
    second = IngredientsPipeline.from_pipe(pipeline)
    entered = threading.Event()
    splits: dict[str, list[bool]] = {"block": [], "other": []}

    def watch(name: str) -> Any:
        def callback(pipe: Any, step: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
            splits[name].append(pipe.execution.splits_guidance)
            return {}

        return callback

    def work() -> None:
        entered.wait(60)
        run(pipeline, num_inference_steps=2, callback_on_step_end=watch("other"))
        with second.running_with(VideoOptions(step_cache="pab")):
            assert not second.execution.splits_guidance

    other = threading.Thread(target=work)
    other.start()
    with pipeline.running_with(VideoOptions(split_guidance=True)):
        entered.set()
        other.join(0.2)  # it has to wait
        for _ in range(2):
            run(pipeline, num_inference_steps=2, callback_on_step_end=watch("block"))
        assert splits["other"] == []
    other.join(60)
    assert splits == {"block": [True] * 4, "other": [False] * 2}
    assert pipeline.execution.speed.step_cache is None


def test_a_callback_that_calls_the_pipeline_is_told_so(pipeline: IngredientsPipeline) -> None:
    def callback(pipe: Any, step: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        run(pipe)
        return {}

    with pytest.raises(ArgumentError, match="is making a video already and was called again from within"):
        run(pipeline, callback_on_step_end=callback)
    run(pipeline)  # the turn is given back


def test_faces_joined_after_the_vae_are_counted_by_prompt_and_not_by_video() -> None:
    pipeline = make_pipeline(canvas_placement="after")
    one, two = make_people(2), make_people(2, seed=8)
    masks = torch.tensor([[True, False], [True, True]])
    people = for_each_prompt(one, two, id_mask=masks)
    together = run(
        pipeline, people, prompt=[PROMPT] * 2, num_videos_per_prompt=2, generator=[3, 4, 5, 6], canvas=make_canvas()
    )
    for video, seed in enumerate((3, 4, 5, 6)):
        row = video // 2
        alone = run(
            pipeline,
            dataclasses.replace((one, two)[row], id_mask=masks[row]),
            generator=seed,
            canvas=make_canvas(),
        )
        torch.testing.assert_close(together[video : video + 1], alone, rtol=1e-4, atol=1e-4)


def test_a_processor_for_all_leaves_those_of_identities() -> None:
    pipeline = make_pipeline()
    people = make_people(2)
    transformer = pipeline.transformer

    def attend(form: Any) -> torch.Tensor:
        features = transformer.prepare_identities(
            people.id_embeds[None], [states[None] for states in people.id_vit_hidden_states], form=form
        )
        generator = torch.Generator().manual_seed(3)
        output = transformer(
            torch.randn(1, 3, 6, 6, 10, generator=generator),
            torch.randn(1, TEXT_TOKENS, TEXT_DIM, generator=generator),
            torch.tensor([300]),
            identity_features=features,
        )
        return output.sample

    with torch.no_grad():
        before = {form: attend(form) for form in ("plain", "folded")}
        processors = transformer.attn_processors
        transformer.set_attn_processor(CogVideoXAttnProcessor2_0())
        for form, expected in before.items():
            torch.testing.assert_close(attend(form), expected, rtol=1e-4, atol=1e-4)
        assert isinstance(transformer.transformer_blocks[1].attn1.processor, CogVideoXAttnProcessor2_0)
        transformer.set_attn_processor(processors)
        assert torch.equal(attend("plain"), before["plain"])
    wrong = processors | {"transformer_blocks.0.id_attn.processor": CogVideoXAttnProcessor2_0()}
    with pytest.raises(ValueError, match=r"transformer_blocks\.0\.id_attn\.processor cannot be a CogVideoXAttnProc"):
        transformer.set_attn_processor(wrong)
