"""What holds for any weights: identities are a set, padding is nothing, and every batch element is its own."""

from typing import Any

import pytest
import torch

from ingredients.models.identity_features import IdentityFeatures
from ingredients.models.transformer_ingredients import IngredientsTransformer3DModel
from tests.models.tiny import NUM_TEXT_TOKENS, NUM_TOKENS, tiny_call, tiny_identities, tiny_transformer

ROUTINGS = ["argmax", "softmax", "uniform"]
FORMS = ["plain", "folded"]
CLOSE = {"rtol": 1e-4, "atol": 1e-4}


@pytest.fixture(scope="module", params=["mlp", "linear"])
def model(request: pytest.FixtureRequest) -> IngredientsTransformer3DModel:
    return tiny_transformer(router_type=request.param, cross_attn_interval=2).requires_grad_(False)


def prepare(
    model: IngredientsTransformer3DModel, batch_size: int, num_identities: int, **arguments: Any
) -> IdentityFeatures:
    return model.prepare_identities(*tiny_identities(batch_size, num_identities), **arguments)


@pytest.mark.parametrize("num_identities", [1, 2, 3, 6])
def test_any_number_of_identities(model: IngredientsTransformer3DModel, num_identities: int) -> None:
    output = model(**tiny_call(2), identity_features=prepare(model, 2, num_identities))
    assert output.sample.shape == (2, 3, 5, 4, 10)
    assert model.routed_blocks == [0, 2]
    assert [logits.shape for logits in output.routing_logits] == 2 * [(2, NUM_TOKENS, num_identities)]
    assert all(logits.dtype == torch.float32 for logits in output.routing_logits)


@pytest.mark.parametrize("routing", ROUTINGS)
@pytest.mark.parametrize("num_identities", [1, 3])
def test_folded_equals_plain(model: IngredientsTransformer3DModel, routing: str, num_identities: int) -> None:
    id_mask = torch.ones(2, num_identities, dtype=torch.bool)
    id_mask[1, 1:] = False
    outputs = [
        model(
            **tiny_call(2),
            identity_features=prepare(model, 2, num_identities, id_mask=id_mask, form=form),
            routing=routing,
        )
        for form in FORMS
    ]
    torch.testing.assert_close(outputs[0].sample, outputs[1].sample, **CLOSE)
    torch.testing.assert_close(outputs[0].routing_logits, outputs[1].routing_logits, **CLOSE)


@pytest.mark.parametrize("form", FORMS)
def test_forced_identities_folded_and_plain(model: IngredientsTransformer3DModel, form: str) -> None:
    """Each token gets what its own identity alone would add, and with -1 nothing."""
    routing_indices = torch.randint(-1, 3, (2, NUM_TOKENS), generator=torch.Generator().manual_seed(3))
    block = model.transformer_blocks[0]
    identity = prepare(model, 2, 3, form=form).blocks[0]
    hidden_states = torch.randn(2, NUM_TOKENS, 48, generator=torch.Generator().manual_seed(4))
    one_hot = (routing_indices[..., None] == torch.arange(3)).float()
    added = block.id_attn(hidden_states, identity, one_hot, routing_indices)
    for n in range(3):
        alone = block.id_attn(hidden_states, identity, torch.eye(3)[n].expand(2, NUM_TOKENS, 3))
        torch.testing.assert_close(added[routing_indices == n], alone[routing_indices == n], **CLOSE)
    assert torch.all(added[routing_indices == -1] == 0)


