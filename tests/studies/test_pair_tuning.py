from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import CogVideoXDDIMScheduler
from transformers import T5Config, T5EncoderModel

from ingredients.models.backbones import VideoScheduler
from ingredients.models.cogvideox import COGVIDEOX
from ingredients.studies.pair_tuning import PairTuningConfig, PairTuningStage, PlaceholderPrompts
from ingredients.training.loop.settings import TrainerConfig
from ingredients.training.loop.trainer import Trainer
from ingredients.training.small_world.text_encoder import build_tokenizer
from tests.training.conftest import TinyWorld, tiny_world  # noqa: F401 - a fixture

PHOTOS = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)


@pytest.fixture
def prompts() -> PlaceholderPrompts:
    torch.manual_seed(0)
    tokenizer = build_tokenizer()
    config = T5Config(
        vocab_size=len(tokenizer), d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2, dropout_rate=0.0
    )
    return PlaceholderPrompts(tokenizer, T5EncoderModel(config), max_length=20)


def stage(
    tiny_world: TinyWorld,  # noqa: F811
    prompts: PlaceholderPrompts,
    method: str,
    scheduler: VideoScheduler | None = None,
    **fields: object,
) -> PairTuningStage:
    transformer = tiny_world.transformer(in_channels=3, identity_modules=False, **fields)
    config = PairTuningConfig(method=method, num_vectors=3, lora_rank=2)  # type: ignore[arg-type]
    schedule = COGVIDEOX.noise_schedule(scheduler or COGVIDEOX.make_scheduler())
    return PairTuningStage(transformer, tiny_world.parts.vae, prompts, PHOTOS, config, schedule=schedule)


def test_placeholders_stand_behind_the_words(prompts: PlaceholderPrompts) -> None:
    vectors = torch.randn(2, 5, 8, requires_grad=True)
    embeds = prompts(["Two people wave.", "Two people wave on a beach at night."], list(vectors))
    assert embeds.shape == (2, 20, 8)
    (gradient,) = torch.autograd.grad(embeds.square().sum(), vectors)
    assert gradient.abs().sum(dim=-1).min() > 0
    plain = prompts(["Two people wave."], [vectors[0, :0]])
    ids = prompts.tokenizer("Two people wave.", padding="max_length", max_length=20, return_tensors="pt").input_ids
    torch.testing.assert_close(plain, prompts.text_encoder(ids)[0])
    long = prompts(["wave " * 40], [vectors[0]])  # the end of the sentence gives way, never a placeholder
    (gradient,) = torch.autograd.grad(long.square().sum(), vectors)
    assert gradient[0].abs().sum(dim=-1).min() > 0


@pytest.mark.parametrize("method", ["textual_inversion", "lora"])
def test_only_what_the_method_learns_is_learnt(
    tiny_world: TinyWorld,  # noqa: F811
    prompts: PlaceholderPrompts,
    method: str,
    tmp_path: Path,
) -> None:
    tuned = stage(tiny_world, prompts, method)
    before = {name: each.detach().clone() for name, each in tuned.transformer.named_parameters()}
    placeholders = tuned.placeholders.detach().clone()
    config = TrainerConfig(num_steps=3, learning_rate=1e-2, num_warmup_steps=0, schedule="constant", ema_decay=0.0)
    Trainer(tuned, tmp_path, config).fit(show=False)
    changed = {name for name, each in tuned.transformer.named_parameters() if not torch.equal(before[name], each)}
    if method == "lora":
        assert changed
        assert all(".lora_" in name for name in changed)
        assert torch.equal(tuned.placeholders, placeholders)
    else:
        assert not changed
        assert not torch.equal(tuned.placeholders, placeholders)


def test_each_person_is_seen_alone_and_both_together(
    tiny_world: TinyWorld,  # noqa: F811
    prompts: PlaceholderPrompts,
) -> None:
    tuned = stage(tiny_world, prompts, "textual_inversion")
    assert tuned.pictures == [(0,), (1,), (0, 1)]
    assert tuned.latents.shape == (3, 1, 3, 16, 24)
    embeds = tuned.prompt_embeds(["Two people wave."])
    assert embeds.shape == (1, 20, 8)
    with pytest.raises(ValueError, match="at least 1"):
        PairTuningConfig(num_vectors=0)


def test_a_still_picture_fills_the_temporal_patch_of_a_token(
    tiny_world: TinyWorld,  # noqa: F811
    prompts: PlaceholderPrompts,
    tmp_path: Path,
) -> None:
    tuned = stage(tiny_world, prompts, "lora", patch_size_t=2)
    assert tuned.latents.shape == (3, 2, 3, 16, 24)
    assert torch.equal(tuned.latents[:, 0], tuned.latents[:, 1])
    config = TrainerConfig(num_steps=1, num_warmup_steps=0, schedule="constant")
    Trainer(tuned, tmp_path, config).fit(show=False)
    assert torch.isfinite(tuned.training_step(torch.Generator(), progress=0.0).loss)


def test_a_pair_is_tuned_under_the_noise_that_the_model_knows(
    tiny_world: TinyWorld,  # noqa: F811
    prompts: PlaceholderPrompts,
) -> None:
    tuned = stage(tiny_world, prompts, "lora", patch_size_t=2, noise_sharing=1.0)
    seen: list[torch.Tensor] = []
    tuned.transformer.register_forward_pre_hook(lambda _, args, __: seen.append(args[0]), with_kwargs=True)
    tuned.training_step(torch.Generator().manual_seed(5), progress=0.0)

    again = torch.Generator().manual_seed(5)
    latents = tuned.latents[torch.randint(len(tuned.pictures), (tuned.config.batch_size,), generator=again)]
    noise = tuned.transformer.draw_noise(latents.shape, generator=again)
    timesteps = tuned.schedule.timesteps(torch.rand(len(latents), generator=again))
    torch.testing.assert_close(seen[0], tuned.schedule.add_noise(latents, noise, timesteps))
    assert not torch.equal(seen[0][:, 0], seen[0][:, 1])  # both frames of one token, which share no noise


def test_a_pair_is_tuned_towards_what_the_model_predicts(
    tiny_world: TinyWorld,  # noqa: F811
    prompts: PlaceholderPrompts,
) -> None:
    scheduler = CogVideoXDDIMScheduler.from_config(COGVIDEOX.make_scheduler().config, prediction_type="sample")
    tuned = stage(tiny_world, prompts, "lora", scheduler=scheduler)
    predicted: list[torch.Tensor] = []
    tuned.transformer.register_forward_hook(lambda *passed: predicted.append(passed[-1].sample.detach()))
    loss = tuned.training_step(torch.Generator().manual_seed(5), progress=0.0).loss

    again = torch.Generator().manual_seed(5)
    latents = tuned.latents[torch.randint(len(tuned.pictures), (tuned.config.batch_size,), generator=again)]
    tuned.transformer.draw_noise(latents.shape, generator=again)
    timesteps = tuned.schedule.timesteps(torch.rand(len(latents), generator=again))
    errors = (predicted[0] - latents).square().mean(dim=(1, 2, 3, 4))
    weights = (1 / (1 - scheduler.alphas_cumprod[timesteps].float())).clamp(max=5)
    torch.testing.assert_close(loss.detach(), (errors * weights).mean())
