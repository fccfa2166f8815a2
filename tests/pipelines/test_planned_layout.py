"""People in columns while the video is still noise."""

from typing import Any

import pytest
import torch

from ingredients.models.id_router import Routing
from ingredients.pipelines.execution.speed_options import SpeedOptions
from ingredients.pipelines.inputs import Branches
from ingredients.pipelines.pipeline_ingredients import IngredientsPipeline
from ingredients.pipelines.pipeline_output import IngredientsPipelineOutput
from ingredients.pipelines.places import PlacePath
from ingredients.pipelines.planned_layout import column_layout, planned_indices
from tests.pipelines.stand_ins import (
    PROMPT,
    TOKEN_GRID,
    make_people,
    make_photo,
    make_pipeline,
    make_seeing_face_stack,
)


def test_columns_are_equal_and_run_from_left_to_right() -> None:
    layout = column_layout((2, 3, 7), 3)
    assert layout.shape == (2, 3, 7)
    assert layout[1, 2].tolist() == [0, 0, 0, 1, 1, 2, 2]


def test_padded_people_get_no_column() -> None:
    id_mask = torch.tensor([[True, False, True], [True, True, True], [False, False, False]])
    indices = planned_indices((1, 1, 6), id_mask)
    assert indices.tolist() == [[0, 0, 0, 2, 2, 2], [0, 0, 1, 1, 2, 2], [-1] * 6]


def run(pipeline: IngredientsPipeline, **settings: Any) -> torch.Tensor:
    given = {"people": make_people(2)} | {"num_inference_steps": 4, "output_type": "latent"} | settings
    frames = pipeline(prompt=PROMPT, generator=7, **given).frames
    assert isinstance(frames, torch.Tensor)
    return frames


@pytest.fixture
def forced() -> tuple[IngredientsPipeline, list[bool]]:
    """A pipeline, and for each of its steps so far whether routing was forced."""
    pipeline, steps = make_pipeline(), []
    pipeline.transformer.register_forward_pre_hook(
        lambda module, args, kwargs: steps.append(kwargs["routing_indices"] is not None), with_kwargs=True
    )
    return pipeline, steps


def test_the_layout_rules_its_share_of_the_steps(forced: tuple[IngredientsPipeline, list[bool]]) -> None:
    pipeline, steps = forced
    for share, expected in ((0.0, 0), (0.25, 1), (0.5, 2), (1.0, 4)):
        steps.clear()
        run(pipeline, layout_share=share)
        assert steps == [True] * expected + [False] * (4 - expected)


def test_a_whole_run_by_layout_is_a_run_with_forced_columns(forced: tuple[IngredientsPipeline, list[bool]]) -> None:
    pipeline, _ = forced
    columns = column_layout(TOKEN_GRID, 2)
    assert torch.equal(run(pipeline, layout_share=1.0), run(pipeline, branches=Branches(routing_indices=columns)))


@pytest.mark.parametrize("routing", ["argmax", "uniform"])
def test_routing_that_is_asked_for_comes_before_the_layout(
    forced: tuple[IngredientsPipeline, list[bool]], routing: Routing
) -> None:
    pipeline, steps = forced
    run(pipeline, layout_share=1.0, branches=Branches(routing=routing))
    assert not any(steps)


@pytest.fixture(scope="module")
def seeing() -> IngredientsPipeline:
    return make_pipeline(face_encoder=make_seeing_face_stack())


def place(pipeline: IngredientsPipeline, **settings: Any) -> IngredientsPipelineOutput:
    people = {"ana": make_photo(1), "ben": make_photo(2)}
    given = {"num_inference_steps": 4, "output_type": "latent", "generator": 7, "output_routing_maps": True} | settings
    return pipeline(people, PROMPT, **given)


def test_places_rule_the_first_steps_and_are_taken_after_them(seeing: IngredientsPipeline) -> None:
    steps: list[Any] = []
    hook = seeing.transformer.register_forward_pre_hook(
        lambda module, args, kwargs: steps.append(kwargs["routing_indices"]), with_kwargs=True
    )
    output = place(seeing, places={"ana": "right", "ben": (0, 0, 0.25, 1)}, num_videos_per_prompt=2, guidance_scale=3)
    hook.remove()
    assert [forced is not None for forced in steps] == [True, True, False, False]  # 0.3, for the model plans nothing
    columns = torch.tensor([1, -1, -1, 0, 0])
    columns[2] = 0  # its middle is the edge of the right half
    assert torch.equal(steps[0], columns.expand(4, *TOKEN_GRID).flatten(1))
    maps = output.routing_maps  # (B, S, J, f, h, w)
    assert (maps[..., 0] == 1).all()
    assert (maps[..., 2:] == 0).all()


def test_places_of_no_strength_that_nobody_else_wants_change_nothing(seeing: IngredientsPipeline) -> None:
    weak = PlacePath(places={0: "left"}, strength=0.0)
    one = {"ana": make_photo(1)}
    settings = {"num_inference_steps": 2, "output_type": "latent", "generator": 7, "layout_share": 0.0}
    assert torch.equal(
        seeing(one, PROMPT, places={"ana": weak}, **settings).frames, seeing(one, PROMPT, **settings).frames
    )


@pytest.mark.parametrize("split", [False, True])
def test_places_go_with_all_passes_and_with_one_after_the_other(seeing: IngredientsPipeline, split: bool) -> None:
    seeing.apply_speed_options(SpeedOptions(split_guidance=split))
    maps = place(seeing, places={"ana": (0, 0, 0.3, 0.9)}, guidance_scale=3, identity_guidance_scale=2).routing_maps
    seeing.apply_speed_options(SpeedOptions())
    assert (maps[..., 0] == 0).all()


def test_places_need_no_prompt_but_its_embeddings(seeing: IngredientsPipeline) -> None:
    embeds, negative = seeing.encode_prompt(PROMPT)
    people = {"ana": make_photo(1), "ben": make_photo(2)}
    settings = {"places": {"ana": "right"}, "num_inference_steps": 2, "generator": 7, "output_type": "latent"}
    frames = seeing(people, prompt_embeds=embeds, negative_prompt_embeds=negative, **settings).frames
    assert torch.equal(frames, seeing(people, PROMPT, **settings).frames)


def test_places_and_forced_routing_contradict_each_other(seeing: IngredientsPipeline) -> None:
    with pytest.raises(ValueError, match="either places or routing_indices"):
        place(seeing, places={"ana": "left"}, branches=Branches(routing_indices=column_layout(TOKEN_GRID, 2)))


def test_a_share_is_a_share() -> None:
    with pytest.raises(ValueError, match=r"layout_share must lie in \[0, 1\]"):
        run(make_pipeline(), layout_share=1.5)
