"""Other schedulers of diffusers' sample the model too, or are answered in a sentence."""

from typing import Any

import pytest
import torch
from diffusers import (
    CogVideoXDDIMScheduler,
    CogVideoXDPMScheduler,
    DDIMScheduler,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    HeunDiscreteScheduler,
    UniPCMultistepScheduler,
)

from ingredients.core.errors import ArgumentError
from ingredients.pipelines.pipeline_ingredients import IngredientsPipeline
from ingredients.pipelines.schedulers import check_scheduler
from tests.pipelines.stand_ins import (
    PROMPT,
    make_people,
    make_photo,
    make_pipeline,
    make_seeing_face_stack,
    make_transformer,
)

DETERMINISTIC = [DPMSolverMultistepScheduler, UniPCMultistepScheduler, EulerDiscreteScheduler, DDIMScheduler]


@pytest.fixture(scope="module")
def shared() -> IngredientsPipeline:
    pipeline = make_pipeline(face_encoder=make_seeing_face_stack())
    for name, parameter in pipeline.transformer.named_parameters():
        if name.startswith("proj_out"):
            parameter.data *= 0.2  # a field that all solvers can follow
    return pipeline


@pytest.fixture
def pipeline(shared: IngredientsPipeline) -> IngredientsPipeline:
    return IngredientsPipeline.from_pipe(shared)


def run(pipeline: IngredientsPipeline, *args: Any, **changes: Any) -> torch.Tensor:
    settings: dict[str, Any] = {"num_inference_steps": 2, "generator": 7, "output_type": "latent", "prompt": PROMPT}
    pipeline.set_progress_bar_config(disable=True)
    frames = pipeline(*args, **(settings | ({} if args else {"people": make_people(2)}) | changes)).frames
    assert isinstance(frames, torch.Tensor)
    return frames


def use(pipeline: IngredientsPipeline, scheduler: Any, **changes: Any) -> None:
    """As people do; diffusers would take the other class's defaults for what the model's own was not given."""
    if scheduler in (DDIMScheduler, DDPMScheduler):  # the only ones that would clip
        changes = {"clip_sample": False} | changes
    pipeline.scheduler = scheduler.from_config(pipeline.scheduler.config, **changes)


@pytest.mark.parametrize("scheduler", DETERMINISTIC)
def test_schedulers_of_one_noise_come_to_the_same_video(pipeline: IngredientsPipeline, scheduler: Any) -> None:
    noise = torch.randn(1, 3, 3, 6, 10, generator=torch.Generator().manual_seed(3))
    use(pipeline, CogVideoXDDIMScheduler)
    expected = run(pipeline, latents=noise, num_inference_steps=60, guidance_scale=1.0)
    use(pipeline, scheduler)
    found = run(pipeline, latents=noise, num_inference_steps=60, guidance_scale=1.0)
    error = (found - expected).square().mean().sqrt() / expected.square().mean().sqrt()
    assert error < 0.1


