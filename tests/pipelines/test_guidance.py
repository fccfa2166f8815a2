"""Guidance by prompt and by people, against the formula."""

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from diffusers.models.attention_processor import Attention, CogVideoXAttnProcessor2_0

from ingredients.core.errors import ArgumentError
from ingredients.model_folders.sampling_settings import SamplingSettings
from ingredients.pipelines.guidance import Guidance
from ingredients.pipelines.guidance import plan_guidance as plan_for_settings
from ingredients.pipelines.guidance_passes import EVERYTHING, NOBODY, PEOPLE, PERTURBED, GuidancePass
from ingredients.pipelines.inputs import Branches
from ingredients.pipelines.pipeline_ingredients import IngredientsPipeline
from tests.pipelines.stand_ins import PROMPT, make_people, make_pipeline


def plan_guidance(
    prompt_scale: float, identity_scale: float, perturbed_scale: float = 0.0, *, varies: bool = False
) -> Guidance:
    settings = SamplingSettings(
        guidance_scale=prompt_scale,
        identity_guidance_scale=identity_scale,
        perturbed_attention_scale=perturbed_scale,
    )
    return plan_for_settings(settings, varies=varies)


@pytest.mark.parametrize(
    ("prompt_scale", "identity_scale", "perturbed_scale", "passes"),
    [
        (1.0, 1.0, 0.0, (EVERYTHING,)),
        (0.0, 1.0, 0.0, (EVERYTHING,)),
        (6.0, 1.0, 0.0, (PEOPLE, EVERYTHING)),
        (2.5, 2.5, 0.0, (NOBODY, EVERYTHING)),
        (4.0, 2.5, 0.0, (NOBODY, PEOPLE, EVERYTHING)),
        (1.0, 2.5, 0.0, (NOBODY, PEOPLE, EVERYTHING)),
        (1.0, 1.0, 1.5, (PERTURBED, EVERYTHING)),
        (6.0, 1.0, 1.5, (PEOPLE, PERTURBED, EVERYTHING)),
        (4.0, 2.5, 1.5, (NOBODY, PEOPLE, PERTURBED, EVERYTHING)),
    ],
)
def test_passes_are_those_that_count(
    prompt_scale: float, identity_scale: float, perturbed_scale: float, passes: tuple[GuidancePass, ...]
) -> None:
    guidance = plan_guidance(prompt_scale, identity_scale, perturbed_scale)
    assert guidance.passes == passes
    assert guidance.uses_negative_prompt == (PEOPLE in passes or NOBODY in passes)
    assert sum(guidance.coefficients(prompt_scale)) == pytest.approx(1)


def test_the_prediction_is_that_of_the_formula() -> None:
    nobody, people, everything = torch.randn(3, 2, 4, 3, 5, 6)
    combined = plan_guidance(4.0, 2.5).combine(torch.cat([nobody, people, everything]), 4.0)
    expected = nobody + 2.5 * (people - nobody) + 4.0 * (everything - people)
    torch.testing.assert_close(combined, expected)
    combined = plan_guidance(2.5, 2.5).combine(torch.cat([nobody, everything]), 2.5)
    torch.testing.assert_close(combined, nobody + 2.5 * (everything - nobody))


def test_perturbed_attention_is_led_away_from() -> None:
    nobody, people, perturbed, everything = torch.randn(4, 2, 4, 3, 5, 6)
    combined = plan_guidance(4.0, 2.5, 1.5).combine(torch.cat([nobody, people, perturbed, everything]), 4.0)
    expected = nobody + 2.5 * (people - nobody) + 4.0 * (everything - people) + 1.5 * (everything - perturbed)
    torch.testing.assert_close(combined, expected)
    combined = plan_guidance(1.0, 1.0, 0.5).combine(torch.cat([perturbed, everything]), 1.0)
    torch.testing.assert_close(combined, everything + 0.5 * (everything - perturbed))


def test_a_scale_that_varies_keeps_every_pass() -> None:
    assert plan_guidance(2.5, 2.5, varies=True).passes == (NOBODY, PEOPLE, EVERYTHING)


def test_without_guidance_nothing_varies() -> None:
    guidance = plan_guidance(1.0, 1.0, varies=True)
    assert guidance.passes == (EVERYTHING,)
    predictions = torch.randn(2, 4, 3, 5, 6)
    assert torch.equal(guidance.combine(predictions, 1.7), predictions)


def latents(pipeline: IngredientsPipeline, **settings: Any) -> torch.Tensor:
    given = {"people": make_people(2)} | settings
    frames = pipeline(prompt=PROMPT, num_inference_steps=2, generator=7, output_type="latent", **given).frames
    assert isinstance(frames, torch.Tensor)
    return frames


