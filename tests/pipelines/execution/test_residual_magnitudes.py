"""The magnitudes by which MagCache goes: measured, kept in the model's folder, and taken for any number of steps."""

import math
from pathlib import Path

import pytest
import torch

from ingredients.core.errors import ModelFolderError, UserInputError
from ingredients.pipelines.execution.residual_magnitudes import (
    RESIDUAL_MAGNITUDES_NAME,
    ResidualMagnitudes,
    load_residual_magnitudes,
    recording_residuals,
)
from ingredients.pipelines.pipeline_ingredients import IngredientsPipeline
from tests.pipelines.stand_ins import PROMPT, make_people, make_pipeline

CURVE = ResidualMagnitudes(timesteps=(900, 600, 0), log_magnitudes=(0.0, 0.3, -0.3))


def test_ratios_of_the_measured_steps_are_those_of_the_magnitudes() -> None:
    assert CURVE.ratios([900, 600, 0]) == pytest.approx([1.0, math.exp(0.3), math.exp(-0.6)])


def test_twice_as_many_steps_change_as_much_in_all() -> None:
    few, many = CURVE.ratios([900, 600, 300]), CURVE.ratios([900, 750, 600, 450, 300])
    assert math.prod(many) == pytest.approx(math.prod(few))
    assert many[1] == pytest.approx(math.exp(0.15))


@pytest.mark.parametrize(
    ("timesteps", "message"), [((900, 600), "as many"), ((900,), "as many"), ((0, 600, 900), "fall")]
)
def test_a_curve_that_is_none_is_refused(timesteps: tuple[int, ...], message: str) -> None:
    log_magnitudes = (0.0,) if len(timesteps) == 1 else (0.0, 0.1, 0.2)
    with pytest.raises(UserInputError, match=message):
        ResidualMagnitudes(timesteps=timesteps, log_magnitudes=log_magnitudes)


def test_what_is_recorded_is_what_the_blocks_add() -> None:
    pipeline = make_pipeline()
    added: list[list[torch.Tensor]] = [[], []]
    blocks = pipeline.transformer.transformer_blocks
    entering: list[torch.Tensor] = []
    settings = {"people": make_people(2), "num_inference_steps": 4, "output_type": "latent"}
    with recording_residuals(pipeline.transformer) as recorder:
        for video in range(2):
            before = blocks[0].register_forward_pre_hook(lambda _module, args: entering.append(args[0]))
            after = blocks[-1].register_forward_hook(
                lambda _module, _args, output, video=video: added[video].append(output[0] - entering[-1])
            )
            pipeline(prompt=PROMPT, generator=video, **settings)
            before.remove()
            after.remove()
    magnitudes = recorder.magnitudes()
    assert magnitudes.timesteps == tuple(pipeline.scheduler.timesteps.tolist())
    for step in range(1, 4):
        ratios = [(steps[step].norm(dim=-1) / steps[step - 1].norm(dim=-1)).mean().log() for steps in added]
        expected = math.exp(sum(ratios) / 2)
        assert magnitudes.ratios(magnitudes.timesteps)[step] == pytest.approx(expected, rel=1e-4)
    pipeline(prompt=PROMPT, generator=5, **settings)
    assert recorder.magnitudes() == magnitudes  # it has stopped listening


def test_a_recording_of_no_video_is_refused() -> None:
    with recording_residuals(make_pipeline().transformer) as recorder:
        pass
    with pytest.raises(ValueError, match="no video"):
        recorder.magnitudes()


def test_they_are_kept_in_the_folder(tmp_path: Path) -> None:
    pipeline = make_pipeline()
    pipeline.save_pretrained(tmp_path)
    assert not (tmp_path / RESIDUAL_MAGNITUDES_NAME).exists()
    assert IngredientsPipeline.from_pretrained(tmp_path, face_encoder=None).residual_magnitudes is None
    pipeline.residual_magnitudes = CURVE
    pipeline.save_pretrained(tmp_path)
    assert IngredientsPipeline.from_pretrained(tmp_path, face_encoder=None).residual_magnitudes == CURVE


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / RESIDUAL_MAGNITUDES_NAME).write_text('{"timesteps": [3, 2], "log_magnitudes": [1.0]}')
    with pytest.raises(ModelFolderError, match=RESIDUAL_MAGNITUDES_NAME):
        load_residual_magnitudes(tmp_path)
