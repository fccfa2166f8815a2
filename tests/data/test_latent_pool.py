import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKLCogVideoX

from ingredients.core.errors import UserInputError
from ingredients.data.encode import encode_clips, video_to_pixels
from ingredients.data.latent_pool import LatentPool, grow_pool, pool_fingerprint
from ingredients.data.world_clips import WorldClipConfig, draw_world_clip


def test_the_pool_holds_what_was_drawn_and_encoded(
    pool_folder: Path, tiny_vae: AutoencoderKLCogVideoX, clip_config: WorldClipConfig
) -> None:
    pool = LatentPool(pool_folder, pool_fingerprint(tiny_vae, clip_config))
    assert len(pool) == 6
    for index in (0, 5):
        clip, encoded = draw_world_clip(index, clip_config), pool[index]
        latents = encode_clips(tiny_vae, video_to_pixels(clip.frames[None]))[0]
        assert encoded.latents.shape == (3, 3, 16, 24)
        torch.testing.assert_close(encoded.latents.float(), latents, atol=2e-3, rtol=2e-3)
        assert encoded.caption == clip.caption
        assert np.array_equal(encoded.face_crops.numpy(), clip.face_crops)
        assert np.array_equal(encoded.recogniser_crops.numpy(), clip.recogniser_crops)
        assert encoded.routing_targets.tolist() == clip.routing_targets.tolist()
        assert encoded.nearest_targets.tolist() == clip.nearest_targets.tolist()


def test_a_growing_pool_is_picked_up_and_finished_shards_are_kept(
    pool_folder: Path, tmp_path: Path, tiny_vae: AutoencoderKLCogVideoX, clip_config: WorldClipConfig
) -> None:
    folder = tmp_path / "pool"
    shutil.copytree(pool_folder, folder)
    (folder / "shard-00000004.safetensors").unlink()
    written = (folder / "shard-00000000.safetensors").stat().st_mtime_ns
    pool = LatentPool(folder, pool_fingerprint(tiny_vae, clip_config))
    assert len(pool) == 4
    grow_pool(folder, tiny_vae, clip_config, num_clips=6, shard_size=4)
    pool.refresh()
    assert len(pool) == 6
    assert (folder / "shard-00000000.safetensors").stat().st_mtime_ns == written


def test_a_stale_pool_is_refused(
    pool_folder: Path, tiny_vae: AutoencoderKLCogVideoX, clip_config: WorldClipConfig
) -> None:
    with pytest.raises(UserInputError, match="delete the folder"):
        LatentPool(pool_folder, pool_fingerprint(tiny_vae, WorldClipConfig(crop_size=32, portrait_size=48)))
    changed = AutoencoderKLCogVideoX.from_config(tiny_vae.config)
    with pytest.raises(UserInputError, match="another VAE"):
        grow_pool(pool_folder, changed, clip_config, num_clips=6)
    with pytest.raises(UserInputError, match="train the part"):
        LatentPool(pool_folder / "nothing", pool_fingerprint(tiny_vae, clip_config))


def test_the_decoder_does_not_change_the_fingerprint(
    tiny_vae: AutoencoderKLCogVideoX, clip_config: WorldClipConfig
) -> None:
    other = AutoencoderKLCogVideoX.from_config(tiny_vae.config)
    other.load_state_dict(tiny_vae.state_dict())
    torch.nn.init.ones_(other.decoder.conv_out.conv.weight)
    assert pool_fingerprint(other, clip_config) == pool_fingerprint(tiny_vae, clip_config)
    torch.nn.init.ones_(other.encoder.conv_out.conv.weight)
    assert pool_fingerprint(other, clip_config) != pool_fingerprint(tiny_vae, clip_config)


def test_photos_are_no_frames_of_the_clip_and_differ_from_each_other(clip_config: WorldClipConfig) -> None:
    clip = draw_world_clip(3, clip_config)
    first, second = clip.face_crops[0].astype(int)
    assert np.abs(first - second).mean() > 1
