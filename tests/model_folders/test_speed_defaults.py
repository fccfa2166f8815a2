"""A model folder says in which arithmetic its model runs; what is asked for goes before it."""

from pathlib import Path

import pytest

from ingredients.core.errors import ModelFolderError
from ingredients.model_folders.speed_defaults import SPEED_DEFAULTS_NAME, SpeedDefaults, load_speed_defaults
from ingredients.pipelines.execution.speed_options import SpeedOptions
from ingredients.pipelines.loading import load_pipeline
from ingredients.pipelines.pipeline_ingredients import IngredientsPipeline
from tests.pipelines.stand_ins import make_face_stack, make_pipeline


@pytest.fixture
def model(tmp_path: Path) -> Path:
    pipeline = make_pipeline(face_encoder=make_face_stack())
    pipeline.speed_defaults = SpeedDefaults(precision="bfloat16")
    pipeline.save_pretrained(tmp_path)
    return tmp_path


def test_a_model_runs_in_its_own_precision_through_both_doors(model: Path) -> None:
    for loaded in (IngredientsPipeline.from_pretrained(model), load_pipeline(model, device="cpu")):
        assert loaded.speed_defaults == SpeedDefaults(precision="bfloat16")
        assert loaded.execution.speed == SpeedOptions(precision="bfloat16")
        loaded.apply_speed_options(SpeedOptions(split_guidance=True))
        assert loaded.execution.speed == SpeedOptions(split_guidance=True, precision="bfloat16")
        loaded.apply_speed_options(SpeedOptions(precision="float32"))
        assert loaded.execution.speed == SpeedOptions(precision="float32")


def test_what_is_asked_for_goes_before_it(model: Path) -> None:
    asked = load_pipeline(model, device="cpu", speed=SpeedOptions(precision="float32"))
    assert asked.execution.speed.precision == "float32"


def test_a_second_pipeline_on_the_same_transformer_has_it_too(model: Path) -> None:
    first = IngredientsPipeline.from_pretrained(model)
    second = IngredientsPipeline(**first.components)
    assert (second.speed_defaults, second.execution) == (first.speed_defaults, first.execution)


def test_a_folder_that_says_nothing_computes_in_full_precision(model: Path) -> None:
    (model / SPEED_DEFAULTS_NAME).unlink()
    assert load_speed_defaults(model) == SpeedDefaults(precision="float32")
    loaded = load_pipeline(model, device="cpu")
    assert loaded.execution.speed == SpeedOptions()
    loaded.save_pretrained(model)
    assert not (model / SPEED_DEFAULTS_NAME).exists()


def test_another_word_is_told_with_the_file(tmp_path: Path) -> None:
    (tmp_path / SPEED_DEFAULTS_NAME).write_text('{"precision": "half"}', encoding="utf-8")
    with pytest.raises(ModelFolderError, match=r"speed_defaults\.json"):
        load_speed_defaults(tmp_path)
