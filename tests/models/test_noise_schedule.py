import pytest
import torch

from ingredients.models.cogvideox import COGVIDEOX
from ingredients.models.noise_schedule import draw_noise


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


def test_the_last_level_is_pure_noise() -> None:
    schedule = COGVIDEOX.noise_schedule(COGVIDEOX.make_scheduler())
    assert float(schedule.signal[-1]) == 0.0
    assert float(schedule.noise[-1]) == 1.0


def test_levels_are_shares_of_the_timesteps() -> None:
    schedule = COGVIDEOX.noise_schedule(COGVIDEOX.make_scheduler())
    assert schedule.timesteps(torch.tensor([0.0, 0.4175, 0.9999999])).tolist() == [0, 417, 999]
