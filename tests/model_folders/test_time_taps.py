"""Kernels that look at one frame are stored without their empty taps, and read with them."""

import pytest
import torch
from diffusers import AutoencoderKLCogVideoX
from safetensors.torch import load_file, save_file

from ingredients.core.errors import ModelFolderError
from ingredients.model_folders.components import load_vae
from ingredients.model_folders.time_taps import leave_empty_taps_out

WEIGHTS = "diffusion_pytorch_model.safetensors"


def tiny_vae(*, is_still):
    torch.manual_seed(5)
    vae = AutoencoderKLCogVideoX(
        block_out_channels=(4, 8),
        latent_channels=3,
        layers_per_block=1,
        norm_num_groups=2,
        down_block_types=("CogVideoXDownBlock3D",) * 2,
        up_block_types=("CogVideoXUpBlock3D",) * 2,
        temporal_compression_ratio=1,
    ).eval()
    with torch.no_grad():
        for kernel in vae.parameters():
            if is_still and kernel.ndim == 5 and kernel.shape[2] == 3:
                kernel[:, :, :-1] = 0
    return vae


def test_a_vae_of_single_frames_is_stored_in_a_third_and_read_as_it_was(tmp_path):
    vae = tiny_vae(is_still=True)
    vae.save_pretrained(tmp_path)
    size = (tmp_path / WEIGHTS).stat().st_size
    leave_empty_taps_out(tmp_path)
    assert (tmp_path / WEIGHTS).stat().st_size < 0.6 * size
    assert load_file(tmp_path / WEIGHTS)["decoder.conv_in.conv.weight"].shape == (8, 3, 1, 3, 3)
    read = load_vae(tmp_path, dtype=torch.float32)
    assert all(torch.equal(tensor, read.state_dict()[name]) for name, tensor in vae.state_dict().items())
    clip = torch.rand(1, 3, 3, 16, 32)
    assert torch.equal(read.encode(clip).latent_dist.mode(), vae.encode(clip).latent_dist.mode())


def test_a_vae_that_looks_at_time_is_left_as_it_is(tmp_path):
    tiny_vae(is_still=False).save_pretrained(tmp_path)
    before = (tmp_path / WEIGHTS).read_bytes()
    leave_empty_taps_out(tmp_path)
    assert (tmp_path / WEIGHTS).read_bytes() == before


def test_kernels_of_another_shape_are_refused(tmp_path):
    vae = tiny_vae(is_still=True)
    weights = vae.state_dict()
    weights["decoder.conv_in.conv.weight"] = torch.zeros(8, 3, 1, 3, 1)
    vae.save_pretrained(tmp_path)
    save_file(weights, tmp_path / WEIGHTS)
    with pytest.raises(ModelFolderError, match=r"decoder.conv_in.conv.weight of shape \(8, 3, 1, 3, 1\)"):
        load_vae(tmp_path, dtype=torch.float32)