@pytest.mark.parametrize("scheduler", [DDPMScheduler, EulerAncestralDiscreteScheduler])
def test_other_schedulers_run_seeded(pipeline: IngredientsPipeline, scheduler: Any) -> None:
    use(pipeline, scheduler)
    first = run(pipeline, num_inference_steps=3)
    assert torch.equal(first, run(pipeline, num_inference_steps=3))
    pair = run(pipeline, num_inference_steps=3, num_videos_per_prompt=2, generator=[7, 8])
    torch.testing.assert_close(pair[:1], first, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("scheduler", [DPMSolverMultistepScheduler, EulerDiscreteScheduler])
def test_likeness_guidance_sees_the_latents_at_their_own_size(pipeline: IngredientsPipeline, scheduler: Any) -> None:
    people = {"ana": make_photo(1), "ben": make_photo(2)}
    use(pipeline, scheduler)
    led = run(pipeline, people, likeness_guidance_scale=0.2, num_inference_steps=4)
    free = run(pipeline, people, num_inference_steps=4)
    assert 0 < (led - free).abs().max() < free.abs().max()


def test_noise_that_is_not_the_models_is_refused(pipeline: IngredientsPipeline) -> None:
    use(pipeline, DPMSolverMultistepScheduler, beta_end=0.02)
    with pytest.raises(
        ArgumentError, match="DPMSolverMultistepScheduler adds another noise than the model was trained"
    ):
        run(pipeline)
    use(pipeline, HeunDiscreteScheduler)  # which cannot end in pure noise
    with pytest.raises(ArgumentError, match=r"HeunDiscreteScheduler adds another noise.*take one such as DPMSolver"):
        run(pipeline)
    pipeline.scheduler = UniPCMultistepScheduler()
    with pytest.raises(ArgumentError, match=r"UniPCMultistepScheduler\.from_config\(pipeline\.scheduler\.config\)"):
        run(pipeline)


def test_other_predictions_clipping_and_flow_matching_are_refused(pipeline: IngredientsPipeline) -> None:
    own = pipeline.scheduler
    pipeline.scheduler = DDPMScheduler.from_config(own.config, clip_sample=True)
    with pytest.raises(ArgumentError, match=r"DDPMScheduler would clip the latents; .*, clip_sample=False\)"):
        run(pipeline)
    pipeline.scheduler = DDPMScheduler.from_config(own.config, clip_sample=False, prediction_type="epsilon")
    with pytest.raises(ArgumentError, match="reads predictions of type epsilon, and the model makes v_prediction"):
        run(pipeline)
    pipeline.scheduler = FlowMatchEulerDiscreteScheduler()
    with pytest.raises(ArgumentError, match="FlowMatchEulerDiscreteScheduler is for another kind of model"):
        run(pipeline)


def test_a_scheduler_of_cogvideox_is_held_to_the_model_as_well(pipeline: IngredientsPipeline) -> None:
    own = pipeline.scheduler
    for changes, message in (
        ({"prediction_type": "sample"}, "reads predictions of type sample, and the model makes v_prediction"),
        ({"snr_shift_scale": 16.0}, "adds another noise than the model was trained with"),
    ):
        other = CogVideoXDDIMScheduler.from_config(own.config, **changes)
        with pytest.raises(ArgumentError, match=message):
            check_scheduler(other, own)
    check_scheduler(CogVideoXDDIMScheduler.from_config(own.config), own)


def test_a_model_whose_frames_share_noise_has_steps_that_add_none(pipeline: IngredientsPipeline) -> None:
    parts = pipeline.components
    parts["transformer"] = make_transformer(noise_sharing=0.5)
    sharing = IngredientsPipeline(**parts)
    assert type(sharing.scheduler) is CogVideoXDDIMScheduler
    assert torch.equal(sharing.scheduler.alphas_cumprod, pipeline.scheduler.alphas_cumprod)
    use(sharing, DPMSolverMultistepScheduler)  # as of the one that it was made with
    assert torch.isfinite(run(sharing)).all()
    assert type(pipeline.scheduler) is CogVideoXDPMScheduler
    kept = UniPCMultistepScheduler.from_config(pipeline.scheduler.config)
    assert IngredientsPipeline(**(parts | {"scheduler": kept})).scheduler is kept


def test_timesteps_of_ones_own(pipeline: IngredientsPipeline) -> None:
    with pytest.raises(ArgumentError, match="CogVideoXDPMScheduler takes no timesteps of one's own"):
        run(pipeline, timesteps=[999, 500])
    use(pipeline, DPMSolverMultistepScheduler)
    seen: list[int] = []

    def callback(pipe: Any, step: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        seen.append(int(timestep))
        return {}

    run(pipeline, timesteps=[999, 640, 80], callback_on_step_end=callback)
    assert seen == [999, 640, 80]
    assert pipeline.num_timesteps == 3
    for wrong in ([], [80, 640], [1000, 3], [5, 5], [3, -1]):
        with pytest.raises(ArgumentError, match=r"timesteps must fall from one to the next and lie in 0\.\.999"):
            run(pipeline, timesteps=wrong)
