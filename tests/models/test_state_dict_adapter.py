"""Weights from elsewhere: nothing may be skipped, and a base must do what it did."""

import json
from pathlib import Path

import pytest
import torch

from ingredients.models import presets
from ingredients.models.cogvideox import COGVIDEOX
from ingredients.models.state_dict_adapter import (
    config_from_published,
    config_to_published,
    from_published,
    load_base_weights,
    published_key_map,
    published_name,
    to_published,
)
from ingredients.models.transformer_ingredients import IngredientsTransformer3DModel
from ingredients.training.runs.start import base_within
from tests.models.tiny import tiny_call, tiny_identities, tiny_transformer


def test_to_published_and_back() -> None:
    model = tiny_transformer(router_type="linear", cross_attn_interval=2)
    published = to_published(model)
    assert len(published) == len(model.state_dict())
    assert "router.1.id_merge.weight" in published
    assert "perceiver_cross_attention.2.to_q.weight" not in published
    back = from_published(published, model)
    assert all(torch.equal(back[key], tensor) for key, tensor in model.state_dict().items())
    assert published_name("transformer_blocks.2.id_attn.norm_video.bias", cross_attn_interval=2) == (
        "perceiver_cross_attention.1.norm2.bias"
    )


def test_nothing_is_skipped() -> None:
    model = tiny_transformer(router_type="linear")
    published = to_published(model)
    weight = published.pop("router.0.to_q.weight")
    with pytest.raises(ValueError, match=r"missing router\.0\.to_q\.weight, unknown none"):
        from_published(published, model)
    published["router.0.to_q.weight"] = weight[1:]
    with pytest.raises(ValueError, match=r"id_router\.video_out\.weight has shape \(22, 48\)"):
        from_published(published, model)
    with pytest.raises(ValueError, match=r"unknown router\.9\.bias"):
        from_published(published | {"router.9.bias": weight}, model)


def test_two_layer_routers_have_no_published_names() -> None:
    with pytest.raises(ValueError, match="router_type='mlp'"):
        published_key_map(tiny_transformer())


def test_published_config() -> None:
    arguments = config_from_published({"num_layers": 2, "LFE_heads": 12, "_class_name": "Any", "is_kps": False})
    assert arguments == presets.published() | {"num_layers": 2}
    with pytest.raises(ValueError, match="is_train_face=False"):
        config_from_published({"is_train_face": False})
    with pytest.raises(ValueError, match="unknown field 'LFE_layers'"):
        config_from_published({"LFE_layers": 3})


def test_the_published_config_is_written_as_it_was_read() -> None:
    golden = json.loads((Path(__file__).parents[1] / "golden/f_state_dict_5b_i2v.json").read_text())["config"]
    published = {name: value for name, value in golden.items() if not name.startswith("_")}
    with torch.device("meta"):
        model = IngredientsTransformer3DModel(**config_from_published(published))
    assert config_to_published(model) == published


@pytest.mark.parametrize("changes", [{}, {"cross_attn_interval": 2, "rope_base_height": 3, "patch_bias": False}])
def test_a_config_survives_the_published_form(changes: dict[str, object]) -> None:
    model = tiny_transformer(router_type="linear", route_background=True, **changes)
    arguments = config_from_published(config_to_published(model))
    read = IngredientsTransformer3DModel(**arguments).config
    assert {name: read[name] for name in model.config if not name.startswith("_")} == {
        name: value for name, value in model.config.items() if not name.startswith("_")
    }


def test_what_has_no_published_form_is_named() -> None:
    with pytest.raises(ValueError, match="router_type='mlp'"):
        config_to_published(tiny_transformer())
    with pytest.raises(ValueError, match="has none"):
        config_to_published(tiny_transformer(router_type="linear", identity_modules=False))


def test_text_to_video_base_becomes_an_identity_model() -> None:
    base = tiny_transformer(identity_modules=False, in_channels=5)
    torch.manual_seed(7)
    model = tiny_transformer(cross_attn_interval=2)
    identity_weights = {key: tensor.clone() for key, tensor in model.state_dict().items() if "id_attn" in key}
    load_base_weights(model, base.state_dict())
    call = tiny_call(2)
    with torch.no_grad():
        expected = base(**call | {"hidden_states": call["hidden_states"][:, :, :5]}).sample
        torch.testing.assert_close(model(**call).sample, expected, rtol=1e-5, atol=1e-6)
    assert all(torch.equal(model.state_dict()[key], tensor) for key, tensor in identity_weights.items())
    assert not model.patch_embed.proj.weight[:, 5:].any()


def test_a_base_of_temporal_patches_becomes_an_identity_model() -> None:
    """A patch is a row of numbers there, and what the image latents add comes after all of the noise's."""
    base = tiny_transformer(identity_modules=False, in_channels=5, patch_size_t=2)
    torch.manual_seed(7)
    model = tiny_transformer(patch_size_t=2, id_phrases=True)
    load_base_weights(model, base.state_dict())
    latents = torch.randn(2, 4, 8, 4, 10, generator=torch.Generator().manual_seed(8))
    positions = COGVIDEOX.positions(model.config, num_frames=4, height=4, width=10)
    call = tiny_call(2) | {"image_rotary_emb": positions}
    with torch.no_grad():
        expected = base(**call | {"hidden_states": latents[:, :, :5]}).sample
        torch.testing.assert_close(model(**call | {"hidden_states": latents}).sample, expected, rtol=1e-5, atol=1e-6)
    assert torch.equal(base_within(model).state_dict()["patch_embed.proj.weight"], base.patch_embed.proj.weight)


def test_an_identity_model_is_taken_over_whole() -> None:
    trained, fresh = tiny_transformer(), IngredientsTransformer3DModel(**dict(tiny_transformer().config)).eval()
    load_base_weights(fresh, trained.state_dict())
    with torch.no_grad():
        features = trained.prepare_identities(*tiny_identities(1, 2))
        assert torch.equal(
            fresh(**tiny_call(1), identity_features=fresh.prepare_identities(*tiny_identities(1, 2))).sample,
            trained(**tiny_call(1), identity_features=features).sample,
        )


def test_a_base_must_fit() -> None:
    model = tiny_transformer()
    weights = tiny_transformer(identity_modules=False).state_dict()
    with pytest.raises(ValueError, match=r"missing proj_out\.bias"):
        load_base_weights(model, {key: tensor for key, tensor in weights.items() if key != "proj_out.bias"})
    with pytest.raises(ValueError, match=r"proj_out\.bias has shape \(3,\)"):
        load_base_weights(model, weights | {"proj_out.bias": torch.zeros(3)})
    learned = weights | {"patch_embed.pos_embedding": torch.zeros(1, 36, 48)}
    with pytest.raises(ValueError, match=r"unknown patch_embed\.pos_embedding"):
        load_base_weights(model, learned)
    load_base_weights(model, learned, drop_positional_embedding=True)
    partly = weights | {key: tensor for key, tensor in model.state_dict().items() if "id_attn" in key}
    with pytest.raises(ValueError, match="missing multi_scale_projector"):
        load_base_weights(model, partly)
