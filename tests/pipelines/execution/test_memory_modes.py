"""Memory modes: the same video with less of the model on the device at a time."""

import functools
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from diffusers.hooks import HookRegistry
from diffusers.hooks.group_offloading import ModuleGroup
from torch import nn

from ingredients.core.errors import SpeedOptionError
from ingredients.core.memory_mode import MEMORY_LADDER, MemoryMode, next_lower
from ingredients.models.identity_model import onloaded
from ingredients.pipelines.execution.memory_modes import (
    SMALL_TILE,
    TILE,
    decode_in_tiles,
    decoding_in_tiles,
    place_parts,
)
from ingredients.pipelines.execution.memory_plan import MemoryPlan
from ingredients.pipelines.execution.speed_options import SpeedOptions
from ingredients.pipelines.loading import load_pipeline
from ingredients.pipelines.pipeline_ingredients import IngredientsPipeline
from tests.pipelines.stand_ins import (
    PROMPT,
    make_canvas,
    make_face_stack,
    make_people,
    make_photo,
    make_pipeline,
    make_seeing_face_stack,
    make_vae,
)

CPU = torch.device("cpu")
LOWER = [MemoryMode.BALANCED, MemoryMode.LOW, MemoryMode.MINIMAL]


def make_video(pipeline: IngredientsPipeline, **changes: Any) -> torch.Tensor:
    call: dict[str, Any] = {
        "prompt": PROMPT,
        "canvas": make_canvas(),
        "num_inference_steps": 3,
        "generator": 7,
        "output_type": "pt",
    }
    return cast(torch.Tensor, pipeline(**call | {"people": make_people(2)} | changes).frames)


def offloaded(mode: MemoryMode, **options: Any) -> IngredientsPipeline:
    """A pipeline as on a GPU, but that the processor plays the device."""
    pipeline = make_pipeline(**options)
    pipeline.apply_memory_plan(MemoryPlan(mode=mode), CPU)
    place_parts(pipeline, mode, onload_device=CPU)
    return pipeline


@pytest.mark.parametrize("mode", [MemoryMode.BALANCED, MemoryMode.LOW])
@pytest.mark.parametrize("people", [1, 2, 3])
def test_offloading_changes_no_bit(mode: MemoryMode, people: int) -> None:
    expected = make_video(make_pipeline(), people=make_people(people))
    pipeline = offloaded(mode)
    assert torch.equal(make_video(pipeline, people=make_people(people)), expected)
    assert torch.equal(make_video(pipeline, people=make_people(people)), expected)  # the second video likewise


def test_one_pass_at_a_time_runs_each_pass_alone() -> None:
    pipeline = offloaded(MemoryMode.MINIMAL)
    batch_sizes = []
    block = pipeline.transformer.transformer_blocks[1]
    block.register_forward_pre_hook(lambda _, inputs: batch_sizes.append(inputs[0].shape[0]))
    make_video(pipeline, num_inference_steps=2, identity_guidance_scale=3.0)
    assert batch_sizes == [1] * 6  # two steps of three passes


def test_the_published_fault_needs_the_passes_together() -> None:
    pipeline = make_pipeline(published_guidance_fault=True)
    pipeline.apply_memory_plan(MemoryPlan(mode=MemoryMode.MINIMAL), CPU)
    assert make_video(pipeline).isfinite().all()


@pytest.mark.parametrize("mode", [MemoryMode.BALANCED, MemoryMode.LOW])
@pytest.mark.parametrize(
    "options",
    [
        SpeedOptions(fuse_qkv=True, split_guidance=True),
        SpeedOptions(step_cache="first-block"),
        SpeedOptions(step_cache="pab"),
        SpeedOptions(step_cache="taylor"),
        SpeedOptions(step_cache="faster"),
    ],
    ids=lambda options: " ".join(options.names()),
)
def test_speed_options_work_with_offloading(mode: MemoryMode, options: SpeedOptions) -> None:
    expected = make_pipeline()
    expected.apply_speed_options(options)
    pipeline = make_pipeline()
    pipeline.apply_speed_options(options)
    place_parts(pipeline, mode, onload_device=CPU)
    for steps in (6, 5):
        assert torch.equal(
            make_video(pipeline, num_inference_steps=steps), make_video(expected, num_inference_steps=steps)
        )


