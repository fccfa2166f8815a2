"""Likeness guidance, on a real tiny VAE and a real tiny recogniser."""

import dataclasses
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from ingredients.core.errors import ModelFolderError
from ingredients.data.latents import decode_pictures
from ingredients.faces.face_cutting import cut_faces
from ingredients.models.noise_schedule import NoiseSchedule, SampleSchedule
from ingredients.pipelines.likeness import LAST_TIMESTEP, MOST_FRAMES, NOISIEST_TIMESTEP, LikenessGuidance
from ingredients.pipelines.pipeline_ingredients import IngredientsPipeline
from tests.pipelines.stand_ins import (
    LATENT_SHAPE,
    PROMPT,
    RECOGNITION_DIM,
    CentreFaceDetector,
    make_people,
    make_pipeline,
    make_seeing_face_stack,
)

TIMESTEP = 400
NUM_STEPS = 25


@pytest.fixture(scope="module")
def pipeline() -> IngredientsPipeline:
    return make_pipeline(face_encoder=make_seeing_face_stack())


def make_guidance(pipeline: IngredientsPipeline, **changes: Any) -> LikenessGuidance:
    """For two videos of two people, the second with one person and a place that is empty."""
    assert pipeline.face_encoder is not None
    settings: dict[str, Any] = {
        "vae": pipeline.vae,
        "detector": CentreFaceDetector(),
        "recogniser": pipeline.face_encoder.recogniser,
        "embeds": torch.randn(2, 2, RECOGNITION_DIM, generator=torch.Generator().manual_seed(3)),
        "id_mask": torch.tensor([[True, True], [True, False]]),
        "scale": 0.3,
    }
    return LikenessGuidance(**(settings | changes))


