from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKLCogVideoX

from ingredients.data.batches import draw_batch, face_crops
from ingredients.data.latent_pool import LatentPool, pool_fingerprint
from ingredients.data.world_clips import WorldClipConfig
from ingredients.faces.canvas import compose_canvas


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def open_pool(folder: Path, vae: AutoencoderKLCogVideoX, config: WorldClipConfig) -> LatentPool:
    return LatentPool(folder, pool_fingerprint(vae, config))


def test_the_same_generator_draws_the_same_batch(
    pool_folder: Path, tiny_vae: AutoencoderKLCogVideoX, clip_config: WorldClipConfig
) -> None:
    pool = open_pool(pool_folder, tiny_vae, clip_config)
    first, second, other = (
        draw_batch(pool, 5, generator(seed), caption_drop=0.5, with_canvases=True) for seed in (1, 1, 2)
    )
    assert first.photo_keys == second.photo_keys != other.photo_keys
    assert first.captions == second.captions
    assert torch.equal(first.latents, second.latents)
    assert torch.equal(first.routing_targets, second.routing_targets)
    assert first.canvases is not None
    assert second.canvases is not None
    assert np.array_equal(first.canvases, second.canvases)


def test_targets_follow_the_order_of_the_photos(
    pool_folder: Path, tiny_vae: AutoencoderKLCogVideoX, clip_config: WorldClipConfig
) -> None:
    pool = open_pool(pool_folder, tiny_vae, clip_config)
    orders = set()
    for seed in range(12):
        batch = draw_batch(pool, 4, generator(seed), caption_drop=0.0, with_canvases=True)
        for row, keys in enumerate(batch.photo_keys):
            clip = pool[keys[0][0]]
            for identity, (_, person, _) in enumerate(keys):
                assert torch.equal(batch.routing_targets[row] == identity, clip.routing_targets == person)
                assert torch.equal(batch.nearest_targets[row] == identity, clip.nearest_targets == person)
                assert torch.equal(batch.face_landmarks[row, identity].isnan(), clip.face_landmarks[person].isnan())
                landmarks = clip.face_landmarks[person].nan_to_num(0)
                assert torch.equal(batch.face_landmarks[row, identity].nan_to_num(0), landmarks)
            assert batch.face_landmarks[row, len(keys) :].isnan().all()
            assert torch.equal(batch.routing_targets[row] == -1, clip.routing_targets == -1)
            assert batch.canvases is not None
            assert np.array_equal(batch.canvases[row], compose_canvas(face_crops(clip, keys), 64, 96))
            orders.add(tuple(person for _, person, _ in keys))
    assert {(0, 1), (1, 0)} <= orders


def test_captions_are_dropped_as_often_as_asked(
    pool_folder: Path, tiny_vae: AutoencoderKLCogVideoX, clip_config: WorldClipConfig
) -> None:
    pool = open_pool(pool_folder, tiny_vae, clip_config)
    batch = draw_batch(pool, 2000, generator(0), caption_drop=0.1, with_canvases=False)
    assert abs(sum(caption == "" for caption in batch.captions) / 2000 - 0.1) < 0.03
    assert batch.canvases is None


def test_images_are_the_first_latent_frame(
    pool_folder: Path, tiny_vae: AutoencoderKLCogVideoX, clip_config: WorldClipConfig
) -> None:
    pool = open_pool(pool_folder, tiny_vae, clip_config)
    clips = draw_batch(pool, 3, generator(4), caption_drop=0.0, with_canvases=False)
    images = draw_batch(pool, 3, generator(4), caption_drop=0.0, with_canvases=False, num_latent_frames=1)
    assert torch.equal(images.latents, clips.latents[:, :1])
    assert torch.equal(images.routing_targets, clips.routing_targets[:, : 8 * 12])