def test_matrices_are_not_fused_on_an_offloaded_model() -> None:
    pipeline = offloaded(MemoryMode.LOW)
    with pytest.raises(SpeedOptionError, match="give the speed options to load_pipeline"):
        pipeline.apply_speed_options(SpeedOptions(fuse_qkv=True))


def test_speed_options_leave_the_single_passes_of_minimal_mode() -> None:
    pipeline = make_pipeline()
    pipeline.apply_memory_plan(MemoryPlan(mode=MemoryMode.MINIMAL), CPU)
    pipeline.apply_speed_options(SpeedOptions(step_cache="taylor"))
    assert pipeline.execution.splits_guidance


def test_a_cache_that_needs_the_batch_is_refused_where_passes_run_alone() -> None:
    with pytest.raises(SpeedOptionError, match="faster needs the guidance passes in one batch"):
        load_pipeline(device="cpu", memory="minimal", speed=SpeedOptions(step_cache="faster"))


def test_minimal_mode_is_near_the_full_one() -> None:
    """8-bit floats have three bits behind the first: a weight is off by a sixteenth at most, a few per cent mostly."""
    expected = make_video(make_pipeline(), output_type="latent")
    difference = make_video(offloaded(MemoryMode.MINIMAL), output_type="latent") - expected
    assert 0 < difference.square().mean().sqrt() < 0.15 * expected.square().mean().sqrt()
    on_processor = make_pipeline()
    on_processor.apply_memory_plan(MemoryPlan(mode=MemoryMode.MINIMAL), CPU)
    torch.testing.assert_close(
        make_video(on_processor, output_type="latent") - expected, difference, rtol=1e-3, atol=1e-4
    )  # what differs are the 8 bits, not the offloading


def test_minimal_mode_keeps_weights_in_eight_bit() -> None:
    pipeline = offloaded(MemoryMode.MINIMAL)
    for _ in range(2):
        block = pipeline.transformer.transformer_blocks[0]
        assert block.attn1.to_q.weight.dtype == block.ff.net[2].weight.dtype == torch.float8_e4m3fn
        assert block.id_attn.to_out.weight.dtype == torch.float8_e4m3fn
        assert block.norm1.linear.weight.dtype == block.id_router.video_out.weight.dtype == torch.float32
        transformer = pipeline.transformer
        assert transformer.multi_scale_projector.embedding_mapping[0].weight.dtype == torch.float32
        assert transformer.time_embedding.linear_1.weight.dtype == torch.float32
        assert pipeline.transformer.dtype == torch.float32
        make_video(pipeline)


@pytest.mark.parametrize("mode", LOWER)
def test_likeness_guidance_can_differentiate_the_vae_in_every_mode(mode: MemoryMode) -> None:
    people = {"ana": make_photo(1), "ben": make_photo(2)}
    call = {"prompt": PROMPT, "generator": 3, "num_inference_steps": 4, "likeness_guidance_scale": 0.5}
    videos = {}
    for name in ("full", mode):
        face_encoder = make_seeing_face_stack()
        pipeline = (
            make_pipeline(face_encoder=face_encoder)
            if name == "full"
            else offloaded(MemoryMode(name), face_encoder=face_encoder)
        )
        with torch.inference_mode():
            videos[name] = pipeline(people=people, output_type="latent", **call).frames
            unguided = pipeline(people=people, output_type="latent", **call | {"likeness_guidance_scale": 0.0}).frames
        assert not torch.equal(videos[name], unguided)
    if mode is not MemoryMode.MINIMAL:
        assert torch.equal(videos[mode], videos["full"])
    assert videos[mode].isfinite().all()


