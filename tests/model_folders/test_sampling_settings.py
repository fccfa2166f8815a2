"""A model folder says how it is best sampled."""

from pathlib import Path

import pytest

from ingredients.core.errors import ModelFolderError
from ingredients.model_folders.sampling_settings import (
    SAMPLING_DEFAULTS_NAME,
    SamplingSettings,
    load_sampling_defaults,
)
from ingredients.pipelines.pipeline_ingredients import IngredientsPipeline
from tests.pipelines.stand_ins import PROMPT, make_face_stack, make_identities, make_pipeline

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
    loaded(prompt=PROMPT, generator=7, output_type="latent", **make_identities(2))
    assert sizes == [3] * 3


def test_a_folder_that_says_nothing_is_sampled_as_published(tmp_path: Path) -> None:
    assert load_sampling_defaults(tmp_path) == SamplingSettings(
        num_inference_steps=50, guidance_scale=6.0, identity_guidance_scale=1.0
    )


def test_damaged_defaults_are_told(tmp_path: Path) -> None:
    (tmp_path / SAMPLING_DEFAULTS_NAME).write_text('{"steps": 3}', encoding="utf-8")
    with pytest.raises(ModelFolderError, match="damaged"):
        load_sampling_defaults(tmp_path)
