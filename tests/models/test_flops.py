"""FLOP counts against the numbers that follow from the published sizes, and the choice that rests on them."""

from dataclasses import replace

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from ingredients.models import presets
from ingredients.models.cogvideox import COGVIDEOX
from ingredients.models.flops import (
    cheaper_form,
    identity_flops_per_token,
    training_flops,
)
from ingredients.models.transformer_ingredients import IngredientsTransformer3DModel
from tests.models.tiny import NUM_TEXT_TOKENS as TINY_TEXT_TOKENS
from tests.models.tiny import NUM_TOKENS, tiny_call, tiny_identities, tiny_transformer

NUM_VIDEO_TOKENS, NUM_TEXT_TOKENS = 13 * 30 * 45, 226


def config(preset: dict[str, object]) -> dict[str, object]:
    with torch.device("meta"):
        return dict(IngredientsTransformer3DModel(**preset | {"num_layers": 1}).config)


def test_published_size() -> None:
    published = config(presets.published())
    base = COGVIDEOX.block_flops(published, num_video_tokens=NUM_VIDEO_TOKENS, num_text_tokens=NUM_TEXT_TOKENS)
    assert base == pytest.approx(7.9e12, rel=0.01)
    plain, folded = (
        NUM_VIDEO_TOKENS
        * identity_flops_per_token(published, video_dim=COGVIDEOX.video_dim(published), num_identities=2, form=form)
        / base
        for form in ("plain", "folded")
    )
    assert plain == pytest.approx(0.085, rel=0.03)
    assert folded == pytest.approx(2 * 0.014, rel=0.03)
    grouped = published | {"routing": "argmax"}
    assert identity_flops_per_token(
        grouped, video_dim=COGVIDEOX.video_dim(grouped), num_identities=5, form="folded"
    ) * NUM_VIDEO_TOKENS / base == (pytest.approx(0.014, rel=0.03))


def test_choice_of_form() -> None:
    published = config(presets.published())
    assert [
        cheaper_form(published, video_dim=COGVIDEOX.video_dim(published), num_identities=n) for n in (1, 2, 5, 6, 7)
    ] == 4 * ["folded"] + ["plain"]
    paper = config(presets.paper())
    assert cheaper_form(paper, video_dim=COGVIDEOX.video_dim(paper), num_identities=50) == "folded"


def test_presets_build() -> None:
    small = IngredientsTransformer3DModel(**presets.small_world())
    base = IngredientsTransformer3DModel(**presets.small_world_base())
    assert small.config.num_layers == base.config.num_layers == len(small.transformer_blocks) == 6
    assert sum(parameter.numel() for parameter in small.parameters()) < 12e6
    assert base.multi_scale_projector is None
    assert base.config.in_channels == small.config.out_channels == 8


@pytest.mark.parametrize("is_base_frozen", [True, False])
def test_a_training_step_is_what_pytorch_counts(is_base_frozen: bool) -> None:
    """But for what lies around the blocks, and the few products of a whole sample, such as the modulation's."""
    model = tiny_transformer(routing="softmax")
    for _, parameter in model.base_parameters():
        parameter.requires_grad_(not is_base_frozen)
    call = tiny_call(2)
    call["hidden_states"].requires_grad_(True)
    features = model.prepare_identities(*tiny_identities(2, 3), form="plain")
    features = replace(features, blocks=tuple(block.map(as_leaf) for block in features.blocks))
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model(**call, identity_features=features).sample.square().mean().backward()
    expected = 2 * training_flops(
        COGVIDEOX,
        model.config,
        num_video_tokens=NUM_TOKENS,
        num_text_tokens=TINY_TEXT_TOKENS,
        num_identities=3,
        is_base_frozen=is_base_frozen,
    )
    assert counter.get_total_flops() == pytest.approx(expected, rel=0.03)


def as_leaf(tensor: torch.Tensor) -> torch.Tensor:
    """Without what it was computed from, which is no part of the blocks."""
    return tensor.detach().requires_grad_(tensor.is_floating_point())