class Whereabouts:
    """Follows two models that take turns. "cpu:0" plays the device: no other name of the processor, but unequal."""

    DEVICE = torch.device("cpu:0")

    def __init__(self, pipeline: IngredientsPipeline, monkeypatch: pytest.MonkeyPatch) -> None:
        self.places = {"text_encoder": CPU, "transformer": CPU}
        self.when_used: list[tuple[str, frozenset[str]]] = []
        self._parts: dict[str, nn.Module] = {name: getattr(pipeline, name) for name in self.places}
        for name, part in self._parts.items():
            monkeypatch.setattr(part, "to", functools.partial(self._move, name))
            monkeypatch.setattr(part, "parameters", functools.partial(self._placed, name))
        self._watch(pipeline.text_encoder.encoder, "text_encoder")
        self._watch(pipeline.transformer.transformer_blocks[0], "transformer")
        self._watch(pipeline.transformer.multi_scale_projector, "identities")
        self._watch(pipeline.vae.decoder.conv_in, "vae")

    def _move(self, name: str, device: torch.device | str) -> nn.Module:
        self.places[name] = torch.device(device)
        return self._parts[name]

    def _placed(self, name: str) -> Iterator[types.SimpleNamespace]:
        yield types.SimpleNamespace(device=self.places[name])

    def _watch(self, module: nn.Module, name: str) -> None:
        def note(*_: object) -> None:
            present = frozenset(part for part, place in self.places.items() if place == self.DEVICE)
            if not self.when_used or self.when_used[-1] != (name, present):
                self.when_used.append((name, present))

        module.register_forward_pre_hook(note)


def test_text_encoder_and_transformer_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = make_pipeline()
    whereabouts = Whereabouts(pipeline, monkeypatch)
    place_parts(pipeline, MemoryMode.BALANCED, onload_device=Whereabouts.DEVICE)
    text, transformer = frozenset({"text_encoder"}), frozenset({"transformer"})
    one_video = [
        ("text_encoder", text),
        ("identities", transformer),
        ("transformer", transformer),
        ("vae", transformer),
    ]
    for _ in range(2):  # at the second video the transformer makes room for the text encoder again
        whereabouts.when_used.clear()
        make_video(pipeline, num_inference_steps=1)
        assert whereabouts.when_used == one_video


def test_one_block_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = offloaded(MemoryMode.LOW)
    blocks = {*pipeline.text_encoder.encoder.block, *pipeline.transformer.transformer_blocks}
    present: set[nn.Module] = set()
    seen: list[int] = []
    used: set[nn.Module] = set()
    onload, offload = ModuleGroup.onload_, ModuleGroup.offload_

    def watched_onload(group: ModuleGroup) -> None:
        present.update(group.modules)
        seen.append(len(present & blocks))
        used.update(present & blocks)
        onload(group)

    def watched_offload(group: ModuleGroup) -> None:
        present.difference_update(group.modules)
        offload(group)

    monkeypatch.setattr(ModuleGroup, "onload_", watched_onload)
    monkeypatch.setattr(ModuleGroup, "offload_", watched_offload)
    make_video(pipeline)
    assert max(seen) == 1
    assert used == blocks
    assert not present


