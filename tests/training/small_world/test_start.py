"""What the larger model begins with, fitted to a smaller one of random weights."""

from pathlib import Path
from typing import Any

import pytest
import torch

from ingredients.core.errors import ModelFolderError, OutputError
from ingredients.core.json_yaml import read_json
from ingredients.model_folders.components import load_vae
from ingredients.model_folders.transformer import load_transformer
from ingredients.models import IngredientsTransformer3DModel
from ingredients.models.presets import SMALL_WORLDS
from ingredients.training.small_world import start
from ingredients.training.small_world.settings import PART_SETTINGS, TextEncoderConfig, VaeConfig
from ingredients.training.small_world.start import Linear, _embedded, fit_linear, make_start, noise_shift, patches_of
from ingredients.training.small_world.text_encoder import TextEncoderStage
from ingredients.training.small_world.vae import build_vae


def test_a_layer_is_fitted_as_least_squares_have_it() -> None:
    generator = torch.Generator().manual_seed(0)
    inputs, noise = torch.randn(200, 5, generator=generator), torch.randn(200, 3, generator=generator)
    weight, bias = torch.randn(3, 5, generator=generator), torch.randn(3, generator=generator)
    exact = fit_linear(inputs, inputs @ weight.T + bias, ridge=0.0)
    torch.testing.assert_close(exact.weight, weight)
    torch.testing.assert_close(exact.bias, bias)
    assert exact.explained == pytest.approx(1.0)

    targets = inputs @ weight.T + bias + noise
    expected = torch.linalg.lstsq(torch.cat([inputs, torch.ones(200, 1)], dim=1), targets).solution.T
    fitted = fit_linear(inputs, targets, ridge=0.0)
    torch.testing.assert_close(torch.cat([fitted.weight, fitted.bias[:, None]], dim=1), expected, atol=1e-5, rtol=1e-4)
    assert 0.5 < fitted.explained < 0.95
    # rows that count for nothing change nothing
    weights = torch.cat([torch.ones(100), torch.zeros(100)])
    first_half = fit_linear(inputs, targets, ridge=0.0, weights=weights)
    torch.testing.assert_close(first_half.weight, fit_linear(inputs[:100], targets[:100], ridge=0.0).weight)
    assert fit_linear(inputs, targets, ridge=1.0).weight.norm() < 0.7 * fitted.weight.norm()


def test_the_noise_grows_by_what_the_weights_take_away() -> None:
    assert noise_shift(torch.full((2, 8), 3.0), torch.full((2, 32), 0.75)) == pytest.approx(4.0)


def test_patches_are_in_the_order_in_which_the_transformer_reads_and_writes_them() -> None:
    transformer = IngredientsTransformer3DModel(**SMALL_WORLDS["acting_world"]() | {"num_layers": 1})
    latents = torch.randn(2, 8, 16, 8, 12, generator=torch.Generator().manual_seed(0))  # two canvases beside two clips
    words = torch.zeros(2, 1, 128)
    with torch.no_grad():
        read = transformer.patch_embed(words, latents)[:, 1:]
        patches = patches_of(latents, transformer)
        torch.testing.assert_close(transformer.patch_embed.proj(patches).flatten(1, 3), read, atol=1e-5, rtol=1e-5)
    written = transformer._unpatchify(patches.flatten(1, 3), (8, 8, 12))
    assert torch.equal(written, latents)


def _small_model(folder: Path) -> Path:
    """A folder of the smaller model with random weights, and the larger one's text encoder beside it."""
    torch.manual_seed(0)
    IngredientsTransformer3DModel(**SMALL_WORLDS["small_world"]()).save_pretrained(folder / "transformer")
    build_vae(VaeConfig()).save_pretrained(folder / "vae")
    for output, settings in (
        (folder, {}),
        (folder.parent / "runs" / "text-encoder", {"style": "each-own", "max_length": 48}),
    ):
        config = TextEncoderConfig(**settings)  # type: ignore[arg-type]
        output.mkdir(parents=True, exist_ok=True)
        TextEncoderStage(config).export(output)
    return folder


def test_the_larger_model_begins_where_the_smaller_one_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, output = _small_model(tmp_path / "small"), tmp_path / "runs"
    fitted: list[Linear] = []

    def fit(*inputs: Any, **settings: Any) -> Linear:
        fitted.append(fit_linear(*inputs, **settings))
        return fitted[-1]

    monkeypatch.setattr(start, "fit_linear", fit)
    config = PART_SETTINGS["start"].load(overrides=[f"folder={source}", "num_clips=2", "num_captions=60"])
    folder = make_start(config, output)
    large, small = (load_transformer(each / "transformer", dtype=torch.float32) for each in (folder, source))
    for name, parameter in small.named_parameters():
        if not name.startswith(("patch_embed.", "proj_out.")):
            assert torch.equal(large.get_parameter(name), parameter), name
    words, latents, canvases, clean = fitted
    assert large.patch_embed.proj.weight.shape == (256, 16 * 4 * 4 * 4)
    assert torch.equal(large.patch_embed.proj.weight, torch.cat([latents.weight, canvases.weight], dim=1))
    assert torch.equal(large.patch_embed.proj.bias, small.patch_embed.proj.bias + latents.bias)
    assert torch.equal(large.patch_embed.text_proj.weight, words.weight)
    assert torch.equal(large.patch_embed.text_proj.bias, words.bias)
    assert torch.equal(large.proj_out.weight, clean.weight)
    assert torch.equal(large.proj_out.bias, clean.bias)
    measured = read_json(folder / "metrics.json", remedy="")
    assert measured["explained_latents"] > 0.6
    assert measured["explained_canvases"] > 0.6
    assert measured["explained_clean_latents"] > 0.05
    assert measured["noise_shift"] > 1
    # one frame by itself comes out of the VAE as out of the smaller model's
    frame = torch.rand(1, 3, 1, 32, 48) * 2 - 1
    vae, small_vae = (
        load_vae(output / "vae" / "vae", dtype=torch.float32),
        load_vae(source / "vae", dtype=torch.float32),
    )
    assert vae.config.temporal_compression_ratio == 1
    assert (vae.config.sample_height, vae.config.sample_width) == (128, 192)
    with torch.no_grad():
        # of a longer clip the smaller model sees pieces, and each frame once
        pixels = torch.rand(1, 3, 17, 32, 48) * 2 - 1
        whole = _embedded(small, small_vae, pixels)
        for piece, first, left_out in ((whole[:, :3], 0, 0), (whole[:, 3:], 8, 1)):
            alone = _embedded(small, small_vae, pixels[:, :, first : first + 9])[:, left_out:]
            torch.testing.assert_close(piece, alone, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(
            vae.encode(frame).latent_dist.mode(), small_vae.encode(frame).latent_dist.mode(), atol=1e-5, rtol=1e-5
        )


def test_a_model_of_another_grid_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "other"
    IngredientsTransformer3DModel(**SMALL_WORLDS["acting_world"]()).save_pretrained(folder / "transformer")
    config = PART_SETTINGS["start"].load(overrides=[f"folder={folder}"])
    with pytest.raises(ModelFolderError, match="not half as fine"):
        make_start(config, tmp_path / "runs")


def test_a_vae_that_was_trained_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "vae").mkdir()
    (tmp_path / "vae" / "config.yaml").write_text("latent_channels: 8\n")
    with pytest.raises(OutputError, match="holds a VAE that was trained there"):
        make_start(PART_SETTINGS["start"].load(), tmp_path)