def test_one_step_of_the_pipeline_is_guided_by_prompt_and_people() -> None:
    """The three passes, each made alone by switching its conditions off, combine to the guided latents."""
    pipeline = make_pipeline()
    predictions: list[torch.Tensor] = []
    hook = pipeline.transformer.register_forward_hook(lambda module, args, output: predictions.append(output.sample))
    latents(pipeline, guidance_scale=4.0, identity_guidance_scale=2.5)
    nobody, people, everything = predictions[0].chunk(3)
    predictions.clear()
    latents(pipeline, guidance_scale=4.0)
    torch.testing.assert_close(predictions[0], torch.cat([people, everything]), atol=1e-5, rtol=1e-5)
    predictions.clear()
    latents(pipeline, guidance_scale=4.0, branches=Branches(use_canvas=False, use_identities=False))
    torch.testing.assert_close(predictions[0].chunk(2)[0], nobody, atol=1e-5, rtol=1e-5)
    hook.remove()


def test_identity_guidance_is_refused_under_the_published_fault() -> None:
    pipeline = make_pipeline()
    pipeline.transformer.register_to_config(published_guidance_fault=True)
    with pytest.raises(ValueError, match="identity_guidance_scale must be 1"):
        latents(pipeline, identity_guidance_scale=2.0)


def test_dynamic_guidance_of_one_is_no_guidance() -> None:
    pipeline = make_pipeline()
    plain = latents(pipeline, guidance_scale=1.0)
    assert torch.equal(latents(pipeline, guidance_scale=1.0, use_dynamic_cfg=True), plain)


@pytest.mark.parametrize("split", [False, True])
def test_only_the_perturbed_pass_is_perturbed(split: bool) -> None:
    """Its prediction is that of a transformer whose middle block attends in no other way; the others stay."""
    pipeline = make_pipeline()
    pipeline.execution = dataclasses.replace(pipeline.execution, saves_memory_by_splitting=split)
    predictions: list[torch.Tensor] = []
    hook = pipeline.transformer.register_forward_hook(lambda module, args, output: predictions.append(output.sample))
    latents(pipeline, guidance_scale=4.0)
    people, everything = torch.cat(predictions[: 2 if split else 1]).chunk(2)
    predictions.clear()
    latents(pipeline, guidance_scale=4.0, perturbed_attention_scale=1.5)
    made = torch.cat(predictions[: 3 if split else 1]).chunk(3)
    predictions.clear()
    torch.testing.assert_close(made[0], people, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(made[2], everything, atol=1e-5, rtol=1e-5)
    middle = pipeline.transformer.transformer_blocks[len(pipeline.transformer.transformer_blocks) // 2]
    with only_themselves(middle.attn1):
        latents(pipeline, guidance_scale=1.0)
    torch.testing.assert_close(made[1], predictions[0], atol=1e-5, rtol=1e-5)
    assert not torch.allclose(made[1], everything, atol=1e-3)
    hook.remove()


@contextlib.contextmanager
def only_themselves(attention: Attention) -> Iterator[None]:
    """Video tokens get their own values, written from the definition; text attends as ever."""
    usual = attention.processor

    def attend(attn: Attention, hidden_states: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        _, text = usual(attn, hidden_states, *args, **kwargs)
        return attn.to_out[0](attn.to_v(hidden_states)), text

    attention.processor = attend
    yield
    attention.processor = usual


def test_nothing_changes_without_perturbed_attention() -> None:
    pipeline = make_pipeline()
    assert torch.equal(latents(pipeline, perturbed_attention_scale=0.0), latents(pipeline))
    assert not torch.equal(latents(pipeline, perturbed_attention_scale=1.5), latents(pipeline))


def test_perturbed_attention_is_refused_under_the_published_fault() -> None:
    pipeline = make_pipeline()
    pipeline.transformer.register_to_config(published_guidance_fault=True)
    with pytest.raises(ValueError, match="perturbed_attention_scale must be 0"):
        latents(pipeline, perturbed_attention_scale=2.0)


def test_perturbed_attention_is_refused_where_another_processor_would_ignore_it() -> None:
    pipeline = make_pipeline()
    pipeline.transformer.set_attn_processor(CogVideoXAttnProcessor2_0())
    with pytest.raises(ArgumentError, match="needs the attention processor that a model comes with"):
        latents(pipeline, perturbed_attention_scale=2.0)
    assert latents(pipeline).isfinite().all()