def test_preparing_identities_brings_no_block_that_it_does_not_use(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the first video with streams, each block knows the next one and brings it along."""
    pipeline = offloaded(MemoryMode.LOW)
    first, second = pipeline.transformer.transformer_blocks
    hooks = [
        HookRegistry.check_if_exists_or_initialize(block).get_hook("group_offloading") for block in (first, second)
    ]
    hooks[0].next_group, hooks[1].group.onload_self = hooks[1].group, False
    brought: list[nn.Module] = []
    monkeypatch.setattr(ModuleGroup, "onload_", lambda group: brought.extend(group.modules))
    with onloaded(first):
        assert brought == [first]
    assert hooks[0].next_group is hooks[1].group
    first(torch.zeros(1, 45, 32), torch.zeros(1, 7, 32), torch.zeros(1, 8))
    assert brought == [first, first, second]


@pytest.mark.parametrize("tile", [TILE, SMALL_TILE])
@torch.no_grad()
def test_tiles_fit_together(tile: tuple[int, int]) -> None:
    vae, tiled = make_vae(), make_vae()
    decode_in_tiles(tiled, tile)
    rows, columns = tile
    generator = torch.Generator().manual_seed(8)
    for height, width in ((rows, columns), (rows + 1, columns), (rows, 2 * columns + 3), (2 * rows + 2, columns + 7)):
        latents = torch.randn(1, 3, 3, height, width, generator=generator)
        whole, in_tiles = vae.decode(latents).sample, tiled.decode(latents).sample
        assert in_tiles.shape == whole.shape == (1, 3, 9, 4 * height, 4 * width)
        assert torch.equal(in_tiles, whole) == ((height, width) == tile)  # nothing that fits in a tile is cut
        difference = (in_tiles - whole).square().mean().sqrt()
        assert difference < 0.2 * whole.std()  # tiles differ by what their normalisations see, slivers most
        pixels = torch.rand(1, 3, 1, 4 * height, 4 * width, generator=generator)
        assert tiled.encode(pixels).latent_dist.mean.shape == (1, 3, 1, height, width)


@torch.no_grad()
def test_tiles_can_be_for_a_while() -> None:
    vae = make_vae()
    seen: list[torch.Size] = []
    vae.decoder.conv_in.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape))
    latents = torch.randn(2, 3, 1, 7, 9)
    with decoding_in_tiles(vae, (6, 5)):
        vae.decode(latents)
    assert {shape[0] for shape in seen} == {1}
    assert len(seen) > 2
    seen.clear()
    vae.decode(latents)
    assert [(shape[0], *shape[-2:]) for shape in seen] == [(2, 7, 9)]


@pytest.mark.parametrize("mode", LOWER)
def test_several_videos_are_decoded_one_by_one(mode: MemoryMode) -> None:
    pipeline = offloaded(mode)
    batch_sizes = []
    pipeline.vae.decoder.conv_in.register_forward_pre_hook(lambda _, inputs: batch_sizes.append(inputs[0].shape[0]))
    make_video(pipeline, num_videos_per_prompt=3)
    assert batch_sizes == [1, 1, 1]


def test_full_mode_leaves_the_pipeline_as_it_is() -> None:
    pipeline = make_pipeline()
    pipeline.apply_memory_plan(MemoryPlan(mode=MemoryMode.FULL), CPU)
    assert not pipeline.vae.use_tiling
    assert not pipeline.vae.use_slicing
    assert not any(hasattr(module, "_diffusers_hook") for module in pipeline.transformer.modules())
    assert torch.equal(make_video(pipeline), make_video(make_pipeline()))


def test_auto_is_no_mode_of_its_own() -> None:
    with pytest.raises(ValueError, match="auto"):
        make_pipeline().apply_memory_plan(MemoryPlan(mode=MemoryMode.AUTO), CPU)


def test_a_model_is_loaded_in_a_mode(tmp_path: Path) -> None:
    make_pipeline(face_encoder=make_face_stack()).save_pretrained(tmp_path)
    for memory, mode in (("auto", "full"), ("full", "full"), ("low", "low"), (MemoryMode.MINIMAL, "minimal")):
        pipeline = load_pipeline(tmp_path, device="cpu", memory=memory)
        assert pipeline.execution.memory.mode == mode
        assert (pipeline.execution.memory.reason is None) == (mode == "full")
        assert pipeline.vae.use_tiling == (mode != "full")
        make_video(pipeline)
    with pytest.raises(ValueError, match="huge"):
        load_pipeline(tmp_path, device="cpu", memory="huge")


def test_the_ladder() -> None:
    below = [next_lower(mode, on_processor=False) for mode in MEMORY_LADDER]
    assert below == ["balanced", "low", "minimal", None]
    on_processor = [next_lower(mode, on_processor=True) for mode in ("full", "balanced", "minimal")]
    assert on_processor == ["balanced", "minimal", None]
