"""The pipeline on tiny real parts: what it returns, what each switch does, and what it refuses."""

import dataclasses
import inspect
import re
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import CogVideoXDDIMScheduler, CogVideoXImageToVideoPipeline, CogVideoXPipeline
from diffusers.callbacks import PipelineCallback
from PIL import Image

from ingredients.core.errors import ArgumentError, ModelFolderError, NoFaceError, PhotoError, PromptError, ShapeError
from ingredients.core.warnings_told import PhotoWarning
from ingredients.pipelines.inputs import Branches
from ingredients.pipelines.pipeline_ingredients import IngredientsPipeline
from ingredients.pipelines.prompts import PromptWarning
from tests.pipelines.stand_ins import (
    HEIGHT,
    LATENT_SHAPE,
    NUM_BLOCKS,
    NUM_FRAMES,
    PROMPT,
    TOKEN_GRID,
    WIDTH,
    choose_people,
    for_each_prompt,
    make_canvas,
    make_face_stack,
    make_people,
    make_photo,
    make_pipeline,
    make_seeing_face_stack,
)

NUM_TOKENS = int(np.prod(TOKEN_GRID))
STEPS = 2
PHOTOS = {"ana": make_photo(1), "ben": [make_photo(2), make_photo(3)], "cy": Image.fromarray(make_photo(4))}


@pytest.fixture(scope="module")
def pipeline() -> IngredientsPipeline:
    return make_pipeline(face_encoder=make_seeing_face_stack())


def run(pipeline: IngredientsPipeline, *args: Any, **changes: Any) -> torch.Tensor:
    """Denoised latents of a short run."""
    settings: dict[str, Any] = {"num_inference_steps": STEPS, "generator": 7, "output_type": "latent"}
    if "prompt_embeds" not in changes:
        settings["prompt"] = PROMPT
    frames = pipeline(*args, **(settings | changes)).frames
    assert isinstance(frames, torch.Tensor)
    return frames


def test_photos_and_a_sentence_become_a_video(pipeline: IngredientsPipeline) -> None:
    output = pipeline(PHOTOS, PROMPT, num_inference_steps=STEPS, generator=7, output_type="np")
    assert output.frames.shape == (1, NUM_FRAMES, HEIGHT, WIDTH, 3)
    assert output.frames.min() >= 0
    assert output.frames.max() <= 1
    assert output.routing_maps is None


def test_output_types_show_the_same_video(pipeline: IngredientsPipeline) -> None:
    def make(output_type: str) -> Any:
        return pipeline(PHOTOS, PROMPT, num_inference_steps=STEPS, generator=7, output_type=output_type).frames

    as_np, as_pt, as_pil = make("np"), make("pt"), make("pil")
    assert as_pt.shape == (1, NUM_FRAMES, 3, HEIGHT, WIDTH)
    np.testing.assert_array_equal(as_pt.permute(0, 1, 3, 4, 2).numpy(), as_np)
    assert [len(video) for video in as_pil] == [NUM_FRAMES]
    assert as_pil[0][0].size == (WIDTH, HEIGHT)
    np.testing.assert_allclose(np.asarray(as_pil[0][3]) / 255, as_np[0, 3], atol=0.5 / 255 + 1e-6)
    assert make("latent").shape == (1, *LATENT_SHAPE)
    with pytest.raises(ValueError, match="output_type must be one of"):
        make("gif")


def test_a_tuple_has_the_fields_of_the_output(pipeline: IngredientsPipeline) -> None:
    settings = {"num_inference_steps": 1, "generator": 7, "output_routing_maps": True, "output_type": "np"}
    output = pipeline(PHOTOS, PROMPT, **settings)
    frames, routing_maps = pipeline(PHOTOS, PROMPT, return_dict=False, **settings)
    np.testing.assert_array_equal(frames, output.frames)
    assert torch.equal(routing_maps, output.routing_maps)


@pytest.mark.parametrize("seed", [0, -3, 2**70])
def test_every_integer_is_a_seed(pipeline: IngredientsPipeline, seed: int) -> None:
    first = run(pipeline, PHOTOS, generator=seed)
    assert torch.equal(first, run(pipeline, PHOTOS, generator=seed))
    assert not torch.equal(first, run(pipeline, PHOTOS, generator=seed + 1))


def test_a_seed_is_a_generator_on_the_cpu(pipeline: IngredientsPipeline) -> None:
    generator = torch.Generator().manual_seed(7)
    assert torch.equal(run(pipeline, PHOTOS), run(pipeline, PHOTOS, generator=generator))


