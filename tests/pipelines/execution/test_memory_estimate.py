"""What a mode needs: weights exactly, activations against a count of all allocations, and the mode that is chosen."""

import dataclasses
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKLCogVideoX
from torch._subclasses.fake_tensor import FakeTensorMode

from ingredients.core.errors import OutOfMemoryError
from ingredients.core.memory_mode import MEMORY_LADDER, MemoryMode
from ingredients.data.latents import decode_pictures, encode_clips
from ingredients.model_folders.find_model import default_model_path
from ingredients.model_folders.known_models import KNOWN_MODELS, KnownModel
from ingredients.model_folders.sampling_settings import SamplingSettings
from ingredients.models import presets
from ingredients.models.cogvideox_vae import single_frame_convolutions
from ingredients.models.identity_features import FoldedBlockFeatures, IdentityFeatures
from ingredients.models.transformer_ingredients import IngredientsTransformer3DModel
from ingredients.pipelines.execution.memory_estimate import (
    CONVOLUTION_WORKSPACE,
    VideoDemand,
    decoding_bytes,
    denoising_bytes,
    differentiated_decoding_bytes,
    encoding_bytes,
    estimate_needs,
    identity_bytes,
    step_cache_bytes,
    with_margin,
)
from ingredients.pipelines.execution.memory_modes import SMALL_TILE, TILE, decode_in_tiles
from ingredients.pipelines.execution.memory_plan import choose_mode, plan_memory
from ingredients.pipelines.execution.model_weights import ModelWeights, folder_weights, published_weights, weigh
from ingredients.pipelines.execution.speed_options import SpeedOptions
from ingredients.pipelines.loading import load_pipeline
from tests.pipelines.execution.allocations import AllocationCount, without_computing
from tests.pipelines.stand_ins import make_people, make_pipeline

GB = 10**9
CUDA = torch.device("cuda", 0)
FULL, BALANCED, LOW, MINIMAL = MEMORY_LADDER


@pytest.fixture(scope="module")
def published() -> ModelWeights:
    return published_weights()


def test_the_published_weights(published: ModelWeights) -> None:
    assert published.transformer.total == 2 * 7_043_945_344
    assert published.text_encoder.total == 2 * 4_762_310_656
    assert published.vae == 2 * 215_583_907
    assert published.transformer.largest_block == 2 * 163_675_424
    assert published.transformer.largest_layer == 2 * (4 * 3072 * 3072 + 4 * 3072)  # the feed-forward's first
    assert published.transformer.outside == published.transformer.total - 42 * published.transformer.largest_block


def test_weights_are_those_that_are_loaded() -> None:
    pipeline = make_pipeline()
    parts = pipeline.transformer, pipeline.text_encoder, pipeline.vae
    weights = weigh(*parts, sampling=SamplingSettings())
    assert weights.transformer.total == sum(4 * each.numel() for each in pipeline.transformer.parameters())
    assert weights.vae == sum(4 * each.numel() for each in pipeline.vae.parameters())
    halves = weigh(*parts, sampling=SamplingSettings(), dtype=torch.bfloat16)
    assert 2 * halves.transformer.total == weights.transformer.total
    assert 2 * halves.text_encoder.largest_block == weights.text_encoder.largest_block
    assert halves.element_size == 2


@pytest.mark.parametrize(("routing", "num_people"), [("argmax", 1), ("argmax", 3), ("softmax", 40)])
def test_identities_weigh_what_is_computed(routing: str, num_people: int) -> None:
    """Many people under softmax stay plain, few are folded."""
    pipeline = make_pipeline(routing=routing, cross_attn_interval=2)
    weights = weigh(pipeline.transformer, pipeline.text_encoder, pipeline.vae, sampling=SamplingSettings())
    identities = make_people(num_people)
    with torch.no_grad():
        features = pipeline.transformer.prepare_identities(
            identities.id_embeds[None], [states[None] for states in identities.id_vit_hidden_states]
        )
    assert features.form == ("plain" if num_people == 40 else "folded")
    computed = sum(4 * (block.key.numel() + block.value.numel()) for block in features.blocks)
    assert identity_bytes(weights, VideoDemand(num_people=num_people)) == computed


def test_a_person_of_the_published_model_weighs_a_quarter_of_a_gigabyte(published: ModelWeights) -> None:
    one, three = (identity_bytes(published, VideoDemand(num_people=number)) for number in (1, 3))
    assert one == pytest.approx(0.26 * GB, rel=0.02)
    assert three == 3 * one


def folded_features(transformer: IngredientsTransformer3DModel, *, batch_size: int, num_people: int) -> Any:
    dim, keys = 3072, transformer.config.id_attn_num_heads * transformer.config.id_num_queries
    id_mask = torch.ones(batch_size, num_people, dtype=torch.bool)
    blocks = tuple(
        FoldedBlockFeatures(
            key=torch.empty(1, num_people, keys, dim).expand(batch_size, -1, -1, -1),
            value=torch.empty(1, num_people, keys, dim).expand(batch_size, -1, -1, -1),
            router_key=torch.empty(batch_size, num_people, dim),
            id_mask=id_mask,
            every_row_has_identity=True,
        )
        for _ in transformer.transformer_blocks
    )
    return IdentityFeatures(id_tokens=torch.empty(batch_size, num_people, 32, 2048), id_mask=id_mask, blocks=blocks)


