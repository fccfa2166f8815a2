"""The identity modules one by one against what the published code computed."""

import pytest
import torch

from ingredients.models.id_router import IDRouter
from ingredients.models.identity_features import FoldedBlockFeatures, PlainBlockFeatures
from ingredients.models.multi_scale_projector import IdentityCrossAttention, MultiScaleProjector
from tests.models.golden_models import NUM_SCALES, Golden, fill_module, stream

QFORMER_DEFAULTS = {"dim": 1024, "depth": 10, "dim_head": 64, "heads": 16, "num_id_token": 5, "num_queries": 32}


@pytest.mark.parametrize(
    ("name", "num_patches"),
    [
        ("a_lfe_small", 7),
        ("a_lfe_small_depth10", 7),
        pytest.param("a_lfe_full", 577, marks=pytest.mark.slow),
    ],
)
def test_q_former(name: str, num_patches: int) -> None:
    golden = Golden(name)
    ctor = QFORMER_DEFAULTS | {"output_dim": 2048, "ff_mult": 4} | golden.meta["ctor"]
    projector = MultiScaleProjector(
        embed_dim=1280,
        vit_dim=1024,
        num_scales=NUM_SCALES,
        mapping_dim=1024,
        dim=ctor["dim"],
        depth=ctor["depth"],
        num_heads=ctor["heads"],
        head_dim=ctor["dim_head"],
        ff_mult=ctor["ff_mult"],
        num_id_tokens=ctor["num_id_token"],
        num_queries=ctor["num_queries"],
        token_dim=ctor["output_dim"],
    )
    fill_module(projector, "multi_scale_projector.")
    with torch.no_grad():
        id_tokens = projector(
            stream(100000, 2, 1280), [stream(100001 + s, 2, num_patches, 1024) for s in range(NUM_SCALES)]
        )
    golden.assert_close("out", id_tokens)


@pytest.mark.parametrize("folded", [False, True], ids=["plain", "folded"])
@pytest.mark.parametrize("name", ["b_pca_small", "b_pca_full"])
def test_cross_attention(name: str, folded: bool) -> None:
    golden = Golden(name)
    ctor = {"dim": 3072, "dim_head": 128, "heads": 16, "kv_dim": 2048} | golden.meta["ctor"]
    num_queries = 8 if golden.meta["ctor"] else 32
    attention = IdentityCrossAttention(
        dim=ctor["dim"], token_dim=ctor["kv_dim"], num_heads=ctor["heads"], head_dim=ctor["dim_head"]
    )
    fill_module(attention, "transformer_blocks.0.id_attn.")
    id_tokens = stream(100010, 2, num_queries, ctor["kv_dim"])[:, None]  # (B, N = 1, K, C)
    id_mask = torch.ones(2, 1, dtype=torch.bool)
    with torch.no_grad():
        key, value = attention.project_identities(id_tokens)
        if folded:
            key, value = attention.fold_identities(key, value)
        identity = (FoldedBlockFeatures if folded else PlainBlockFeatures)(
            key=key, value=value, router_key=torch.empty(2, 1, 0), id_mask=id_mask, every_row_has_identity=True
        )
        added = attention(stream(100011, 2, 18, ctor["dim"], scale=2.0), identity, torch.ones(2, 18, 1))
    golden.assert_close("out", added)


@pytest.mark.parametrize("folded", [False, True], ids=["plain", "folded"])
@pytest.mark.parametrize("name", ["c_router_small", "c_router_full"])
def test_router(name: str, folded: bool) -> None:
    golden = Golden(name)
    ctor = {"dim": 3072, "id_dim": 2048, "id_length": 32} | golden.meta["ctor"]
    router = IDRouter(
        dim=ctor["dim"],
        token_dim=ctor["id_dim"],
        num_queries=ctor["id_length"],
        inner_dim=2048,
        router_type="linear",
    )
    fill_module(router, "transformer_blocks.0.id_router.")
    hidden_states = stream(100022, 2, 18, ctor["dim"], scale=2.0)
    faces = [stream(100020 + i, 2 + i, ctor["id_length"], ctor["id_dim"]) for i in range(2)]

    # Two people in the first batch element and three in the second: one call, padded.
    id_tokens = torch.stack([torch.cat([faces[0], torch.zeros_like(faces[0][:1])]), faces[1]])
    id_mask = torch.tensor([[True, True, False], [True, True, True]])
    with torch.no_grad():
        router_key = router.project_identities(id_tokens)
        if folded:
            router_key = router.fold_identities(router_key)
        logits = router(hidden_states, router_key, id_mask, folded=folded)
    golden.assert_close("logits_twolist_0", logits[:1, :, :2])
    golden.assert_close("logits_twolist_1", logits[1:])
    assert torch.all(logits[0, :, 2] == torch.finfo(torch.float32).min)
