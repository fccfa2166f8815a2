"""The identity layer in a transformer that has nothing in common with CogVideoX."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from diffusers.configuration_utils import FrozenDict
from torch import nn

from ingredients.models.identity_features import BlockIdentityFeatures, IdentityFeatures
from ingredients.models.identity_layer import IdentityLayer
from ingredients.models.identity_model import IdentityModelMixin
from tests.models.tiny import CONFIG, tiny_identities

WIDTH, GRID = 26, (3, 5, 2)  # rows, columns, frames


class ToyTransformer(IdentityModelMixin, nn.Module):
    """Channels come last, time is the fastest axis, there is no text, and identities stand behind blocks."""

    dtype = torch.float32

    def __init__(self) -> None:
        super().__init__()
        self.config = FrozenDict(CONFIG | {"identity_modules": True, "published_guidance_fault": False})
        self.multi_scale_projector = self.make_projector()
        self.phrase_proj = None  # there is no text
        self.blocks = nn.ModuleList([nn.Linear(WIDTH, WIDTH) for _ in range(2)])
        pairs = [self.make_identity_modules(WIDTH) for _ in self.blocks]
        self.identities = nn.ModuleList([IdentityLayer(id_attn=attn, id_router=router) for attn, router in pairs])

    def forward(
        self, video: torch.Tensor, features: IdentityFeatures | None = None, **options: Any
    ) -> tuple[torch.Tensor, list[torch.Tensor | None]]:
        tokens = video.flatten(1, 3)  # (B, L, D)
        people: Sequence[BlockIdentityFeatures | None] = [None] * len(self.blocks)
        if features is not None:
            people, options["routing_indices"], options["routing_bias"] = self.identity_inputs(
                features, options.pop("routing_indices", None), tokens.shape[:2], options.pop("routing_bias", None)
            )
        logits = []
        for block, layer, identity in zip(self.blocks, self.identities, people, strict=True):
            tokens, routed = layer.add_identities(block(tokens), identity, **options)
            logits.append(routed)
        return tokens.view_as(video), logits


@pytest.fixture(scope="module")
def toy() -> ToyTransformer:
    torch.manual_seed(0)
    model = ToyTransformer().eval().requires_grad_(False)
    for layer in model.identity_layers:
        for weight in (layer.id_attn.to_out, layer.id_router.identity_out, layer.id_router.video_out):
            nn.init.normal_(weight.weight, std=0.3)
    return model


def toy_video(batch_size: int) -> torch.Tensor:
    return torch.randn(batch_size, *GRID, WIDTH, generator=torch.Generator().manual_seed(3))


def by_the_formulas(model: ToyTransformer, video: torch.Tensor, id_tokens: torch.Tensor) -> torch.Tensor:
    """Eq. 2 to 4 token by token for one sample (rows, columns, frames, D) and (N, K, C)."""
    result = video.clone()
    for block, layer in zip(model.blocks, model.identities, strict=True):
        attn, router = layer.id_attn, layer.id_router
        for place in torch.cartesian_prod(*map(torch.arange, GRID)).tolist():
            token = block(result[tuple(place)])
            compared = []
            for tokens in id_tokens:
                merged = router.aggregate.weight[0] @ router.norm_identity(tokens)
                person = router.identity_out(router.identity_in(merged))
                compared.append(router.video_out(router.video_in(router.norm_video(token))) @ person)
            chosen = id_tokens[int(torch.stack(compared).argmax())]
            key, value = attn.to_kv(attn.norm_identity(chosen)).chunk(2, dim=-1)  # (K, H * E)
            heads = []
            query = attn.to_q(attn.norm_video(token))
            for head in range(attn.num_heads):
                of_head = slice(head * attn.head_dim, (head + 1) * attn.head_dim)
                shares = (key[:, of_head] @ query[of_head] / attn.head_dim**0.5).softmax(0)
                heads.append(shares @ value[:, of_head])
            result[tuple(place)] = token + 0.7 * attn.to_out(torch.cat(heads))
    return result


@pytest.mark.parametrize("form", ["plain", "folded"])
def test_a_toy_of_another_layout_takes_identities(toy: ToyTransformer, form: Any) -> None:
    video = toy_video(2)
    features = toy.prepare_identities(*tiny_identities(2, 3), form=form)
    refined, logits = toy(video, features, face_scale=0.7)
    assert [each.shape for each in logits] == 2 * [(2, 3 * 5 * 2, 3)]
    for row in range(2):
        expected = by_the_formulas(toy, video[row], features.id_tokens[row])
        torch.testing.assert_close(refined[row], expected, rtol=1e-4, atol=1e-5)


def test_the_order_of_tokens_does_not_matter(toy: ToyTransformer) -> None:
    video = toy_video(2)
    features = toy.prepare_identities(*tiny_identities(2, 3))
    expected, _ = toy(video, features)
    turned, _ = toy(video.permute(0, 3, 1, 2, 4), features)
    torch.testing.assert_close(turned.permute(0, 2, 3, 1, 4), expected)


def test_tokens_of_nobody_stay_as_without_people_and_forced_ones_change(toy: ToyTransformer) -> None:
    video = toy_video(2)
    features = toy.prepare_identities(*tiny_identities(2, 3))
    without, _ = toy(video)
    forced = torch.full((2, *GRID), -1)
    forced[:, 1] = 2  # the middle row of the picture
    refined, _ = toy(video, features, routing_indices=forced.flatten(1))
    assert torch.equal(refined[:, ::2], without[:, ::2])
    assert not torch.isclose(refined[:, 1], without[:, 1]).all(dim=-1).any()


def test_a_bias_is_added_to_the_logits_of_every_layer_and_decides(toy: ToyTransformer) -> None:
    video = toy_video(2)
    features = toy.prepare_identities(*tiny_identities(2, 3))
    _, plain = toy(video, features)
    bias = torch.randn(2, 3 * 5 * 2, 3, generator=torch.Generator().manual_seed(4))
    _, moved = toy(video, features, routing_bias=bias, routing_indices=plain[0].argmax(dim=-1))
    torch.testing.assert_close(moved[0], plain[0] + bias)
    sure = torch.zeros_like(bias)
    sure[..., 2] = 1e4
    refined, _ = toy(video, features, routing_bias=sure)
    forced, _ = toy(video, features, routing_indices=torch.full((2, 3 * 5 * 2), 2))
    assert torch.equal(refined, forced)
    with pytest.raises(ValueError, match=r"routing_bias must be \(2, 30, 3\), got \(2, 30, 2\)"):
        toy(video, features, routing_bias=bias[..., :2])


def test_what_is_trained_by_stage_is_told_apart_in_any_backbone(toy: ToyTransformer) -> None:
    projector, router = (
        {name.split(".")[-2] for name, _ in views} for views in (toy.projector_parameters(), toy.router_parameters())
    )
    assert {"to_kv", "to_out"} <= projector
    assert {"aggregate", "video_out"} <= router
    assert [name for name, _ in toy.base_parameters()] == [
        f"blocks.{index}.{kind}" for index in range(2) for kind in ("weight", "bias")
    ]


def test_features_of_another_batch_are_refused(toy: ToyTransformer) -> None:
    features = toy.prepare_identities(*tiny_identities(3, 2))
    with pytest.raises(ValueError, match="identity_features has 3 rows and the latents have 2"):
        toy(toy_video(2), features)