def test_a_seed_for_each_video_makes_the_video_that_it_makes_alone(pipeline: IngredientsPipeline) -> None:
    together = run(pipeline, PHOTOS, generator=[3, 4], num_videos_per_prompt=2)
    alone = [run(pipeline, PHOTOS, generator=seed) for seed in (3, 4)]
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-4, rtol=1e-4)
    with pytest.raises(ValueError, match="3 generators were given for 2 videos"):
        run(pipeline, PHOTOS, generator=[1, 2, 3], num_videos_per_prompt=2)


def test_prompts_and_videos_of_each_are_ordered_prompt_first(pipeline: IngredientsPipeline) -> None:
    prompts = ["two people wave", "people smile at night"]
    videos = run(pipeline, PHOTOS, prompt=prompts, num_videos_per_prompt=3, generator=[1, 2, 3, 4, 5, 6])
    assert videos.shape == (6, *LATENT_SHAPE)
    expected = run(pipeline, PHOTOS, prompt=prompts[1], generator=5)
    torch.testing.assert_close(videos[4:5], expected, atol=1e-4, rtol=1e-4)


def test_prompt_embeddings_stand_for_prompts(pipeline: IngredientsPipeline) -> None:
    positive, negative = pipeline.encode_prompt(PROMPT, "at night")
    assert negative is not None
    given = run(pipeline, PHOTOS, prompt_embeds=positive, negative_prompt_embeds=negative)
    assert torch.equal(given, run(pipeline, PHOTOS, negative_prompt="at night"))
    assert not torch.equal(given, run(pipeline, PHOTOS))


def test_guidance_of_one_runs_the_prompt_alone(pipeline: IngredientsPipeline) -> None:
    sizes: list[int] = []
    hook = pipeline.transformer.register_forward_pre_hook(
        lambda module, args, kwargs: sizes.append(kwargs["hidden_states"].shape[0]), with_kwargs=True
    )
    run(pipeline, PHOTOS, guidance_scale=1.0)
    run(pipeline, PHOTOS, guidance_scale=3.0)
    hook.remove()
    assert sizes == [1] * STEPS + [2] * STEPS


def test_the_same_people_in_another_order_make_the_same_video(pipeline: IngredientsPipeline) -> None:
    order = [2, 0, 1]
    identities = make_people(3)
    shuffled = choose_people(identities, order)
    outputs = [
        pipeline(
            prompt=PROMPT,
            canvas=make_canvas(),
            num_inference_steps=STEPS,
            generator=7,
            output_type="latent",
            output_routing_maps=True,
            people=people,
        )
        for people in (identities, shuffled)
    ]
    torch.testing.assert_close(outputs[0].frames, outputs[1].frames, atol=1e-4, rtol=1e-4)
    assert len(outputs[0].routing_maps.unique()) > 1
    assert torch.equal(torch.tensor(order)[outputs[1].routing_maps], outputs[0].routing_maps)


def test_a_padded_identity_changes_nothing(pipeline: IngredientsPipeline) -> None:
    padded = make_people(3)
    people = choose_people(padded, slice(2))
    padded = dataclasses.replace(padded, id_mask=torch.tensor([True, True, False]))
    masked = run(pipeline, canvas=make_canvas(), people=padded)
    torch.testing.assert_close(masked, run(pipeline, canvas=make_canvas(), people=people), atol=1e-4, rtol=1e-4)


def test_routing_maps_hold_each_step_and_block_and_are_kept_when_asked(pipeline: IngredientsPipeline) -> None:
    output = pipeline(
        PHOTOS,
        PROMPT,
        num_inference_steps=3,
        num_videos_per_prompt=2,
        generator=7,
        output_type="latent",
        output_routing_maps=True,
    )
    assert output.routing_maps.shape == (2, 3, NUM_BLOCKS, *TOKEN_GRID)
    assert output.routing_maps.dtype == torch.long
    assert set(output.routing_maps.unique().tolist()) <= {0, 1, 2}


def test_identities_are_prepared_once_a_video(pipeline: IngredientsPipeline) -> None:
    calls: list[int] = []
    hook = pipeline.transformer.multi_scale_projector.register_forward_hook(lambda *_: calls.append(1))
    run(pipeline, PHOTOS, num_inference_steps=4)
    hook.remove()
    assert len(calls) == 1


