"""The base that is taken out of an aligned model."""

import dataclasses
from pathlib import Path

import torch

from ingredients.models import IngredientsTransformer3DModel
from ingredients.models.rotary import video_rotary_emb
from ingredients.training.start import ModelConfig, base_within, load_start
from tests.training.conftest import TinyWorld

WIDTHS = {"id_recognition_dim": 6, "id_semantic_dim": 3, "id_vit_dim": 5}


def aligned(world: TinyWorld) -> IngredientsTransformer3DModel:
    """A transformer whose image channels and identity modules would show if they were still asked."""
    transformer = world.transformer().eval()
    torch.manual_seed(2)
    with torch.no_grad():
        for name, parameter in transformer.named_parameters():
            if "id_attn" in name or name == "patch_embed.proj.weight":
                parameter.normal_(std=0.2)
    return transformer


def predict(transformer: IngredientsTransformer3DModel, latents: torch.Tensor, **people: object) -> torch.Tensor:
    generator = torch.Generator().manual_seed(4)
    sample: torch.Tensor = transformer(
        latents,
        torch.randn(1, 20, 8, generator=generator),
        torch.tensor([300]),
        image_rotary_emb=video_rotary_emb(
            transformer.config, num_frames=3, height=16, width=24, device=torch.device("cpu")
        ),
        **people,
    ).sample
    return sample


def test_the_base_within_a_model_makes_of_nobody_what_the_model_makes(tiny_world: TinyWorld) -> None:
    transformer = aligned(tiny_world)
    base = base_within(transformer).eval()
    assert not base.config.identity_modules
    assert base.config.in_channels == 3
    latents = torch.randn(1, 3, 3, 16, 24, generator=torch.Generator().manual_seed(3))
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        features = transformer.prepare_identities(
            torch.randn(1, 2, 9, generator=generator),
            [torch.randn(1, 2, 4, 3, generator=generator) for _ in range(5)],
            torch.zeros(1, 2, dtype=torch.bool),
        )
        of_nobody = predict(
            transformer, torch.cat([latents, torch.zeros_like(latents)], dim=2), identity_features=features
        )
        torch.testing.assert_close(predict(base, latents), of_nobody)


def test_an_alignment_of_another_kind_begins_with_it(tiny_world: TinyWorld, tmp_path: Path) -> None:
    transformer = aligned(tiny_world)
    base_within(transformer).save_pretrained(tmp_path / "transformer")
    config = ModelConfig(start=tmp_path, transformer={"canvas_placement": "after", "route_background": True})
    started = load_start(config, tmp_path / "no model is asked for", WIDTHS)
    assert started.config.canvas_placement == "after"
    assert started.config.id_vit_dim == 5
    weight, before = started.patch_embed.proj.weight, transformer.patch_embed.proj.weight
    assert torch.equal(weight[:, :3], before[:, :3])
    assert not weight[:, 3:].any()
    assert started.config.route_background
    plain = load_start(dataclasses.replace(config, transformer={}), tmp_path, WIDTHS)
    assert plain.config.canvas_placement == "before"
