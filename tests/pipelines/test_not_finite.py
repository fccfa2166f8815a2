"""NaN and infinity go in nowhere, and never come out as if they were a video."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from ingredients.core.errors import ArgumentError, NoFaceError, NotFiniteError
from ingredients.model_folders.sampling_settings import SamplingSettings
from ingredients.pipelines.inputs import Branches
from ingredients.pipelines.loading import load_pipeline
from ingredients.pipelines.pipeline_ingredients import IngredientsPipeline
from tests.pipelines.stand_ins import (
    HEIGHT,
    LATENT_SHAPE,
    PROMPT,
    TEXT_DIM,
    TEXT_TOKENS,
    WIDTH,
    make_face_stack,
    make_people,
    make_photo,
    make_pipeline,
    make_seeing_face_stack,
)

WEIGHTS = [
    "transformer/diffusion_pytorch_model.safetensors",
    "vae/diffusion_pytorch_model.safetensors",
    "text_encoder/model.safetensors",
    "face_encoder/recogniser.safetensors",
    "face_encoder/detector.safetensors",
    "face_encoder/image_encoder/model.safetensors",
]


@pytest.fixture(scope="module")
def pipeline() -> IngredientsPipeline:
    return make_pipeline(face_encoder=make_seeing_face_stack())


def run(pipeline: IngredientsPipeline, *args: Any, **changes: Any) -> Any:
    settings: dict[str, Any] = {"num_inference_steps": 2, "generator": 7, "output_type": "latent"}
    if "prompt_embeds" not in changes:
        settings["prompt"] = PROMPT
    pipeline.set_progress_bar_config(disable=True)
    return pipeline(*args, **(settings | changes)).frames


def break_one(path: Path, value: float) -> str:
    """Sets one value of one tensor, and returns the tensor's name."""
    weights = load_file(path)
    name = max(weights, key=lambda each: weights[each].numel())
    weights[name].view(-1)[-1] = value
    save_file(weights, path)
    return name


@pytest.mark.parametrize("file", WEIGHTS)
@pytest.mark.parametrize("value", [float("nan"), float("-inf")])
def test_one_weight_that_is_no_number_is_named(tmp_path: Path, file: str, value: float) -> None:
    make_pipeline(face_encoder=make_face_stack()).save_pretrained(tmp_path)
    name = break_one(tmp_path / file, value)
    with pytest.raises(NotFiniteError, match=rf"{Path(file).name} hold values that are not finite .* in {name}"):
        load_pipeline(tmp_path, device="cpu")


def test_weights_that_do_not_fit_into_a_type_are_named(tmp_path: Path) -> None:
    make_pipeline(face_encoder=make_face_stack()).save_pretrained(tmp_path)
    name = break_one(tmp_path / WEIGHTS[0], 1e30)
    assert load_pipeline(tmp_path, device="cpu", dtype=torch.bfloat16).dtype == torch.bfloat16
    with pytest.raises(NotFiniteError, match=f"{name} in .*transformer do not fit into float16; take bfloat16 or"):
        load_pipeline(tmp_path, device="cpu", dtype=torch.float16)


@pytest.mark.parametrize(
    "option",
    [
        "guidance_scale",
        "identity_guidance_scale",
        "layout_share",
        "likeness_guidance_scale",
        "perturbed_attention_scale",
        "eta",
    ],
)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e308, "much"])
def test_options_that_are_no_numbers_are_refused(pipeline: IngredientsPipeline, option: str, value: Any) -> None:
    with pytest.raises(ArgumentError, match=rf"^{option} (must be a number, not|is .*, which is more than)"):
        run(pipeline, **{option: value}, people=make_people(2))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e308, "much"])
def test_a_strength_that_is_no_number_is_refused(value: Any) -> None:
    with pytest.raises(ArgumentError, match=r"^face_scale (must be a number, not|is .*, which is more than)"):
        Branches(face_scale=value)


def test_defaults_of_a_model_are_numbers_as_well(tmp_path: Path) -> None:
    for field in dataclasses.fields(SamplingSettings):
        with pytest.raises(ArgumentError, match=field.name):
            SamplingSettings(**{field.name: float("nan")})


