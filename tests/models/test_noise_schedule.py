import torch

from ingredients.models.cogvideox import COGVIDEOX


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


def test_the_last_level_is_pure_noise() -> None:
    schedule = COGVIDEOX.noise_schedule(COGVIDEOX.make_scheduler())
    assert float(schedule.signal[-1]) == 0.0
    assert float(schedule.noise[-1]) == 1.0


def test_levels_are_shares_of_the_timesteps() -> None:
    schedule = COGVIDEOX.noise_schedule(COGVIDEOX.make_scheduler())
    assert schedule.timesteps(torch.tensor([0.0, 0.4175, 0.9999999])).tolist() == [0, 417, 999]
