"""The whole transformer against what the published code computed, with its batch fault and its gradients."""

import json
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from ingredients.models.identity_features import IdentityFeatures
from ingredients.models.state_dict_adapter import config_from_published, published_key_map
from ingredients.models.transformer_ingredients import IngredientsTransformer3DModel, IngredientsTransformerOutput
from tests.models.golden_models import GOLDEN, Golden, golden_call, golden_identities, golden_transformer, stream

CASES = {"b1": [0], "b1_elem1": [1], "b2": [0, 1], "b2_reversed": [1, 0]}
BACKGROUND = -1


def denoise(
    model: IngredientsTransformer3DModel, golden: Golden, rows: list[int], form: Any = "plain", **arguments: Any
) -> IngredientsTransformerOutput:
    features = model.prepare_identities(*golden_identities(), form=form)
    if len(rows) == 2:
        features = features.repeat_for_guidance()
    output = model(**golden_call(golden, rows), identity_features=features, **arguments)
    assert isinstance(output, IngredientsTransformerOutput)
    return output


def routing_loss(output: IngredientsTransformerOutput, index_mask: torch.Tensor) -> torch.Tensor:
    """The published loss: with the batch fault only element 0 has logits, the others count as zero."""
    assert output.routing_logits is not None
    blocks = [
        F.cross_entropy(logits[0], index_mask[0], ignore_index=BACKGROUND, reduction="sum")
        for logits in output.routing_logits
    ]
    num_labelled = (index_mask[0] != BACKGROUND).sum().clamp(min=1)
    return torch.stack(blocks).mean() / num_labelled / index_mask.shape[0]


@pytest.fixture(scope="module")
def d_small() -> tuple[Golden, IngredientsTransformer3DModel]:
    golden = Golden("d_small")
    return golden, golden_transformer(golden.meta["config"])


@pytest.mark.parametrize("form", ["plain", "folded"])
@pytest.mark.parametrize("name", ["d_small", "d_small_interval2_L4", "d_small_norope", "d_small_scale0.5"])
@torch.no_grad()
def test_small_transformer(name: str, form: str) -> None:
    golden = Golden(name)
    model = golden_transformer(golden.meta["config"])
    face_scale = golden.meta["config"].get("local_face_scale", 1.0)
    outputs = {case: denoise(model, golden, rows, form, face_scale=face_scale) for case, rows in CASES.items()}
    for case, output in outputs.items():
        golden.assert_close(f"{case}.out", output.sample)
    for case in ("b1", "b2"):
        index_mask = golden.tensors["in.index_mask"][CASES[case]]
        expected = golden.tensors[f"{case}.mask.routing_loss"].item()
        assert routing_loss(outputs[case], index_mask).item() == pytest.approx(expected, abs=1e-5)
    assert routing_loss(outputs["b1"], torch.full((1, 18), BACKGROUND)).item() == 0


@pytest.mark.slow
@torch.no_grad()
def test_transformer_of_published_width() -> None:
    golden = Golden("d_full3072")
    model = golden_transformer(golden.meta["config"])
    for form in ("plain", "folded"):
        output = denoise(model, golden, [0, 1], form)
        golden.assert_close("b2.out", output.sample)
        expected = golden.tensors["b2.mask.routing_loss"].item()
        assert routing_loss(output, golden.tensors["in.index_mask"]).item() == pytest.approx(expected, abs=1e-5)
    golden.assert_close("b1_elem1.out", denoise(model, golden, [1]).sample)


@pytest.mark.parametrize("case", ["b1", "b2"])
@torch.no_grad()
def test_every_intermediate_result(d_small: tuple[Golden, IngredientsTransformer3DModel], case: str) -> None:
    golden, model = d_small
    seen: dict[str, tuple[Any, Any]] = {}

    def record(name: str) -> Callable[..., None]:
        def hook(_module: Any, args: Any, output: Any) -> None:
            seen[name] = (args, output)

        return hook

    hooks = [
        module.register_forward_hook(record(name))
        for name, module in model.named_modules()
        if name in {"patch_embed", "time_embedding", "norm_out", "multi_scale_projector"}
        or (name.startswith("transformer_blocks.") and (name.count(".") == 1 or name.endswith(".id_attn")))
    ]
    output = denoise(model, golden, CASES[case])
    for hook in hooks:
        hook.remove()

    for name in ("patch_embed", "time_embedding", "norm_out"):
        golden.assert_close(f"{case}.inter.{name}", seen[name][1])
    for n in range(2):
        golden.assert_close(
            f"{case}.inter.local_facial_extractor.call{n}", seen["multi_scale_projector"][1][n : n + 1]
        )
    assert output.routing_logits is not None
    for index, logits in enumerate(output.routing_logits):
        golden.assert_close(f"{case}.inter.router.{index}.0", logits[:1])
        block = model.transformer_blocks[index]
        (routed, identity, *_), added = seen[f"transformer_blocks.{index}.id_attn"]
        each = torch.cat([block.id_attn(routed, identity, F.one_hot(torch.full((1, 18), n), 2)) for n in range(2)])
        golden.assert_close(f"{case}.inter.perceiver_cross_attention.{index}", each)
        video, text, _ = seen[f"transformer_blocks.{index}"][1]
        golden.assert_close(f"{case}.inter.transformer_blocks.{index}.0", video - added)
        golden.assert_close(f"{case}.inter.transformer_blocks.{index}.1", text)