def count_transformer(*, batch_size: int, num_people: int) -> int:
    """Of two blocks: every block holds what the one before it held."""
    with without_computing(torch.bfloat16):
        transformer = IngredientsTransformer3DModel(**presets.published() | {"num_layers": 2}).eval()
        features = folded_features(transformer, batch_size=batch_size, num_people=num_people)
        latents, text = torch.empty(batch_size, 13, 32, 60, 90), torch.empty(batch_size, 226, 4096)
        rotary = torch.empty(13 * 30 * 45, 64, dtype=torch.float32)
        with AllocationCount() as count:
            transformer(
                latents,
                text,
                torch.zeros(batch_size, dtype=torch.long),
                image_rotary_emb=(rotary, rotary),
                identity_features=features,
            )
    return count.peak


def count_decoder(*, tile: tuple[int, int] | None, height: int, width: int, num_latents: int) -> int:
    with without_computing(torch.bfloat16):
        vae = AutoencoderKLCogVideoX().eval()
        if tile is not None:
            decode_in_tiles(vae, tile)
        with AllocationCount() as count:
            vae.decode(torch.empty(1, 16, num_latents, height // 8, width // 8))
    return count.peak


@pytest.mark.parametrize("num_people", [1, 2, 6, 16])
def test_the_transformers_activations(published: ModelWeights, num_people: int) -> None:
    for batch_size in (1, 2):
        counted = count_transformer(batch_size=batch_size, num_people=num_people)
        estimated = denoising_bytes(published, VideoDemand(num_people=num_people), passes_at_once=batch_size)
        assert 0.97 * counted <= estimated <= 1.15 * counted


def test_more_passes_need_more(published: ModelWeights) -> None:
    scales = [{"guidance_scale": 1.0}, {}, {"identity_guidance_scale": 2.0}]
    one, two, three = (denoising_bytes(published, VideoDemand(sampling=each)) for each in scales)
    assert (two, three) == (2 * one, 3 * one)
    assert [denoising_bytes(published, VideoDemand(sampling=each), passes_at_once=1) for each in scales] == [one] * 3


@pytest.mark.parametrize(
    ("mode", "tile", "shape"),
    [
        (FULL, None, (480, 720, 49)),
        (FULL, None, (768, 1360, 81)),
        (LOW, TILE, (480, 720, 49)),
        (MINIMAL, SMALL_TILE, (480, 720, 17)),
    ],
)
def test_the_decoders_activations(
    published: ModelWeights, mode: MemoryMode, tile: tuple[int, int] | None, shape: tuple[int, int, int]
) -> None:
    height, width, num_frames = shape
    counted = count_decoder(tile=tile, height=height, width=width, num_latents=(num_frames - 1) // 4 + 1)
    estimated = decoding_bytes(published, VideoDemand(height=height, width=width, num_frames=num_frames), mode)
    assert counted <= estimated <= 1.1 * CONVOLUTION_WORKSPACE * counted


def test_a_video_decoded_in_tiles_needs_no_more_than_in_the_mode_that_has_tiles(
    published: ModelWeights,
) -> None:
    whole, tiled = VideoDemand(), VideoDemand(decode_in_tiles=True)
    assert decoding_bytes(published, tiled, FULL) == decoding_bytes(published, whole, LOW)
    assert decoding_bytes(published, tiled, FULL) < decoding_bytes(published, whole, FULL)
    assert decoding_bytes(published, tiled, MINIMAL) == decoding_bytes(published, whole, MINIMAL)


@pytest.mark.parametrize(("num_pictures", "height", "width"), [(1, 480, 720), (2, 480, 720), (3, 240, 368)])
def test_the_encoders_activations(published: ModelWeights, num_pictures: int, height: int, width: int) -> None:
    with without_computing(torch.bfloat16):
        vae = AutoencoderKLCogVideoX().eval()
        with AllocationCount() as count, single_frame_convolutions(vae):
            encode_clips(vae, torch.empty(num_pictures, 3, 1, height, width))
    estimated = encoding_bytes(published, num_pictures=num_pictures, height=height, width=width)
    assert count.peak <= estimated <= 1.3 * CONVOLUTION_WORKSPACE * count.peak


def test_what_the_decoder_keeps_for_a_backward_pass(published: ModelWeights) -> None:
    """In float32, in which an identity loss decodes."""
    in_float32 = dataclasses.replace(published, element_size=4)
    for num_pictures, height, width in ((1, 480, 720), (2, 240, 368)):
        with FakeTensorMode(allow_non_fake_inputs=True):
            vae = AutoencoderKLCogVideoX().eval().requires_grad_(False)
            latents = torch.empty(num_pictures, 1, 16, height // 8, width // 8, requires_grad=True)
            with AllocationCount() as count:
                decode_pictures(vae, latents).sum().backward()
        estimated = differentiated_decoding_bytes(in_float32, num_pictures=num_pictures, height=height, width=width)
        assert count.peak <= estimated <= 1.1 * CONVOLUTION_WORKSPACE * count.peak


def test_speed_options_count(published: ModelWeights) -> None:
    plain = estimate_needs(published, VideoDemand())

    def needs(**options: Any) -> dict[MemoryMode, int]:
        return estimate_needs(published, VideoDemand(speed=SpeedOptions(**options)))

    activation = 2 * (17_550 + 226) * 3072 * 2  # of two passes, in half precision
    assert step_cache_bytes(published, VideoDemand(speed=SpeedOptions(step_cache="pab"))) == 42 * activation
    assert needs(step_cache="pab")[MemoryMode.LOW] > plain[MemoryMode.LOW] + 8e9
    assert needs(step_cache="taylor")[MemoryMode.LOW] > needs(step_cache="pab")[MemoryMode.LOW] + 9e9
    assert needs(fuse_qkv=True)[MemoryMode.FULL] == plain[MemoryMode.FULL] + 42 * 3 * 3072**2 * 2
    assert denoising_bytes(published, VideoDemand(speed=SpeedOptions(split_guidance=True))) * 2 == denoising_bytes(
        published, VideoDemand()
    )


def test_each_mode_needs_less_than_the_one_before(published: ModelWeights) -> None:
    for demand in (VideoDemand(), VideoDemand(num_frames=9), VideoDemand(height=240, width=368, num_people=4)):
        needs = list(estimate_needs(published, demand).values())
        assert needs == sorted(needs, reverse=True)
        assert len(set(needs)) == 4
    assert estimate_needs(published, VideoDemand())[LOW] < 10 * GB


@pytest.mark.parametrize(
    ("free", "mode"),
    [(139, FULL), (79, FULL), (47, BALANCED), (23.5, BALANCED), (15.5, LOW), (11.5, LOW), (7.5, LOW), (5.5, MINIMAL)],
)
def test_auto_takes_the_fastest_that_fits(published: ModelWeights, free: float, mode: MemoryMode) -> None:
    """Cards of 141, 80, 48, 24, 16, 12, 8 and 6 GB with a little taken by others."""
    plan = plan_memory(MemoryMode.AUTO, published, VideoDemand(), device=CUDA, free=int(free * GB))
    assert plan.mode is mode
    assert plan.reason is not None
    assert f"memory mode is {mode}" in plan.reason
    assert f"{free:.1f} GB" in plan.reason
    assert ("would be faster" in plan.reason) == (mode is not FULL)


def test_a_smaller_video_may_be_made_faster(published: ModelWeights) -> None:
    small = VideoDemand(height=240, width=368, num_frames=17)
    for free, mode in ((47, FULL), (4.5, MINIMAL)):
        assert plan_memory(MemoryMode.AUTO, published, small, device=CUDA, free=int(free * GB)).mode is mode


def test_where_nothing_fits_it_says_so(published: ModelWeights) -> None:
    plan = plan_memory(MemoryMode.AUTO, published, VideoDemand(), device=CUDA, free=2 * GB)
    assert plan.mode is MINIMAL
    assert plan.reason is not None
    assert "even that needs about" in plan.reason
    assert "fewer frames" in plan.reason


def test_what_fits_fits_with_a_margin() -> None:
    needs = {FULL: 40 * GB, BALANCED: 20 * GB, LOW: 6 * GB, MINIMAL: 3 * GB}
    assert choose_mode(needs, with_margin(20 * GB)).mode is BALANCED
    assert choose_mode(needs, with_margin(20 * GB) - 1).mode is LOW


def test_what_is_asked_for_is_taken(published: ModelWeights) -> None:
    for mode in MEMORY_LADDER:
        plan = plan_memory(mode, published, VideoDemand(), device=CUDA, free=GB)
        assert (plan.mode, plan.reason) == (mode, None)


def test_on_a_processor_auto_is_full_and_says_nothing(published: ModelWeights) -> None:
    plan = plan_memory(MemoryMode.AUTO, published, VideoDemand(), device=torch.device("cpu"))
    assert (plan.mode, plan.reason) == (FULL, None)
    for mode in (BALANCED, LOW, MINIMAL):
        plan = plan_memory(mode, published, VideoDemand(), device=torch.device("cpu"))
        assert plan.reason is not None
        assert ("8 bit" in plan.reason) == (mode is MINIMAL)


def test_what_no_machine_has_is_refused_before_it_is_tried() -> None:
    with pytest.raises(OutOfMemoryError, match="fewer frames with --num-frames"):
        load_pipeline(device="cpu", demand=VideoDemand(num_frames=100_000_001))


@pytest.mark.parametrize("model", KNOWN_MODELS, ids=lambda model: model.name)
def test_what_is_listed_is_what_is_counted(model: KnownModel) -> None:
    """`ingredients models` lists needs without building a model; they are those that building it gives."""
    if model.source is None:
        weights = folder_weights(default_model_path(), torch.bfloat16)
    else:
        weights = published_weights(identity_modules=model.takes_people)
    assert model.memory == estimate_needs(weights, VideoDemand())