def with_nan(tensor: torch.Tensor) -> torch.Tensor:
    tensor = tensor.clone()
    tensor.view(-1)[3] = float("nan")
    return tensor


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("latents", lambda: {"latents": with_nan(torch.zeros(1, *LATENT_SHAPE))}),
        ("prompt_embeds", lambda: {"prompt_embeds": with_nan(torch.zeros(1, TEXT_TOKENS, TEXT_DIM))}),
        (
            "negative_prompt_embeds",
            lambda: {"negative_prompt_embeds": with_nan(torch.zeros(1, TEXT_TOKENS, TEXT_DIM))},
        ),
        (
            "id_embeds",
            lambda: {"people": dataclasses.replace(one := make_people(2), id_embeds=with_nan(one.id_embeds))},
        ),
        (
            "id_vit_hidden_states",
            lambda: (
                {
                    "people": dataclasses.replace(
                        one := make_people(2),
                        id_vit_hidden_states=[with_nan(states) for states in one.id_vit_hidden_states],
                    )
                }
            ),
        ),
    ],
)
def test_tensors_that_hold_no_numbers_are_refused(
    pipeline: IngredientsPipeline, name: str, make: Callable[[], dict[str, Any]]
) -> None:
    with pytest.raises(NotFiniteError, match=f"^{name} hold values that are not finite"):
        run(pipeline, **make())


def test_padding_may_hold_anything(pipeline: IngredientsPipeline) -> None:
    people = make_people(2)
    people.id_embeds[1] = float("nan")
    people = dataclasses.replace(people, id_mask=torch.tensor([True, False]))
    assert run(pipeline, people).isfinite().all()


def test_a_video_that_breaks_down_is_none(pipeline: IngredientsPipeline) -> None:
    """Weights may be changed once they are loaded, and scales may be large without being infinite."""

    def after(step: int) -> Any:
        def callback(pipe: Any, at: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
            return {"latents": tensors["latents"] * float("inf")} if at == step else {}

        return callback

    with pytest.raises(NotFiniteError, match=r"The latents of the first step are not finite .* so there is no video"):
        run(pipeline, branches=Branches(face_scale=1e38), people=make_people(2))
    for output_type in ("latent", "pil"):
        with pytest.raises(NotFiniteError, match="The denoised latents are not finite"):
            run(pipeline, callback_on_step_end=after(1), output_type=output_type)
    broken = make_pipeline()
    broken.vae.decoder.conv_out.conv.bias.data[0] = float("nan")
    with pytest.raises(NotFiniteError, match="The decoded frames are not finite"):
        run(broken, output_type="np")


def test_face_networks_that_give_no_numbers_are_named(pipeline: IngredientsPipeline) -> None:
    stack = make_seeing_face_stack()
    broken = IngredientsPipeline.from_pipe(pipeline, face_encoder=stack)
    next(iter(stack.recogniser.network.parameters())).data.fill_(float("nan"))
    with pytest.raises(NotFiniteError, match="The face networks give values that are not finite"):
        broken.extract_identities({"ana": make_photo(1)})


def test_a_flat_picture_shows_nobody() -> None:
    """Whatever a detector says of it."""

    class Everywhere:
        def detect(self, image: Any) -> Any:
            return make_seeing_face_stack().detector.detect(np.ones_like(image))

    stack = dataclasses.replace(make_seeing_face_stack(), detector=Everywhere())  # type: ignore[arg-type]
    pipeline = make_pipeline(face_encoder=stack)
    noise = np.random.default_rng(0).integers(0, 3, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    for picture in (np.zeros((HEIGHT, WIDTH, 3), np.uint8), np.full((HEIGHT, WIDTH, 3), 200, np.uint8), noise):
        with pytest.raises(NoFaceError, match="No face was found in photo 1 of ana"):
            pipeline.extract_identities({"ana": picture})
    assert pipeline.extract_identities({"ana": noise * 20}).names == ("ana",)