def test_the_local_branch_can_be_switched_off(pipeline: IngredientsPipeline) -> None:
    off = run(pipeline, PHOTOS, branches=Branches(use_identities=False))
    assert torch.equal(off, run(pipeline, PHOTOS, branches=Branches(face_scale=0.0)))
    assert torch.equal(off, run(pipeline, PHOTOS, branches=Branches(use_identities=False, routing="uniform")))
    assert not torch.equal(off, run(pipeline, PHOTOS))
    assert not torch.equal(run(pipeline, PHOTOS, branches=Branches(face_scale=0.5)), run(pipeline, PHOTOS))


def test_the_global_branch_can_be_switched_off_without_changing_the_noise(pipeline: IngredientsPipeline) -> None:
    seen: list[torch.Tensor] = []
    hook = pipeline.transformer.register_forward_pre_hook(
        lambda module, args, kwargs: seen.append(kwargs["hidden_states"]), with_kwargs=True
    )
    run(pipeline, PHOTOS, num_inference_steps=1)
    run(pipeline, PHOTOS, num_inference_steps=1, branches=Branches(use_canvas=False))
    run(pipeline, num_inference_steps=1)
    hook.remove()
    (noise, shown), *others = [inputs.split(LATENT_SHAPE[1], dim=2) for inputs in seen]
    assert shown[:, 0].any()
    assert not shown[:, 1:].any()
    for other_noise, hidden in others:
        assert torch.equal(other_noise, noise)
        assert not hidden.any()


def test_a_given_canvas_replaces_the_composed_one(pipeline: IngredientsPipeline) -> None:
    canvas = make_canvas()
    conflict = run(pipeline, PHOTOS, canvas=canvas)
    assert not torch.equal(conflict, run(pipeline, PHOTOS))
    assert torch.equal(conflict, run(pipeline, PHOTOS, canvas=Image.fromarray(canvas)))
    as_tensor = torch.from_numpy(canvas).permute(2, 0, 1)[None] / 127.5 - 1
    torch.testing.assert_close(run(pipeline, PHOTOS, canvas=as_tensor), conflict, atol=1e-4, rtol=1e-4)
    with pytest.raises(ShapeError, match=rf"a video {HEIGHT} high and {WIDTH} wide needs"):
        run(pipeline, PHOTOS, canvas=canvas[1:])


def test_extracted_identities_stand_for_photos(pipeline: IngredientsPipeline) -> None:
    identities = pipeline.extract_identities(PHOTOS)
    assert identities.names == ("ana", "ben", "cy")
    assert torch.equal(run(pipeline, identities), run(pipeline, PHOTOS))


def force(routing_indices: torch.Tensor) -> Branches:
    return Branches(routing_indices=routing_indices)


def test_forced_routing_gives_every_token_its_identity(pipeline: IngredientsPipeline) -> None:
    people = make_people(2)
    only_second = choose_people(people, slice(1, None))
    forced = run(pipeline, people, branches=force(torch.ones(NUM_TOKENS, dtype=torch.long)))
    torch.testing.assert_close(forced, run(pipeline, only_second), atol=1e-4, rtol=1e-4)
    nobody = run(pipeline, people, branches=force(torch.full(TOKEN_GRID, -1)))
    torch.testing.assert_close(nobody, run(pipeline), atol=1e-4, rtol=1e-4)


