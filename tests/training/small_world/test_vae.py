"""The VAE's own training: what a latent frame keeps of the motion, and a VAE without compression in time."""

from pathlib import Path

import pytest
import torch

from ingredients.training.loop.settings import TrainerConfig
from ingredients.training.small_world.parts import PARTS
from ingredients.training.small_world.settings import VaeConfig
from ingredients.training.small_world.vae import VaeStage, change_kept


def tiny(**settings: object) -> VaeConfig:
    values = {
        "block_out_channels": (4, 8, 8, 12),
        "latent_channels": 3,
        "norm_num_groups": 4,
        "temporal_compression_ratio": 1,
        "height": 48,
        "width": 72,
        "style": "each-own",
        "crop_size": 32,
        "image_batch_size": 2,
        "num_frames": 9,
        "num_pool_images": 8,
        "num_validation_clips": 2,
        "trainer": TrainerConfig(num_steps=2, num_warmup_steps=1),
    }
    return VaeConfig(**(values | settings))  # type: ignore[arg-type]


def test_change_is_told_by_the_transitions_place_in_a_latent_frame() -> None:
    """Frames 0 | 1 2 3 4 | 5 6 7 8: the first share is of 0-1 and 4-5, the others of 1-2 and 5-6, and so on."""
    generator = torch.Generator().manual_seed(0)
    truth = 0.2 * torch.rand(2, 3, 9, 5, 7, generator=generator)  # what is put together of it stays within -1..1
    shares = (0.9, 0.5, 0.25, 0.1) * 2
    frames = [truth[:, :, 0]]
    for step, share in enumerate(shares):
        frames.append(frames[-1] + share * (truth[:, :, step + 1] - truth[:, :, step]))
    kept = change_kept(torch.stack(frames, 2), truth, tiny(temporal_compression_ratio=4))
    assert kept == pytest.approx([0.9, 0.5, 0.25, 0.1], rel=1e-5)
    assert change_kept(truth, truth, tiny()) == pytest.approx([1.0])


def test_without_compression_in_time_every_frame_is_a_picture_by_itself() -> None:
    stage = VaeStage(tiny())
    assert stage.clips is None  # no clips are drawn that nobody trains on
    clip = torch.rand(1, 3, 5, 48, 72) * 2 - 1
    with torch.no_grad():
        latents, decoded = stage._code(clip)
        alone, frame = stage._code(clip[:, :, 3:4])
    assert latents.shape == (1, 3, 5, 6, 9)
    assert torch.allclose(latents[:, :, 3:4], alone, atol=1e-5)
    assert torch.allclose(decoded[:, :, 3:4], frame, atol=1e-5)


def test_it_trains_and_says_what_it_keeps(tmp_path: Path) -> None:
    metrics = PARTS["vae"].run(tmp_path, tiny(), show=False)
    assert {"psnr", "psnr_worst_frame", "motion_1", "scaling_factor"} <= set(metrics)
    assert "motion_2" not in metrics
    assert metrics["psnr_worst_frame"] <= metrics["psnr"] + 1e-6


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"crop_size": 36}, "crop_size must be a multiple of 8, not 36"),
        ({"width": 100}, "width must be a multiple of 8, not 100"),
        ({"temporal_compression_ratio": 3}, "temporal_compression_ratio must be 1, 2 or 4, not 3"),
        ({"style": "alone"}, "style must be one of together, each-own, not alone"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tiny(**settings)
