import pytest
import torch
from diffusers import AutoencoderKLCogVideoX

from ingredients.data.latents import decode_clips, decode_pictures, encode_clips
from ingredients.models.cogvideox_vae import keep_present_frame_taps, on_single_frames, single_frame_convolutions


def test_the_single_frame_form_is_exact(tiny_vae: AutoencoderKLCogVideoX) -> None:
    pixels = torch.rand(2, 3, 1, 16, 24, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        latents = tiny_vae.encode(pixels).latent_dist.mode()
        decoded = tiny_vae.decode(latents).sample
        with single_frame_convolutions(tiny_vae):
            fast_latents = tiny_vae.encode(pixels).latent_dist.mode()
            fast_decoded = tiny_vae.decode(latents).sample
        again = tiny_vae.encode(pixels).latent_dist.mode()
    torch.testing.assert_close(fast_latents, latents, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(fast_decoded, decoded, atol=1e-5, rtol=1e-5)
    assert torch.equal(again, latents)


def test_without_taps_into_the_past_a_clip_is_a_row_of_images(tiny_vae: AutoencoderKLCogVideoX) -> None:
    vae = AutoencoderKLCogVideoX.from_config(tiny_vae.config).eval()
    keep_present_frame_taps(vae)
    frame = torch.rand(1, 3, 1, 16, 24, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        clip_latents = vae.encode(frame.expand(-1, -1, 9, -1, -1)).latent_dist.mode()
        with single_frame_convolutions(vae, taps="last"):
            image_latents = vae.encode(frame).latent_dist.mode()
    torch.testing.assert_close(clip_latents, image_latents.expand(-1, -1, 3, -1, -1), atol=1e-5, rtol=1e-5)


def test_a_clip_is_refused(tiny_vae: AutoencoderKLCogVideoX) -> None:
    with single_frame_convolutions(tiny_vae), pytest.raises(ValueError, match="one frame, not 9"):
        tiny_vae.encode(torch.zeros(1, 3, 9, 16, 24))


def test_latent_frames_are_decoded_as_pictures(tiny_vae: AutoencoderKLCogVideoX) -> None:
    latents = torch.randn(2, 3, tiny_vae.config.latent_channels, 4, 6, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        pictures = decode_pictures(tiny_vae, latents)
        for sample in range(2):
            for frame in range(3):
                alone = latents[sample, frame][None, :, None] / tiny_vae.config.scaling_factor
                expected = tiny_vae.decode(alone).sample[0, :, 0]
                torch.testing.assert_close(pictures[sample, frame], expected, rtol=1e-4, atol=1e-5)


def test_a_vae_on_single_frames_treats_every_frame_as_the_first(tiny_vae: AutoencoderKLCogVideoX) -> None:
    alone = on_single_frames(tiny_vae).eval()
    assert alone.config.temporal_compression_ratio == 1
    pixels = torch.rand(1, 3, 3, 16, 24, generator=torch.Generator().manual_seed(2))
    each = [encode_clips(tiny_vae, frame) for frame in torch.split(pixels, 1, dim=2)]
    latents = encode_clips(alone, pixels)
    torch.testing.assert_close(latents, torch.cat(each, dim=1), atol=1e-5, rtol=1e-5)
    with torch.no_grad():
        decoded = torch.cat([decode_clips(tiny_vae, latent) for latent in each], dim=2)
        torch.testing.assert_close(decode_clips(alone, latents), decoded, atol=1e-5, rtol=1e-5)