def test_eq_2_to_4_written_out(model: IngredientsTransformer3DModel) -> None:
    """One block by the paper's formulas, token by token, without batching or heads in parallel."""
    id_attn, id_router = model.transformer_blocks[0].id_attn, model.transformer_blocks[0].id_router
    features = prepare(model, 1, 3, form="plain")
    hidden = torch.randn(1, NUM_TOKENS, 48, generator=torch.Generator().manual_seed(5))
    id_tokens = features.id_tokens[0]

    logits = id_router(hidden, features.blocks[0].router_key, features.id_mask)[0]
    assigned = logits.argmax(dim=-1)
    one_hot = torch.nn.functional.one_hot(assigned, 3).float()[None]
    added = id_attn(hidden, features.blocks[0], one_hot, assigned[None])[0]
    for token in range(NUM_TOKENS):
        f = id_router.video_out(id_router.video_in(id_router.norm_video(hidden[0, token])))
        for n in range(3):
            merged = sum(
                weight * id_router.norm_identity(id_tokens[n, k])
                for k, weight in enumerate(id_router.aggregate.weight[0])
            )
            g = id_router.identity_out(id_router.identity_in(merged))
            phi = (f * g).sum() * (23**-0.5 if model.config.router_type == "mlp" else 1)
            torch.testing.assert_close(phi, logits[token, n], **CLOSE)
        own = id_tokens[logits[token].argmax()]
        query = id_attn.to_q(id_attn.norm_video(hidden[0, token])).split(8)
        key, value = id_attn.to_kv(id_attn.norm_identity(own)).chunk(2, dim=-1)
        heads = [
            torch.softmax(key[:, 8 * h : 8 * h + 8] @ query[h] / 8**0.5, dim=0) @ value[:, 8 * h : 8 * h + 8]
            for h in range(5)
        ]
        torch.testing.assert_close(id_attn.to_out(torch.cat(heads)), added[token], **CLOSE)


@pytest.mark.parametrize("routing", ROUTINGS)
@pytest.mark.parametrize("form", FORMS)
def test_permuting_identities(model: IngredientsTransformer3DModel, routing: str, form: str) -> None:
    order = [2, 0, 1]
    id_embeds, hidden_states = tiny_identities(2, 3)
    id_mask = torch.tensor([[True, True, True], [False, True, True]])
    first = model.prepare_identities(id_embeds, hidden_states, id_mask, form=form)
    second = model.prepare_identities(
        id_embeds[:, order], [states[:, order] for states in hidden_states], id_mask[:, order], form=form
    )
    expected = model(**tiny_call(2), identity_features=first, routing=routing)
    actual = model(**tiny_call(2), identity_features=second, routing=routing)
    torch.testing.assert_close(actual.sample, expected.sample, **CLOSE)
    for permuted, logits in zip(actual.routing_logits, expected.routing_logits, strict=True):
        torch.testing.assert_close(permuted, logits[..., order], **CLOSE)


@pytest.mark.parametrize("routing", ROUTINGS)
@pytest.mark.parametrize("form", FORMS)
def test_padded_identity_changes_nothing(model: IngredientsTransformer3DModel, routing: str, form: str) -> None:
    id_embeds, hidden_states = tiny_identities(2, 4)
    id_embeds[:, 2:] = torch.nan  # whatever is in the padding
    id_mask = torch.tensor(2 * [[True, True, False, False]])
    padded = model.prepare_identities(id_embeds, hidden_states, id_mask, form=form)
    exact = model.prepare_identities(id_embeds[:, :2], [states[:, :2] for states in hidden_states], form=form)
    expected = model(**tiny_call(2), identity_features=exact, routing=routing)
    actual = model(**tiny_call(2), identity_features=padded, routing=routing)
    torch.testing.assert_close(actual.sample, expected.sample, **CLOSE)
    torch.testing.assert_close(
        [logits[..., :2] for logits in actual.routing_logits], list(expected.routing_logits), **CLOSE
    )


@pytest.mark.parametrize("routing", ROUTINGS)
@pytest.mark.parametrize("form", FORMS)
def test_empty_mask_adds_exactly_zero(model: IngredientsTransformer3DModel, routing: str, form: str) -> None:
    id_mask = torch.tensor([[True, True, False], [False, False, False]])
    features = prepare(model, 2, 3, id_mask=id_mask, form=form)
    without = model(**tiny_call(2)).sample
    output = model(**tiny_call(2), identity_features=features, routing=routing)
    assert same_bits(output.sample[1], without[1])
    assert not torch.equal(output.sample[0], without[0])
    assert all(torch.isfinite(logits).all() for logits in output.routing_logits)
    nobody = prepare(model, 2, 3, id_mask=torch.zeros_like(id_mask), form=form)
    assert same_bits(model(**tiny_call(2), identity_features=nobody, routing=routing).sample, without)


