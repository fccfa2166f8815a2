import torch

from ingredients.training.noise import NoiseSchedule, build_scheduler


def test_noise_and_velocity_are_the_schedulers() -> None:
    scheduler = build_scheduler()
    schedule = NoiseSchedule(scheduler)
    generator = torch.Generator().manual_seed(0)
    latents, noise = (torch.randn(3, 2, 4, 5, 6, generator=generator) for _ in range(2))
    timesteps = torch.tensor([0, 417, 999])
    torch.testing.assert_close(
        schedule.add_noise(latents, noise, timesteps), scheduler.add_noise(latents, noise, timesteps)
    )
    torch.testing.assert_close(
        schedule.velocity(latents, noise, timesteps), scheduler.get_velocity(latents, noise, timesteps)
    )


def test_the_last_level_is_pure_noise() -> None:
    schedule = NoiseSchedule(build_scheduler())
    assert float(schedule.signal[-1]) == 0.0
    assert float(schedule.noise[-1]) == 1.0


def test_timesteps_are_uniform_and_spread_within_a_batch() -> None:
    schedule = NoiseSchedule(build_scheduler())
    generator = torch.Generator().manual_seed(0)
    batches = torch.stack([schedule.draw_timesteps(10, generator) for _ in range(400)])
    assert torch.equal(batches.sort(dim=1).values // 100, torch.arange(10).expand(400, 10))
    first = batches[:, 0].float()
    assert abs(float(first.mean()) - 499.5) < 50
    assert abs(float(first.std()) - 288) < 30
