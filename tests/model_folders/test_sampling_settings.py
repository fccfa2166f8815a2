"""A model folder says how it is best sampled."""

import dataclasses
from pathlib import Path

import pytest
import torch

from ingredients.core.config import field_docstrings
from ingredients.core.errors import ArgumentError, ModelFolderError
from ingredients.core.ranges import declared_range
from ingredients.model_folders.sampling_settings import (
    SAMPLING_DEFAULTS_NAME,
    SamplingSettings,
    load_sampling_defaults,
)
from ingredients.pipelines.pipeline_ingredients import IngredientsPipeline
from tests.pipelines.stand_ins import PROMPT, make_face_stack, make_people, make_pipeline

DEFAULTS = SamplingSettings(num_inference_steps=3, guidance_scale=2.0, identity_guidance_scale=1.5)


def test_defaults_are_kept_with_the_model_and_used(tmp_path: Path) -> None:
    pipeline = make_pipeline(face_encoder=make_face_stack())
    pipeline.sampling_defaults = DEFAULTS
    pipeline.save_pretrained(tmp_path)
    loaded = IngredientsPipeline.from_pretrained(tmp_path)
    assert loaded.sampling_defaults == DEFAULTS
    sizes: list[int] = []
    loaded.transformer.register_forward_pre_hook(
        lambda module, args, kwargs: sizes.append(kwargs["hidden_states"].shape[0]), with_kwargs=True
    )
    loaded(prompt=PROMPT, generator=7, output_type="latent", people=make_people(2))
    assert sizes == [3] * 3


def test_a_folder_that_says_nothing_is_sampled_as_published(tmp_path: Path) -> None:
    assert load_sampling_defaults(tmp_path) == SamplingSettings(
        num_inference_steps=50, guidance_scale=6.0, identity_guidance_scale=1.0
    )


def test_damaged_defaults_are_told(tmp_path: Path) -> None:
    (tmp_path / SAMPLING_DEFAULTS_NAME).write_text('{"steps": 3}', encoding="utf-8")
    with pytest.raises(ModelFolderError, match="damaged"):
        load_sampling_defaults(tmp_path)


@pytest.mark.parametrize("field", dataclasses.fields(SamplingSettings), ids=lambda field: str(field.name))
def test_a_setting_has_a_range_that_holds_and_a_docstring_for_its_option(field: dataclasses.Field[float]) -> None:
    allowed = declared_range(SamplingSettings, field.name)
    assert field_docstrings(SamplingSettings)[field.name]
    for bound in (allowed.at_least, allowed.at_most):
        assert bound is not None
        assert getattr(SamplingSettings(**{field.name: bound}), field.name) == bound
    for outside in (allowed.at_least - 1, allowed.at_most + 1):
        with pytest.raises(ArgumentError, match=field.name):
            SamplingSettings(**{field.name: outside})


def test_a_call_takes_settings_and_single_fields_and_nothing_else() -> None:
    pipeline = make_pipeline()
    call = {"prompt": PROMPT, "generator": 7, "output_type": "latent"} | {"people": make_people(2)}
    settings = SamplingSettings(num_inference_steps=2, guidance_scale=3.0, layout_share=0.5)
    made = pipeline(sampling=settings, **call).frames
    assert torch.equal(made, pipeline(num_inference_steps=2, guidance_scale=3.0, layout_share=0.5, **call).frames)
    fewer = dataclasses.replace(settings, layout_share=0.0)
    assert not torch.equal(made, pipeline(sampling=fewer, **call).frames)
    assert torch.equal(made, pipeline(sampling=fewer, layout_share=0.5, **call).frames)
    with pytest.raises(TypeError, match="layout_shares"):
        pipeline(layout_shares=0.5, **call)


def test_settings_in_words() -> None:
    assert SamplingSettings(layout_share=0.25).describe() == (
        "50 steps, guidance 6, identity guidance 1, layout share 0.25, likeness guidance 0, perturbed attention 0"
    )