@pytest.mark.parametrize("form", FORMS)
def test_face_scale_zero_is_the_model_without_identities(model: IngredientsTransformer3DModel, form: str) -> None:
    output = model(**tiny_call(2), identity_features=prepare(model, 2, 3, form=form), face_scale=0.0)
    assert same_bits(output.sample, model(**tiny_call(2)).sample)
    assert len(output.routing_logits) == 2

    plain = tiny_transformer(identity_modules=False)
    weights = model.state_dict()
    plain.load_state_dict({key: weights[key] for key in plain.state_dict()})
    assert same_bits(output.sample, plain(**tiny_call(2)).sample)


@pytest.mark.parametrize("form", FORMS)
def test_batch_elements_are_independent(model: IngredientsTransformer3DModel, form: str) -> None:
    id_embeds, hidden_states = tiny_identities(3, 2)
    call = tiny_call(3)
    features = model.prepare_identities(id_embeds, hidden_states, form=form)
    together = model(**call, identity_features=features)
    for row in range(3):
        alone = model.prepare_identities(
            id_embeds[row : row + 1], [states[row : row + 1] for states in hidden_states], form=form
        )
        own_call = call | {key: call[key][row : row + 1] for key in call if key != "image_rotary_emb"}
        output = model(**own_call, identity_features=alone)
        torch.testing.assert_close(together.sample[row : row + 1], output.sample, **CLOSE)
        for both, one in zip(together.routing_logits, output.routing_logits, strict=True):
            torch.testing.assert_close(both[row : row + 1], one, **CLOSE)


def test_features_computed_once_serve_every_step(model: IngredientsTransformer3DModel) -> None:
    once = prepare(model, 2, 3)
    for timestep in (900, 500, 100):
        call = tiny_call(2) | {"timestep": torch.full((2,), timestep)}
        again = model(**call, identity_features=prepare(model, 2, 3))
        assert torch.equal(model(**call, identity_features=once).sample, again.sample)


@pytest.mark.parametrize("form", FORMS)
def test_repeating_features(model: IngredientsTransformer3DModel, form: str) -> None:
    for batch_size in (1, 2):
        features = prepare(model, batch_size, 3, form=form)
        guided = features.repeat_for_guidance()
        assert guided.batch_size == 2 * batch_size
        assert torch.equal(guided.blocks[1].key, torch.cat(2 * [features.blocks[1].key]))
        copies = features.repeat_interleave(3)
        assert torch.equal(copies.id_tokens[:3], features.id_tokens[:1].expand(3, -1, -1, -1))
        assert guided.form == copies.form == form
    features = prepare(model, 1, 3, form=form)
    call = tiny_call(2)
    call["hidden_states"] = call["hidden_states"][:1].expand(2, -1, -1, -1, -1)
    output = model(**call, identity_features=features.repeat_for_guidance())
    assert output.sample.shape[0] == 2


