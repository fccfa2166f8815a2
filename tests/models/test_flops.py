"""FLOP counts against the numbers that follow from the published sizes, and the choice that rests on them."""

import pytest
import torch

from ingredients.models import presets
from ingredients.models.flops import base_block_flops, cheaper_form, identity_flops_per_token
from ingredients.models.transformer_ingredients import IngredientsTransformer3DModel

NUM_VIDEO_TOKENS, NUM_TEXT_TOKENS = 13 * 30 * 45, 226


def config(preset: dict[str, object]) -> dict[str, object]:
    with torch.device("meta"):
        return dict(IngredientsTransformer3DModel(**preset | {"num_layers": 1}).config)


def test_published_size() -> None:
    published = config(presets.published())
    base = base_block_flops(published, num_video_tokens=NUM_VIDEO_TOKENS, num_text_tokens=NUM_TEXT_TOKENS)
    assert base == pytest.approx(7.9e12, rel=0.01)
    plain, folded = (
        NUM_VIDEO_TOKENS * identity_flops_per_token(published, num_identities=2, form=form) / base
        for form in ("plain", "folded")
    )
    assert plain == pytest.approx(0.085, rel=0.03)
    assert folded == pytest.approx(2 * 0.014, rel=0.03)
    grouped = published | {"routing": "argmax"}
    assert identity_flops_per_token(grouped, num_identities=5, form="folded") * NUM_VIDEO_TOKENS / base == (
        pytest.approx(0.014, rel=0.03)
    )


def test_choice_of_form() -> None:
    published = config(presets.published())
    assert [cheaper_form(published, num_identities=n) for n in (1, 2, 5, 6, 7)] == 4 * ["folded"] + ["plain"]
    paper = config(presets.paper())
    assert cheaper_form(paper, num_identities=50) == "folded"


def test_presets_build() -> None:
    small = IngredientsTransformer3DModel(**presets.small_world())
    base = IngredientsTransformer3DModel(**presets.small_world_base())
    assert small.config.num_layers == base.config.num_layers == len(small.transformer_blocks) == 6
    assert sum(parameter.numel() for parameter in small.parameters()) < 12e6
    assert base.multi_scale_projector is None
    assert base.config.in_channels == small.config.out_channels == 8
