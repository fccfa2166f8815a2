"""What a backbone says of itself, by CogVideoX's classes and by a flow that nobody has built yet."""

import ast
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, AutoencoderKLCogVideoX

import ingredients
from ingredients.models.backbones import backbone_of_vae
from ingredients.models.cogvideox import COGVIDEOX
from ingredients.models.noise_schedule import NoiseSchedule
from tests.models.tiny import tiny_cogvideox_vae


@pytest.fixture(scope="module")
def vae() -> AutoencoderKLCogVideoX:
    return tiny_cogvideox_vae(block_out_channels=(4, 6, 8), temporal_compression_ratio=2, scaling_factor=0.7)


def test_a_vae_says_which_backbone_it_is_of(vae: AutoencoderKLCogVideoX) -> None:
    assert backbone_of_vae(vae) is COGVIDEOX
    with pytest.raises(ValueError, match="AutoencoderKL is the VAE of no backbone"):
        backbone_of_vae(AutoencoderKL(block_out_channels=(4,), norm_num_groups=2))


@torch.no_grad()
def test_ratios_and_scaling_are_what_the_vae_does(vae: AutoencoderKLCogVideoX) -> None:
    pixels = torch.randn(1, 3, 5, 8, 12, generator=torch.Generator().manual_seed(1))
    raw = vae.encode(pixels).latent_dist.mode()
    assert raw.shape == (1, 3, 1 + 4 // COGVIDEOX.temporal_ratio(vae.config), 2, 3)
    assert pixels.shape[-1] // raw.shape[-1] == COGVIDEOX.spatial_ratio(vae.config) == 4
    scaled = COGVIDEOX.normalise(vae, raw)
    torch.testing.assert_close(scaled, 0.7 * raw)
    torch.testing.assert_close(COGVIDEOX.denormalise(vae, scaled), raw)


class Flow(NoiseSchedule):
    """Straight lines from latents to noise (rectified flow), as another backbone would have it."""

    num_timesteps = 1000

    def _share(self, timesteps: torch.Tensor) -> torch.Tensor:
        return (timesteps / self.num_timesteps)[:, None, None, None, None]

    def add_noise(self, latents: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        return torch.lerp(latents, noise, self._share(timesteps))

    def target(self, latents: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        return noise - latents

    def clean_latents(self, noisy: torch.Tensor, prediction: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        return noisy - self._share(timesteps) * prediction

    def prediction_of(self, noisy: torch.Tensor, clean: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        return (noisy - clean) / self._share(timesteps)

    def signal_share(self, timesteps: torch.Tensor) -> torch.Tensor:
        return 1 - timesteps / self.num_timesteps


@pytest.mark.parametrize("schedule", [COGVIDEOX.noise_schedule(COGVIDEOX.make_scheduler()), Flow()])
def test_a_right_prediction_gives_the_latents_back(schedule: NoiseSchedule) -> None:
    generator = torch.Generator().manual_seed(2)
    latents, noise = (torch.randn(3, 2, 4, 5, 6, generator=generator) for _ in range(2))
    timesteps = schedule.timesteps(torch.tensor([0.02, 0.4, 0.97]))
    noisy = schedule.add_noise(latents, noise, timesteps)
    assert (noisy - latents).flatten(1).norm(dim=1).diff().min() > 0  # the noisier, the farther
    right = schedule.target(latents, noise, timesteps)
    torch.testing.assert_close(schedule.clean_latents(noisy, right, timesteps), latents, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(schedule.prediction_of(noisy, latents, timesteps), right, rtol=1e-3, atol=1e-3)
    assert schedule.signal_share(timesteps).diff().max() < 0


MAY_NAME_IT = {
    "model_folders/origin.py": "its licence",
    "pipelines/execution/model_weights.py": "sizes of the published model",
    "pipelines/pipeline_ingredients.py": "diffusers' loader of its LoRAs",
    "pipelines/schedulers.py": "its DPM scheduler, whose steps remember more than others'",
    "training/runs/planned_stage.py": "sizes of the published model",
    "training/small_world/folders.py": "what the small model is made as",
    "training/small_world/pack.py": "what the small model is made as",
    "training/small_world/start.py": "what the small model is made as",
    "training/small_world/vae.py": "what the small model is made as",
}
"""Files outside of `models/` whose code names CogVideoX, and why."""


def test_whatever_else_uses_a_backbone_knows_it_by_its_description_alone() -> None:
    package = Path(ingredients.__file__).parent
    naming = set()
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [str(getattr(node, field, "")) for field in ("id", "attr", "name", "module")]
            if "models" not in path.relative_to(package).parts and any("cogvideox" in name.lower() for name in names):
                naming.add(path.relative_to(package).as_posix())
    assert naming == set(MAY_NAME_IT)