@torch.no_grad()
def test_what_must_not_pass_does_not(d_small: tuple[Golden, IngredientsTransformer3DModel]) -> None:
    golden, model = d_small
    argmax = denoise(model, golden, [0], routing="argmax").sample
    assert golden.relative_error("b1.out", argmax) > 0.1
    without = denoise(model, golden, [0], face_scale=0.0).sample
    assert golden.relative_error("b1.out", without) > 0.1
    each_by_itself = golden_transformer(golden.meta["config"], published_guidance_fault=False)
    assert golden.relative_error("b2.out", denoise(each_by_itself, golden, [0, 1]).sample) > 0.1


@torch.no_grad()
def test_without_the_fault_each_element_is_itself(d_small: tuple[Golden, IngredientsTransformer3DModel]) -> None:
    golden, _ = d_small
    model = golden_transformer(golden.meta["config"], published_guidance_fault=False)
    both = denoise(model, golden, [0, 1]).sample
    golden.assert_close("b1.out", both[:1])
    golden.assert_close("b1_elem1.out", both[1:])


@pytest.mark.parametrize("form", ["plain", "folded"])
@torch.no_grad()
def test_half_precision_stays_near(form: str) -> None:
    golden = Golden("d_small")
    model = golden_transformer(golden.meta["config"]).to(torch.bfloat16)
    call = golden_call(golden, [0])
    for name in ("hidden_states", "encoder_hidden_states"):
        call[name] = call[name].to(torch.bfloat16)
    features: IdentityFeatures = model.prepare_identities(*golden_identities(), form=form)
    sample = model(**call, identity_features=features).sample.float()
    difference = sample - golden.tensors["b1.out"]
    assert difference.abs().max() < 3 * 0.031  # the published code's own distance, with room for another kernel
    assert difference.square().mean().sqrt() < 1.5 * 0.0099


@pytest.mark.parametrize("form", ["plain", "folded"])
def test_gradients(form: str) -> None:
    golden, gradients = Golden("d_small"), Golden("d_small_grads")
    model = golden_transformer(golden.meta["config"]).requires_grad_(True)
    output = denoise(model, golden, [0], form)
    mse = F.mse_loss(output.sample, stream(100060, 1, 3, 16, 4, 6))
    routing = routing_loss(output, golden.tensors["in.index_mask"][:1])
    assert mse.item() == pytest.approx(gradients.tensors["mse"].item(), rel=1e-5)
    assert routing.item() == pytest.approx(gradients.tensors["routing_loss"].item(), abs=1e-5)
    (mse + routing).backward()

    names = published_key_map(model)
    norms, whole = 0, 0
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None, key
        name = names[key]
        norm = gradients.tensors.get(f"gradnorm.{name}")
        if norm is not None:
            norms += 1
            assert parameter.grad.norm().item() == pytest.approx(norm.item(), rel=1e-3, abs=1e-7), name
        if f"grad.{name}" in gradients.tensors:
            whole += 1
            expected = gradients.tensors[f"grad.{name}"]
            # Softmax does not see what is added to all identities: that bias has rounding errors for a gradient.
            atol = max(1e-3 * expected.square().mean().sqrt().item(), 1e-7)
            torch.testing.assert_close(parameter.grad, expected, rtol=1e-3, atol=atol)
    assert (norms, whole) == (247, 31)


def test_names_and_shapes_of_the_small_model() -> None:
    golden = Golden("d_small")
    shapes = json.loads((GOLDEN / "d_small_state_dict_shapes.json").read_text())
    model = golden_transformer(golden.meta["config"])
    names = published_key_map(model)
    assert {names[key]: list(tensor.shape) for key, tensor in model.state_dict().items()} == shapes


def test_names_and_shapes_of_the_published_model() -> None:
    golden = json.loads((GOLDEN / "f_state_dict_5b_i2v.json").read_text())
    with torch.device("meta"):
        model = IngredientsTransformer3DModel(**config_from_published(golden["config"]))
    names = published_key_map(model)
    assert {names[key]: list(tensor.shape) for key, tensor in model.state_dict().items()} == golden["shapes"]
    assert len(names) == golden["n_keys"] == 1784
    assert sum(parameter.numel() for parameter in model.parameters()) == golden["total"] == 7_043_945_344
