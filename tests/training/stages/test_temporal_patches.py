"""Temporal patches, and a VAE that knows no time, from clips to a video: encode, align, route, denoise."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from ingredients.core.errors import UserInputError
from ingredients.core.token_time import front_padding, token_frames
from ingredients.data.encoded_clips import EncodedClips
from ingredients.data.latents import decode_clips, encode_clips, encode_images, video_to_pixels
from ingredients.data.world_examples import draw_example
from ingredients.models.cogvideox import COGVIDEOX
from ingredients.pipelines.people import PeopleEmbeds
from ingredients.training.loop.stage import StepPosition
from ingredients.training.runs.start import ModelConfig, load_start
from ingredients.training.stages.alignment import AlignmentStage
from ingredients.training.stages.base import BaseStage
from ingredients.training.stages.diffusion import FrozenParts
from ingredients.training.stages.router import RouterStage
from ingredients.training.stages.settings import AlignmentConfig, BaseConfig, RouterConfig
from tests.data.encoding import WORLD, encode_world
from tests.models.tiny import tiny_cogvideox_vae
from tests.pipelines.stand_ins import make_pipeline
from tests.training.conftest import TinyWorld, compute_step

Case = tuple[int, int, int]
"""Temporal ratio of the VAE, `patch_size_t`, frames."""

CASES = [(1, 2, 7), (1, 4, 12), (1, 4, 9), (4, 2, 9), (2, 2, 13)]


@pytest.fixture(scope="module", params=CASES, ids=str)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Case, FrozenParts]:
    temporal_ratio, patch_size_t, num_frames = request.param
    vae = tiny_cogvideox_vae(temporal_compression_ratio=temporal_ratio)
    folder = tmp_path_factory.mktemp("clips")
    world = dataclasses.replace(WORLD, num_frames=num_frames)
    encode_world(folder, vae, number=4, world=world, patch_size_t=patch_size_t)
    clips = EncodedClips([folder])
    return request.param, FrozenParts(vae=vae, clips=clips, validation_clips=clips)


def test_targets_follow_the_frames_of_the_tokens(case: tuple[Case, FrozenParts]) -> None:
    (temporal_ratio, patch_size_t, num_frames), parts = case
    groups = token_frames(num_frames, temporal_ratio=temporal_ratio, patch_size_t=patch_size_t)
    entry = parts.clips.entries[0]
    example = draw_example(int(entry.clip_id.rpartition("-")[2]), dataclasses.replace(WORLD, num_frames=num_frames))
    targets = parts.clips.tensor(0, "routing_targets").view(len(groups), 8, 12)
    assert (targets >= 0).any()
    for index, group in enumerate(groups):
        masks = example.face_masks[group.start : group.stop].astype(np.float64)  # (frames, N, 64, 96)
        cells = masks.reshape(len(masks), masks.shape[1], 8, 8, 12, 8).mean(axis=(0, 3, 5))
        expected = np.where(cells.max(axis=0) >= 0.5, cells.argmax(axis=0), -1)
        assert np.array_equal(targets[index].numpy(), expected)


@pytest.mark.parametrize("is_image", [False, True])
def test_every_stage_takes_a_step_on_clips_and_images(
    case: tuple[Case, FrozenParts], tiny_world: TinyWorld, is_image: bool
) -> None:
    (temporal_ratio, patch_size_t, num_frames), parts = case
    position = StepPosition(step=0, progress=0.0, seed=0)
    images = {"image_share": 1.0 if is_image else 0.0, "image_batch_size": 3}
    stages = [
        BaseStage(
            tiny_world.transformer(identity_modules=False, patch_size_t=patch_size_t),
            parts,
            BaseConfig(batch_size=3, face_weight=2.0, **images),
            "i2v",
        ),
        AlignmentStage(
            tiny_world.transformer(patch_size_t=patch_size_t),
            parts,
            AlignmentConfig(batch_size=3, lora_rank=2, face_weight=2.0, **images),
        ),
        RouterStage(
            tiny_world.transformer(patch_size_t=patch_size_t), parts, RouterConfig(batch_size=3, lora_rank=2, **images)
        ),
    ]
    num_latents = 1 + (num_frames - 1) // temporal_ratio
    padding = front_padding(num_latents, patch_size_t)
    for stage in stages:
        (batch,) = stage.data.draw(position)
        shown = patch_size_t if is_image else num_latents + padding
        assert batch.latents.shape == (3, shown, 3, 16, 24)
        assert batch.num_padding_frames == padding
        assert batch.routing_targets.shape == (3, shown // patch_size_t * 8 * 12)
        assert torch.equal(batch.latents[:, :1].expand(-1, padding, -1, -1, -1), batch.latents[:, 1 : padding + 1])
        output = compute_step(stage)
        output.loss.backward()
        assert torch.isfinite(output.loss)
    weight = stages[1].loss_weight(batch)
    assert weight.shape == (3, shown, 1, 16, 24)
    torch.testing.assert_close(weight.mean(dim=(1, 2, 3, 4)), torch.ones(3))
    canvas = stages[1].canvas_latents(batch)
    assert canvas[:, : 1 + padding].any(dim=(2, 3, 4)).all()
    assert not canvas[:, 1 + padding :].any()


def test_the_copies_in_front_get_the_noise_of_the_canvas(
    case: tuple[Case, FrozenParts], tiny_world: TinyWorld
) -> None:
    (_, patch_size_t, _), parts = case
    config = AlignmentConfig(batch_size=3, lora_rank=2, image_noise=0.5)
    stage = AlignmentStage(tiny_world.transformer(patch_size_t=patch_size_t), parts, config)
    (batch,) = stage.data.draw(StepPosition(step=0, progress=0.0, seed=0))
    noisy = stage.shown_canvas(batch, torch.ones(3, dtype=torch.bool))
    shown = noisy[:, : 1 + batch.num_padding_frames]
    assert not torch.equal(shown, stage.canvas_latents(batch)[:, : shown.shape[1]])
    assert torch.equal(shown, shown[:, :1].expand_as(shown))
    assert not noisy[:, shown.shape[1] :].any()


def test_a_video_of_temporal_patches(case: tuple[Case, FrozenParts], tiny_world: TinyWorld) -> None:
    (temporal_ratio, patch_size_t, num_frames), parts = case
    if temporal_ratio > 1 and (num_frames - 1) % (2 * temporal_ratio):
        num_frames = 1 + 2 * temporal_ratio
    pipeline = make_pipeline()
    pipeline.register_modules(
        vae=parts.vae,
        transformer=tiny_world.transformer(
            patch_size_t=patch_size_t, text_embed_dim=pipeline.transformer.config.text_embed_dim
        ).eval(),
    )
    groups = token_frames(num_frames, temporal_ratio=temporal_ratio, patch_size_t=patch_size_t)
    people = {
        "people": PeopleEmbeds(
            id_embeds=torch.randn(2, 9, generator=torch.Generator().manual_seed(1)),
            id_vit_hidden_states=[torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(2)) for _ in range(5)],
        ),
        "canvas": np.full((64, 96, 3), 200, np.uint8),
    }
    call = {"prompt": "a person waves", "num_inference_steps": 2, "generator": 5, "height": 64, "width": 96}
    made = pipeline(**call, **people, num_frames=num_frames, output_routing_maps=True, output_type="np")
    assert made.frames.shape == (1, num_frames, 64, 96, 3)
    assert made.routing_maps.shape[-3:] == (len(groups), 8, 12)
    latents = pipeline(**call, **people, num_frames=num_frames, output_type="latent").frames
    assert latents.shape == (1, 1 + (num_frames - 1) // temporal_ratio, 3, 16, 24)
    assert pipeline.geometry.token_frames(num_frames) == groups
    other = people | {"canvas": np.full((64, 96, 3), 20, np.uint8)}
    assert not np.array_equal(pipeline(**call, **other, num_frames=num_frames, output_type="np").frames, made.frames)


def test_a_vae_without_compression_in_time_treats_frames_as_pictures() -> None:
    vae = tiny_cogvideox_vae(temporal_compression_ratio=1)
    frames = np.random.default_rng(0).integers(0, 255, (2, 11, 16, 24, 3), dtype=np.uint8)
    latents = encode_clips(vae, video_to_pixels(frames))
    assert latents.shape == (2, 11, 3, 4, 6)
    alone = torch.stack([encode_images(vae, frames[:, frame])[:, 0] for frame in range(11)], dim=1)
    torch.testing.assert_close(latents, alone)
    decoded = decode_clips(vae, latents)
    assert decoded.shape == (2, 3, 11, 16, 24)
    for frame in (0, 7):
        torch.testing.assert_close(decoded[:, :, frame], decode_clips(vae, latents[:, frame : frame + 1])[:, :, 0])


def test_positions_of_temporal_patches_are_counted_from_the_corner(tiny_world: TinyWorld) -> None:
    """As CogVideoX 1.5 does: a smaller video has the same positions in its corner."""
    config = tiny_world.transformer(patch_size_t=2).config
    whole = COGVIDEOX.positions(config, num_frames=4, height=16, width=24)
    part = COGVIDEOX.positions(config, num_frames=2, height=8, width=12)
    for large, small in zip(whole, part, strict=True):
        torch.testing.assert_close(large.view(2, 8, 12, -1)[:1, :4, :6], small.view(1, 4, 6, -1))


def test_clips_that_were_encoded_for_other_patches_are_refused(
    case: tuple[Case, FrozenParts], tiny_world: TinyWorld, tmp_path: Path
) -> None:
    (_, patch_size_t, _), parts = case
    tiny_world.transformer(identity_modules=False, patch_size_t=3).save_pretrained(tmp_path / "transformer")
    with pytest.raises(UserInputError, match=f"patch_size_t=3, and the clips were encoded for {patch_size_t}"):
        load_start(ModelConfig(folder=str(tmp_path)), tmp_path, parts.clips.descriptions[0]["widths"], empty=True)