@pytest.mark.parametrize("form", FORMS)
def test_a_pass_that_sees_nobody_is_the_base(model: IngredientsTransformer3DModel, form: str) -> None:
    features = prepare(model, 2, 3, form=form)
    call = tiny_call(2)
    thrice = {
        name: torch.cat([value] * 3) if isinstance(value, torch.Tensor) else value for name, value in call.items()
    }
    output = model(**thrice, identity_features=features.repeat_for_guidance((False, True, True))).sample
    nobody, someone, again = output.chunk(3)
    torch.testing.assert_close(nobody, model(**call).sample, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(someone, model(**call, identity_features=features).sample, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(someone, again, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(nobody, someone, atol=1e-4)


def test_routing_by_force(model: IngredientsTransformer3DModel) -> None:
    features = prepare(model, 2, 3)
    forced = torch.full((2, NUM_TOKENS), 1)
    output = model(**tiny_call(2), identity_features=features, routing_indices=forced)
    id_embeds, hidden_states = tiny_identities(2, 3)
    alone = model.prepare_identities(id_embeds[:, 1:2], [states[:, 1:2] for states in hidden_states])
    torch.testing.assert_close(output.sample, model(**tiny_call(2), identity_features=alone).sample, **CLOSE)

    nobody = model(**tiny_call(2), identity_features=features, routing_indices=torch.full_like(forced, -1))
    assert torch.equal(nobody.sample, model(**tiny_call(2)).sample)


def test_the_published_fault_gives_element_0_to_all() -> None:
    model = tiny_transformer(published_guidance_fault=True).requires_grad_(False)
    output = model(**tiny_call(2), identity_features=prepare(model, 2, 3))
    for logits in output.routing_logits:
        assert torch.equal(logits[0], logits[1])
    assert not torch.equal(output.sample[0], output.sample[1])


@pytest.mark.parametrize("routing", ["softmax", "argmax"])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_gradients_reach_projector_and_router(routing: str, checkpointing: bool) -> None:
    model = tiny_transformer(cross_attn_interval=2).train()
    if checkpointing:
        model.enable_gradient_checkpointing()
    output = model(**tiny_call(2), identity_features=prepare(model, 2, 3), routing=routing)
    output.sample.square().mean().backward()
    assert all(parameter.grad is not None for _, parameter in model.projector_parameters())
    has_gradient = [parameter.grad is not None for _, parameter in model.router_parameters()]
    assert all(has_gradient) if routing == "softmax" else not any(has_gradient)


def test_an_untrained_model_changes_nothing_and_can_learn() -> None:
    torch.manual_seed(0)
    model = tiny_transformer()
    for index in model.routed_blocks:
        torch.nn.init.zeros_(model.transformer_blocks[index].id_attn.to_out.weight)
    output = model(**tiny_call(2), identity_features=prepare(model, 2, 3), routing="softmax")
    assert torch.equal(output.sample, model(**tiny_call(2)).sample)
    output.sample.square().mean().backward()
    assert model.transformer_blocks[0].id_attn.to_out.weight.grad.abs().max() > 0


def test_projector_and_router_share_the_identity_parameters() -> None:
    model = tiny_transformer()
    projector, router = dict(model.projector_parameters()), dict(model.router_parameters())
    base = set(tiny_transformer(identity_modules=False).state_dict())
    assert not projector.keys() & router.keys()
    assert projector.keys() | router.keys() == dict(model.named_parameters()).keys() - base


@pytest.mark.parametrize(
    ("overrides", "quoted"),
    [
        ({"router_type": "deep"}, "'deep'"),
        ({"routing": "first"}, "'first'"),
        ({"cross_attn_interval": 0}, "got 0"),
        ({"noise_sharing": 1.5}, r"noise_sharing .* got 1\.5"),
        ({"id_qformer_depth": 5}, "got 5 and 2"),
    ],
)
def test_config_is_checked(overrides: dict[str, Any], quoted: str) -> None:
    with pytest.raises(ValueError, match=quoted):
        tiny_transformer(**overrides)


def test_wrong_inputs_are_named(model: IngredientsTransformer3DModel) -> None:
    id_embeds, hidden_states = tiny_identities(2, 3)
    with pytest.raises(ValueError, match=r"\(B, N, 18\), got \(2, 3, 17\)"):
        model.prepare_identities(id_embeds[..., 1:], hidden_states)
    with pytest.raises(ValueError, match="2 tensors, got 1"):
        model.prepare_identities(id_embeds, hidden_states[1:])
    with pytest.raises(ValueError, match=r"got \(2, 2, 9, 13\)"):
        model.prepare_identities(id_embeds, [states[:, 1:] for states in hidden_states])
    with pytest.raises(ValueError, match="id_mask must be bool"):
        model.prepare_identities(id_embeds, hidden_states, torch.ones(2, 3))
    with pytest.raises(ValueError, match="2 rows and the latents have 3"):
        model(**tiny_call(3), identity_features=prepare(model, 2, 3))
    with pytest.raises(ValueError, match="routing_indices"):
        model(**tiny_call(2), identity_features=prepare(model, 2, 3), routing_indices=torch.zeros(2, 5).long())
    with pytest.raises(ValueError, match="identity_modules=False"):
        tiny_transformer(identity_modules=False).prepare_identities(id_embeds, hidden_states)


def same_bits(first: torch.Tensor, second: torch.Tensor) -> bool:
    return torch.equal(first.view(torch.int32), second.view(torch.int32))


@pytest.fixture(scope="module")
def named_model() -> IngredientsTransformer3DModel:
    model = tiny_transformer(id_phrases=True).requires_grad_(False)
    torch.nn.init.normal_(model.phrase_proj.weight, generator=torch.Generator().manual_seed(5))
    return model


def phrase_tokens(*said: tuple[int, int, int]) -> torch.Tensor:
    """(2, 3, T), True at (row, identity, token)."""
    tokens = torch.zeros(2, 3, NUM_TEXT_TOKENS, dtype=torch.bool)
    for place in said:
        tokens[place] = True
    return tokens


def test_the_words_that_stand_for_a_person_hear_of_the_photos(named_model: IngredientsTransformer3DModel) -> None:
    said = phrase_tokens((0, 1, 2), (0, 1, 3), (1, 0, 5), (1, 2, 5))
    features = prepare(named_model, 2, 3, phrase_tokens=said)
    known = named_model.phrase_proj(features.id_tokens.mean(dim=2))
    expected = torch.zeros(2, NUM_TEXT_TOKENS, 48)
    expected[0, 2] = expected[0, 3] = known[0, 1]
    expected[1, 5] = known[1, 0] + known[1, 2]
    torch.testing.assert_close(features.phrases, expected)
    plain = named_model(**tiny_call(2), identity_features=prepare(named_model, 2, 3)).sample
    named = named_model(**tiny_call(2), identity_features=features).sample
    assert not torch.allclose(plain, named, atol=1e-3)
    nothing = named_model(**tiny_call(2), identity_features=prepare(named_model, 2, 3, phrase_tokens=phrase_tokens()))
    assert torch.equal(nothing.sample, plain)
    without = named_model(**tiny_call(2)).sample
    assert torch.equal(named_model(**tiny_call(2), identity_features=features, face_scale=0.0).sample, without)


def test_whoever_is_not_shown_is_not_named(named_model: IngredientsTransformer3DModel) -> None:
    said = phrase_tokens((0, 1, 2), (1, 0, 4))
    id_mask = torch.tensor([[True, False, True], [True, True, True]])
    features = prepare(named_model, 2, 3, id_mask=id_mask, phrase_tokens=said)
    assert not features.phrases[0].any()
    assert features.phrases[1, 4].any()
    passes = features.repeat_for_guidance((False, True, True), prompted=(False, False, True))
    assert not passes.phrases[:4].any()
    assert torch.equal(passes.phrases[4:], features.phrases)
    shown = features.repeat_for_guidance((True, True), prompted=(False, True))
    assert not shown.phrases[:2].any()
    assert torch.equal(shown.phrases[2:], features.phrases)


def test_words_change_nothing_before_training() -> None:
    fresh = tiny_transformer(id_phrases=True).requires_grad_(False)
    features = prepare(fresh, 2, 3, phrase_tokens=phrase_tokens((0, 1, 2)))
    assert not features.phrases.any()
    with pytest.raises(ValueError, match=r"phrase_tokens must be bool \(2, 3, 'T'\)"):
        prepare(fresh, 2, 3, phrase_tokens=phrase_tokens()[:, :2])