def draw_step(num_videos: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    prediction, latents = torch.randn(2, num_videos, *LATENT_SHAPE, generator=torch.Generator().manual_seed(4))
    return prediction, latents


def schedule_of(pipeline: IngredientsPipeline) -> NoiseSchedule:
    return pipeline.transformer.backbone.noise_schedule(pipeline.scheduler)


def clean_latents(
    pipeline: IngredientsPipeline, prediction: torch.Tensor, latents: torch.Tensor, timestep: int = TIMESTEP
) -> torch.Tensor:
    alpha_bar = pipeline.scheduler.alphas_cumprod[timestep]
    return alpha_bar.sqrt() * latents - (1 - alpha_bar).sqrt() * prediction


def mean_cosine(pipeline: IngredientsPipeline, video: torch.Tensor, embed: torch.Tensor) -> torch.Tensor:
    """Of the face in the middle of each latent frame, in plain steps."""
    assert pipeline.face_encoder is not None
    recogniser = pipeline.face_encoder.recogniser
    pictures = decode_pictures(pipeline.vae, video[None])[0]
    (face,) = CentreFaceDetector().detect(pictures[0].permute(1, 2, 0).abs().detach().numpy())  # always the same
    landmarks = torch.from_numpy(face.landmarks).expand(len(pictures), -1, -1)
    seen = recogniser.embed_pixel_values(cut_faces(pictures, landmarks, size=recogniser.crop_size))
    return F.cosine_similarity(seen, embed.expand_as(seen), dim=-1).mean()


def test_a_step_goes_up_the_gradient_of_the_likeness(pipeline: IngredientsPipeline) -> None:
    guidance, (prediction, latents) = make_guidance(pipeline), draw_step()
    guided = guidance(prediction, latents, TIMESTEP, schedule_of(pipeline), step=0, num_steps=NUM_STEPS)
    before, after = (clean_latents(pipeline, each, latents) for each in (prediction, guided))

    video = before[1].clone().requires_grad_()
    (gradient,) = torch.autograd.grad(mean_cosine(pipeline, video, guidance.embeds[1, 0]), video)
    alive = gradient[gradient.abs() > 0.01 * gradient.abs().max()]
    step = 0.3 * (1 - pipeline.scheduler.alphas_cumprod[TIMESTEP]).sqrt() * gradient / alive.square().mean().sqrt()
    torch.testing.assert_close(after[1] - before[1], step, rtol=1e-3, atol=1e-4)


def test_small_steps_raise_the_likeness_of_somebody_in_every_video(pipeline: IngredientsPipeline) -> None:
    guidance, (prediction, latents) = make_guidance(pipeline, scale=0.01), draw_step()
    guided = guidance(prediction, latents, TIMESTEP, schedule_of(pipeline), step=0, num_steps=NUM_STEPS)
    for video in range(2):
        with torch.no_grad():
            before, after = (
                [
                    float(mean_cosine(pipeline, clean_latents(pipeline, each, latents)[video], embed))
                    for embed in guidance.embeds[video][guidance.id_mask[video]]
                ]
                for each in (prediction, guided)
            )
        assert max(after) > max(before)


def test_videos_do_not_see_each_other_nor_places_that_are_empty(pipeline: IngredientsPipeline) -> None:
    prediction, latents = draw_step()
    together = make_guidance(pipeline)(
        prediction, latents, TIMESTEP, schedule_of(pipeline), step=0, num_steps=NUM_STEPS
    )
    embeds = make_guidance(pipeline).embeds
    for video, num_people in ((0, 2), (1, 1)):
        row = slice(video, video + 1)
        alone = make_guidance(
            pipeline, embeds=embeds[row, :num_people], id_mask=torch.ones(1, num_people, dtype=torch.bool)
        )
        guided = alone(prediction[row], latents[row], TIMESTEP, schedule_of(pipeline), step=0, num_steps=NUM_STEPS)
        torch.testing.assert_close(guided, together[row], rtol=1e-4, atol=1e-4)


def test_steps_look_at_the_frames_of_a_long_video_in_turn(pipeline: IngredientsPipeline) -> None:
    num_frames = 2 * MOST_FRAMES + 2
    prediction, latents = torch.randn(2, 2, num_frames, *LATENT_SHAPE[1:], generator=torch.Generator().manual_seed(4))
    guidance, seen = make_guidance(pipeline), []
    for step in (4, 5, 6):
        guided = guidance(prediction, latents, TIMESTEP, schedule_of(pipeline), step=step, num_steps=NUM_STEPS)
        is_moved = ((guided - prediction).abs() > 1e-3).flatten(2).any(dim=2)[0]
        seen.append(is_moved.nonzero()[:, 0].tolist())
    assert seen == [list(range(first, num_frames, 3)) for first in (1, 2, 0)]
    assert max(len(frames) for frames in seen) <= MOST_FRAMES


class BlindDetector:
    """Sees no face anywhere."""

    def detect(self, image: object) -> list[Any]:
        return []


@pytest.mark.parametrize(
    "changes",
    [{"detector": BlindDetector()}, {"id_mask": torch.zeros(2, 2, dtype=torch.bool)}],
    ids=["no face", "no people"],
)
def test_without_faces_or_people_nothing_moves(pipeline: IngredientsPipeline, changes: dict[str, Any]) -> None:
    prediction, latents = draw_step()
    guided = make_guidance(pipeline, **changes)(
        prediction, latents, TIMESTEP, schedule_of(pipeline), step=0, num_steps=NUM_STEPS
    )
    torch.testing.assert_close(guided, prediction, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("timestep", [NOISIEST_TIMESTEP + 1, LAST_TIMESTEP - 1])
def test_the_noisiest_and_the_last_steps_go_without(pipeline: IngredientsPipeline, timestep: int) -> None:
    prediction, latents = draw_step()
    assert (
        make_guidance(pipeline)(prediction, latents, timestep, schedule_of(pipeline), step=0, num_steps=NUM_STEPS)
        is prediction
    )


def run(pipeline: IngredientsPipeline, **settings: Any) -> torch.Tensor:
    given = {"people": make_people(2)} | {"num_inference_steps": 5, "output_type": "latent"} | settings
    frames = pipeline(prompt=PROMPT, generator=7, **given).frames
    assert isinstance(frames, torch.Tensor)
    return frames


def test_the_pipeline_guides_when_it_is_asked_to() -> None:
    pipeline = make_pipeline(face_encoder=make_seeing_face_stack())
    plain, guided = run(pipeline), run(pipeline, likeness_guidance_scale=0.5)
    assert torch.equal(plain, run(pipeline, likeness_guidance_scale=0.0))
    assert not torch.equal(plain, guided)
    with torch.inference_mode():
        torch.testing.assert_close(run(pipeline, likeness_guidance_scale=0.5), guided)
    nobody = {"people": None}
    assert torch.equal(run(pipeline, **nobody), run(pipeline, **nobody, likeness_guidance_scale=0.5))


def test_what_cannot_guide_says_so() -> None:
    pipeline = make_pipeline()
    with pytest.raises(ValueError, match="must not be negative, got -1"):
        run(pipeline, likeness_guidance_scale=-1.0)
    with pytest.raises(ModelFolderError, match=r"recogniser has gradients.*scale to 0"):
        run(pipeline, likeness_guidance_scale=0.5)
    plain = run(pipeline)
    pipeline.sampling_defaults = dataclasses.replace(pipeline.sampling_defaults, likeness_guidance_scale=0.5)
    assert torch.equal(run(pipeline), plain)  # a default is a wish only


def test_guided_clean_latents_are_the_same_where_they_are_predicted_themselves(pipeline: IngredientsPipeline) -> None:
    guidance, (prediction, latents) = make_guidance(pipeline), draw_step()
    velocity = guidance(prediction, latents, TIMESTEP, schedule_of(pipeline), step=0, num_steps=NUM_STEPS)
    clean = clean_latents(pipeline, prediction, latents)
    schedule = SampleSchedule(pipeline.scheduler.alphas_cumprod)
    guided = guidance(clean, latents, TIMESTEP, schedule, step=0, num_steps=NUM_STEPS)
    assert not torch.allclose(guided, clean, atol=1e-3)
    torch.testing.assert_close(guided, clean_latents(pipeline, velocity, latents), atol=1e-4, rtol=1e-4)


def test_a_step_with_less_than_two_after_it_goes_its_own_way(pipeline: IngredientsPipeline) -> None:
    guidance, (prediction, latents) = make_guidance(pipeline), draw_step()
    guided = [
        guidance(prediction, latents, TIMESTEP, schedule_of(pipeline), step=step, num_steps=8) is not prediction
        for step in range(8)
    ]
    assert guided == [True] * 6 + [False] * 2
