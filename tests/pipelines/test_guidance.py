"""Guidance by prompt and by people, against the formula."""

from typing import Any

import pytest
import torch

from ingredients.pipelines.guidance import GuidancePass, plan_guidance
from ingredients.pipelines.pipeline_ingredients import IngredientsPipeline
from tests.pipelines.stand_ins import PROMPT, make_identities, make_pipeline

NOBODY = GuidancePass(has_prompt=False, has_people=False)
PEOPLE = GuidancePass(has_prompt=False, has_people=True)
EVERYTHING = GuidancePass(has_prompt=True, has_people=True)


@pytest.mark.parametrize(
    ("prompt_scale", "identity_scale", "passes"),
    [
        (1.0, 1.0, (EVERYTHING,)),
        (0.0, 1.0, (EVERYTHING,)),
        (6.0, 1.0, (PEOPLE, EVERYTHING)),
        (2.5, 2.5, (NOBODY, EVERYTHING)),
        (4.0, 2.5, (NOBODY, PEOPLE, EVERYTHING)),
        (1.0, 2.5, (NOBODY, PEOPLE, EVERYTHING)),
    ],
)
def test_passes_are_those_that_count(
    prompt_scale: float, identity_scale: float, passes: tuple[GuidancePass, ...]
) -> None:
    guidance = plan_guidance(prompt_scale, identity_scale)
    assert guidance.passes == passes
    assert sum(guidance.coefficients(prompt_scale)) == pytest.approx(1)


def test_the_prediction_is_that_of_the_formula() -> None:
    nobody, people, everything = torch.randn(3, 2, 4, 3, 5, 6)
    combined = plan_guidance(4.0, 2.5).combine(torch.cat([nobody, people, everything]), 4.0)
    expected = nobody + 2.5 * (people - nobody) + 4.0 * (everything - people)
    torch.testing.assert_close(combined, expected)
    combined = plan_guidance(2.5, 2.5).combine(torch.cat([nobody, everything]), 2.5)
    torch.testing.assert_close(combined, nobody + 2.5 * (everything - nobody))


def test_a_scale_that_varies_keeps_every_pass() -> None:
    assert plan_guidance(2.5, 2.5, varies=True).passes == (NOBODY, PEOPLE, EVERYTHING)


def test_without_guidance_nothing_varies() -> None:
    guidance = plan_guidance(1.0, 1.0, varies=True)
    assert guidance.passes == (EVERYTHING,)
    predictions = torch.randn(2, 4, 3, 5, 6)
    assert torch.equal(guidance.combine(predictions, 1.7), predictions)


def latents(pipeline: IngredientsPipeline, **settings: Any) -> torch.Tensor:
    given = make_identities(2) | settings
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
    latents(pipeline, guidance_scale=4.0, use_canvas=False, use_identities=False)
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
