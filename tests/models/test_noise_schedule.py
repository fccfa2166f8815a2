import pytest
import torch
from diffusers import CogVideoXDDIMScheduler

from ingredients.models import IngredientsTransformer3DModel
from ingredients.models.cogvideox import COGVIDEOX
from ingredients.models.noise_schedule import SampleSchedule, VelocitySchedule, draw_noise
from ingredients.models.presets import acting_world


def test_noise_and_velocity_are_the_schedulers() -> None:
    scheduler = COGVIDEOX.make_scheduler()
    schedule = COGVIDEOX.noise_schedule(scheduler)
    generator = torch.Generator().manual_seed(0)
    latents, noise = (torch.randn(3, 2, 4, 5, 6, generator=generator) for _ in range(2))
    timesteps = torch.tensor([0, 417, 999])
    torch.testing.assert_close(
        schedule.add_noise(latents, noise, timesteps), scheduler.add_noise(latents, noise, timesteps)
    )
    torch.testing.assert_close(
        schedule.target(latents, noise, timesteps), scheduler.get_velocity(latents, noise, timesteps)
    )


@pytest.mark.parametrize("sharing", [0.0, 0.3, 1.0])
def test_frames_share_a_part_of_the_noise_and_each_value_stays_normal(sharing: float) -> None:
    generator = torch.Generator().manual_seed(1)
    noise = draw_noise((2, 3, 4, 50, 60), sharing=sharing, generator=generator)
    assert noise.shape == (2, 3, 4, 50, 60)
    frames = noise.flatten(2)  # (B, F, values): 12,000 each
    expected = sharing + (1 - sharing) * torch.eye(3)
    torch.testing.assert_close(frames[0] @ frames[0].T / frames.shape[2], expected, atol=0.04, rtol=0)
    assert abs(float((frames[0, 0] * frames[1, 0]).mean())) < 0.04  # videos share nothing
    if sharing == 0:
        plain = torch.randn(2, 3, 4, 50, 60, generator=torch.Generator().manual_seed(1))
        assert torch.equal(noise, plain)


def test_frames_of_tokens_share_noise_and_the_frames_within_them_do_not() -> None:
    transformer = IngredientsTransformer3DModel(
        **acting_world() | {"num_layers": 0, "noise_sharing": 0.6, "patch_size_t": 2}
    )
    noise = transformer.draw_noise((2, 6, 4, 50, 60), generator=torch.Generator().manual_seed(1))
    frames = noise.flatten(2)  # (B, F, values)
    expected = 0.6 * torch.eye(2).repeat(3, 3) + 0.4 * torch.eye(6)
    torch.testing.assert_close(frames[1] @ frames[1].T / frames.shape[2], expected, atol=0.04, rtol=0)


def test_the_last_level_is_pure_noise() -> None:
    schedule = COGVIDEOX.noise_schedule(COGVIDEOX.make_scheduler())
    assert float(schedule.signal[-1]) == 0.0
    assert float(schedule.noise[-1]) == 1.0


def test_levels_are_shares_of_the_timesteps() -> None:
    schedule = COGVIDEOX.noise_schedule(COGVIDEOX.make_scheduler())
    assert schedule.timesteps(torch.tensor([0.0, 0.4175, 0.9999999])).tolist() == [0, 417, 999]


def test_a_scheduler_that_reads_clean_latents_has_them_for_a_target() -> None:
    usual = COGVIDEOX.make_scheduler()
    scheduler = CogVideoXDDIMScheduler.from_config(usual.config, prediction_type="sample", snr_shift_scale=4.0)
    schedule = COGVIDEOX.noise_schedule(scheduler)
    assert type(schedule) is SampleSchedule
    assert type(COGVIDEOX.noise_schedule(usual)) is VelocitySchedule
    generator = torch.Generator().manual_seed(0)
    latents, noise, guess = (torch.randn(3, 2, 4, 5, 6, generator=generator) for _ in range(3))
    timesteps = torch.tensor([20, 417, 998])
    noisy = schedule.add_noise(latents, noise, timesteps)
    torch.testing.assert_close(noisy, scheduler.add_noise(latents, noise, timesteps))
    assert torch.equal(schedule.target(latents, noise, timesteps), latents)
    assert torch.equal(schedule.clean_latents(noisy, guess, timesteps), guess)
    # an error counts as that of the velocity it means, up to five times
    velocity = VelocitySchedule(scheduler.alphas_cumprod)
    as_velocity = velocity.prediction_of(noisy, guess, timesteps) - velocity.target(latents, noise, timesteps)
    errors = (guess - latents).square().mean(dim=(1, 2, 3, 4))
    weights = schedule.loss_weight(timesteps)
    noise_levels = (1 - scheduler.alphas_cumprod[timesteps]).sqrt().float()
    expected = (1 / noise_levels.square()).clamp(max=5)
    torch.testing.assert_close(weights, expected)
    free = expected < 5
    assert free.tolist() == [False, True, True]
    torch.testing.assert_close((errors * weights)[free], as_velocity.square().mean(dim=(1, 2, 3, 4))[free])


@pytest.mark.parametrize("kind", [VelocitySchedule, SampleSchedule])
def test_clean_latents_and_predictions_are_each_others_inverse(kind: type[VelocitySchedule]) -> None:
    schedule = kind(COGVIDEOX.make_scheduler().alphas_cumprod)
    generator = torch.Generator().manual_seed(0)
    noisy, clean = (torch.randn(2, 2, 4, 5, 6, generator=generator) for _ in range(2))
    timesteps = torch.tensor([300, 999])
    prediction = schedule.prediction_of(noisy, clean, timesteps)
    torch.testing.assert_close(schedule.clean_latents(noisy, prediction, timesteps), clean)