def test_forced_routing_takes_grids_and_rows_for_each_video(pipeline: IngredientsPipeline) -> None:
    people = make_people(2)
    left_right = torch.zeros(TOKEN_GRID, dtype=torch.long)
    left_right[..., TOKEN_GRID[2] // 2 :] = 1
    on_grid = run(pipeline, people, branches=force(left_right))
    assert torch.equal(on_grid, run(pipeline, people, branches=force(left_right.flatten()[None])))
    both = torch.stack([left_right, 1 - left_right])
    videos = run(pipeline, people, branches=force(both), num_videos_per_prompt=2, generator=[7, 7])
    torch.testing.assert_close(videos[:1], on_grid, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(videos[1:], on_grid, atol=1e-2, rtol=1e-2)
    with pytest.raises(ShapeError, match=r"these videos have 45 tokens, \(3, 3, 5\)"):
        run(pipeline, people, branches=force(torch.zeros(44, dtype=torch.long)))


def test_identities_can_differ_from_prompt_to_prompt(pipeline: IngredientsPipeline) -> None:
    first, second = make_people(2), make_people(2, seed=8)
    both = for_each_prompt(first, second)
    videos = run(pipeline, both, prompt=[PROMPT, PROMPT], num_videos_per_prompt=2, generator=[7, 7, 7, 7])
    expected = [run(pipeline, people) for people in (first, first, second, second)]
    torch.testing.assert_close(videos, torch.cat(expected), atol=1e-4, rtol=1e-4)
    with pytest.raises(ValueError, match="Identities were given for 2 videos, but there are 1"):
        run(pipeline, both)


@pytest.mark.parametrize("routing", ["softmax", "uniform"])
def test_routing_can_be_chosen_for_a_call(pipeline: IngredientsPipeline, routing: str) -> None:
    people = make_people(2)
    assert not torch.equal(run(pipeline, people, branches=Branches(routing=routing)), run(pipeline, people))


@pytest.mark.parametrize("num_people", [1, 3, 6, 9])
def test_any_number_of_people_works(pipeline: IngredientsPipeline, num_people: int) -> None:
    people = {f"person {index}": make_photo(index) for index in range(num_people)}
    assert run(pipeline, people).isfinite().all()


def test_more_people_than_fit_are_refused(pipeline: IngredientsPipeline) -> None:
    people = {f"person {index}": make_photo(index) for index in range(16)}
    with pytest.raises(ShapeError, match="16 faces do not fit on a canvas of 40x24 pixels; use at most 15 people"):
        run(pipeline, people)


def test_other_sizes_and_lengths_work(pipeline: IngredientsPipeline) -> None:
    assert run(pipeline, PHOTOS, height=32, width=48, num_frames=17).shape == (1, 5, 3, 8, 12)
    assert run(pipeline, PHOTOS, num_frames=1).shape == (1, 1, 3, 6, 10)


def test_given_noise_is_used(pipeline: IngredientsPipeline) -> None:
    noise = torch.randn(1, *LATENT_SHAPE, generator=torch.Generator().manual_seed(9))
    assert not torch.equal(run(pipeline, PHOTOS, latents=noise), run(pipeline, PHOTOS))
    with pytest.raises(ShapeError, match="these videos need"):
        run(pipeline, PHOTOS, latents=noise[:, 1:])


def test_a_model_that_shares_noise_between_frames_begins_with_such_noise() -> None:
    sharing = make_pipeline(face_encoder=make_seeing_face_stack(), noise_sharing=0.75)
    assert type(sharing.scheduler) is CogVideoXDDIMScheduler  # which draws no more, as what it was made with would
    generator = torch.Generator().manual_seed(4)
    torch.randn(1, LATENT_SHAPE[1], 1, *LATENT_SHAPE[2:], generator=generator)  # of the canvas
    own, common = (torch.randn(1, frames, *LATENT_SHAPE[1:], generator=generator) for frames in (LATENT_SHAPE[0], 1))
    given = run(sharing, PHOTOS, latents=0.25**0.5 * own + 0.75**0.5 * common, generator=4)
    torch.testing.assert_close(run(sharing, PHOTOS, generator=4), given)
    assert not torch.allclose(run(sharing, PHOTOS, latents=own, generator=4), given, atol=0.1)


def test_a_callback_sees_and_changes_each_step(pipeline: IngredientsPipeline) -> None:
    seen: list[tuple[int, int]] = []

    def callback(pipe: Any, step: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        assert pipe is pipeline
        assert set(tensors) == {"latents", "prompt_embeds"}
        assert (pipe.num_timesteps, pipe.guidance_scale) == (3, 6.0)
        seen.append((step, int(timestep)))
        return {"latents": torch.zeros_like(tensors["latents"])} if step == 2 else {}

    final = run(
        pipeline,
        PHOTOS,
        num_inference_steps=3,
        callback_on_step_end=callback,
        callback_on_step_end_tensor_inputs=["latents", "prompt_embeds"],
    )
    assert seen == [(0, 999), (1, 666), (2, 332)]
    assert not final.any()
    with pytest.raises(ValueError, match=r"got \['noise'\]"):
        run(pipeline, PHOTOS, callback_on_step_end=callback, callback_on_step_end_tensor_inputs=["noise"])


def test_diffusers_own_callbacks_work(pipeline: IngredientsPipeline) -> None:
    class ZeroLatents(PipelineCallback):
        tensor_inputs = ("latents",)

        def callback_fn(self, pipe: Any, step_index: int, timestep: Any, callback_kwargs: dict[str, Any]) -> Any:
            return {"latents": callback_kwargs["latents"] * 0}

    assert not run(pipeline, PHOTOS, callback_on_step_end=ZeroLatents()).any()


def test_a_callback_can_interrupt(pipeline: IngredientsPipeline) -> None:
    steps: list[int] = []

    def callback(pipe: Any, step: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        steps.append(step)
        pipe._interrupt = step == 1
        return {}

    run(pipeline, PHOTOS, num_inference_steps=5, callback_on_step_end=callback)
    assert steps == [0, 1]


def test_the_progress_bar_can_be_switched_off_and_leaves_standard_output_alone(
    capfd: pytest.CaptureFixture[str],
) -> None:
    pipeline = make_pipeline()
    run(pipeline)
    assert capfd.readouterr() == ("", "")
    pipeline.set_progress_bar_config(disable=False)
    run(pipeline)
    printed = capfd.readouterr()
    assert printed.out == ""
    assert f"{STEPS}/{STEPS}" in printed.err


def test_the_vae_can_be_sliced(pipeline: IngredientsPipeline) -> None:
    settings = {"generator": 7, "num_inference_steps": 1, "num_videos_per_prompt": 2, "output_type": "np"}
    whole = pipeline(PHOTOS, PROMPT, **settings).frames
    pipeline.vae.enable_slicing()
    sliced = pipeline(PHOTOS, PROMPT, **settings).frames
    pipeline.vae.disable_slicing()
    np.testing.assert_allclose(sliced, whole, atol=1e-5)


def test_bfloat16_runs() -> None:
    pipeline = make_pipeline(face_encoder=make_seeing_face_stack()).to(torch.bfloat16)
    latents = run(pipeline, PHOTOS)
    assert latents.dtype == torch.bfloat16
    assert latents.isfinite().all()


def test_without_people_it_is_diffusers_image_to_video(pipeline: IngredientsPipeline) -> None:
    parts = {name: part for name, part in pipeline.components.items() if name != "face_encoder"}
    reference = CogVideoXImageToVideoPipeline(**parts)
    reference.set_progress_bar_config(disable=True)
    expected = reference(
        Image.fromarray(make_canvas()),
        PROMPT,
        height=HEIGHT,
        width=WIDTH,
        num_frames=NUM_FRAMES,
        num_inference_steps=3,
        guidance_scale=6.0,
        generator=torch.Generator().manual_seed(7),
        max_sequence_length=pipeline.transformer.config.max_text_seq_length,
        output_type="latent",
    ).frames
    ours = run(pipeline, canvas=make_canvas(), num_inference_steps=3)
    torch.testing.assert_close(ours, expected, atol=1e-4, rtol=1e-4)


def test_a_text_to_video_base_is_diffusers_text_to_video() -> None:
    pipeline = make_pipeline(in_channels=3, identity_modules=False)
    parts = {name: part for name, part in pipeline.components.items() if name != "face_encoder"}
    reference = CogVideoXPipeline(**parts)
    reference.set_progress_bar_config(disable=True)
    expected = reference(
        PROMPT,
        height=HEIGHT,
        width=WIDTH,
        num_frames=NUM_FRAMES,
        num_inference_steps=3,
        guidance_scale=6.0,
        generator=torch.Generator().manual_seed(7),
        max_sequence_length=pipeline.transformer.config.max_text_seq_length,
        output_type="latent",
    ).frames
    torch.testing.assert_close(run(pipeline, num_inference_steps=3), expected, atol=1e-4, rtol=1e-4)
    with pytest.raises(ValueError, match="takes no canvas"):
        run(pipeline, canvas=make_canvas())


def test_impossible_shapes_are_refused_with_the_nearest_possible(pipeline: IngredientsPipeline) -> None:
    with pytest.raises(ShapeError, match=r"height 30 is not a multiple of 8.*try 24 or 32"):
        run(pipeline, PHOTOS, height=30)
    with pytest.raises(ShapeError, match=r"number of frames 10 is not 8k \+ 1.*try 9 or 17"):
        run(pipeline, PHOTOS, num_frames=10)


def test_learned_positions_fix_the_shape() -> None:
    pipeline = make_pipeline(use_learned_positional_embeddings=True)
    assert run(pipeline).isfinite().all()
    with pytest.raises(ShapeError, match="makes only 9 frames of 24 high and 40 wide"):
        run(pipeline, height=32)


def test_an_empty_prompt_is_refused(pipeline: IngredientsPipeline) -> None:
    for prompt in ("", "  ", ["two people wave", ""], []):
        with pytest.raises(PromptError, match="The prompt is empty"):
            run(pipeline, PHOTOS, prompt=prompt)


def test_contradictions_are_refused(pipeline: IngredientsPipeline) -> None:
    embeds, _ = pipeline.encode_prompt(PROMPT)
    with pytest.raises(ValueError, match="either prompt or prompt_embeds"):
        run(pipeline, prompt=PROMPT, prompt_embeds=embeds)
    with pytest.raises(ValueError, match="either prompt or prompt_embeds"):
        run(pipeline, prompt=None)
    with pytest.raises(ValueError, match="3 negative prompts were given for 1 prompts"):
        run(pipeline, negative_prompt=["a", "b", "c"])
    with pytest.raises(ArgumentError, match="branches must be a Branches, such as"):
        run(pipeline, branches={"face_scale": 0.5})


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("id_embeds", "people=PeopleEmbeds(id_embeds=..., id_vit_hidden_states=...)"),
        ("id_names", "people=PeopleEmbeds(id_embeds=..., id_vit_hidden_states=..., names=...)"),
        ("id_mask", "people=PeopleEmbeds(id_embeds=..., id_vit_hidden_states=..., id_mask=...)"),
        ("face_scale", "branches=Branches(face_scale=...)"),
        ("routing_indices", "branches=Branches(routing_indices=...)"),
        ("allow_photographs", "extract_identities(people, allow_photographs=True)"),
        ("image", "photos as people"),
    ],
)
def test_an_argument_that_has_its_place_elsewhere_is_told_where(
    pipeline: IngredientsPipeline, name: str, place: str
) -> None:
    with pytest.raises(ArgumentError, match=rf"^{name} is not taken: .*{re.escape(place)}"):
        run(pipeline, PHOTOS, **{name: 1})


def test_an_argument_that_nothing_has_is_named(pipeline: IngredientsPipeline) -> None:
    with pytest.raises(TypeError, match="no argument 'likeness'"):
        run(pipeline, PHOTOS, likeness=1)


def test_a_call_takes_the_arguments_of_diffusers_and_six_more() -> None:
    own = set(inspect.signature(IngredientsPipeline.__call__).parameters) - {"self", "sampling_overrides"}
    theirs = set(inspect.signature(CogVideoXImageToVideoPipeline.__call__).parameters) - {"self"}
    assert theirs - own == {"image"}
    assert own - theirs == {"people", "canvas", "places", "sampling", "branches", "output_routing_maps"}


def test_words_that_do_not_reach_the_model_are_named(pipeline: IngredientsPipeline) -> None:
    with pytest.warns(PromptWarning, match="does not know 'zebras'"):
        run(pipeline, prompt="two zebras, wave")
    with pytest.warns(PromptWarning, match="cut: 'a beach at night'"):
        run(pipeline, prompt="two people wave and smile on a beach at night")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(pipeline, prompt="two people wave on a beach")


def test_doubtful_photos_get_a_warning(pipeline: IngredientsPipeline) -> None:
    with pytest.warns(PhotoWarning, match="only 20 pixels wide"):
        run(pipeline, {"ana": make_photo(1, height=20)})


def test_people_without_a_usable_photo_are_refused(pipeline: IngredientsPipeline) -> None:
    with pytest.raises(NoFaceError, match="No face was found in photo 2 of ana"):
        run(pipeline, {"ana": [make_photo(1), np.zeros((50, 60, 3), dtype=np.uint8)]})
    with pytest.raises(PhotoError, match="No photo was given"):
        run(pipeline, {})
    with pytest.raises(PhotoError, match="No photo of ana was given"):
        run(pipeline, {"ana": []})
    with pytest.raises(PhotoError, match=r"/no/such\.png does not exist"):
        run(pipeline, {"ana": "/no/such.png"})
    with pytest.raises(PhotoError, match="photo 1 of ana"):
        run(pipeline, {"ana": np.full((50, 60, 3), 77.0)})


def test_an_untrained_face_encoder_finds_nobody() -> None:
    with pytest.raises(NoFaceError):
        run(make_pipeline(face_encoder=make_face_stack()), PHOTOS)


def test_photos_need_a_face_encoder() -> None:
    with pytest.raises(ModelFolderError, match="no face encoder"):
        run(make_pipeline(), PHOTOS)


def test_parts_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="reads 4 channels, but the VAE makes 3"):
        make_pipeline(in_channels=4)
