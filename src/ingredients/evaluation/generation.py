"""The one place that asks the pipeline for videos.

Legend: B videos, N identities, F frames, H/W pixels, f/h/w grid of video tokens, S side of a crop.
"""

import dataclasses
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch

from ingredients.core.arrays import UInt8Array
from ingredients.evaluation.parts import Addition, TokenAssignment, Variant
from ingredients.faces.canvas import compose_canvas
from ingredients.faces.facial_extractor import ExtractedIdentities
from ingredients.model_folders.sampling_settings import SamplingSettings
from ingredients.pipelines.execution.speed_options import SpeedOptions
from ingredients.pipelines.layout import column_layout
from ingredients.pipelines.pipeline_ingredients import IngredientsPipeline
from ingredients.pipelines.pipeline_output import IngredientsPipelineOutput, to_pixels
from ingredients.pipelines.video_shape import VideoShape

_AS_PUBLISHED = SamplingSettings()
_SETTING: dict[Addition, str] = {
    "layout": "layout_share",
    "identity_guidance": "identity_guidance_scale",
    "likeness_guidance": "likeness_guidance_scale",
}
"""The setting by which each addition is asked for."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class GenerationSettings(SamplingSettings):
    """How the videos are made; everything here changes the numbers."""

    face_scale: float = 1.0
    """Strength of the local branch (alpha_m of Eq. 4)."""

    num_frames: int | None = None
    """Frames of a video; None, here and below, takes the model's own."""

    height: int | None = None
    """Pixels."""

    width: int | None = None
    """Pixels."""

    speed: SpeedOptions = dataclasses.field(default_factory=SpeedOptions)
    """How the model runs."""

    @property
    def additions(self) -> frozenset[Addition]:
        """What they ask for that the paper does not have."""
        return frozenset(
            addition for addition, name in _SETTING.items() if getattr(self, name) != getattr(_AS_PUBLISHED, name)
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class VideoRequest:
    """One video of a batch."""

    prompt: str
    """What happens."""

    seed: int
    """Seed of the noise."""

    canvas_people: ExtractedIdentities
    """Whose crops are on the canvas."""

    local_people: ExtractedIdentities
    """Whose features the local branch gets; as many people."""


class VideoMaker(Protocol):
    """Makes the videos of cases instead of a pipeline."""

    @property
    def name(self) -> str:
        """Says how, in the record of the evaluation: other settings have another name."""
        ...

    def __call__(self, requests: Sequence[VideoRequest], settings: "GenerationSettings") -> list[UInt8Array]:
        """The videos (F, H, W, 3)."""
        ...


def video_shape(pipeline: IngredientsPipeline, settings: GenerationSettings) -> VideoShape:
    """The size that the settings give with this model.

    Raises:
        ShapeError: if the model cannot make it.
    """
    shape = pipeline.geometry.shape(height=settings.height, width=settings.width, num_frames=settings.num_frames)
    pipeline.geometry.check(shape)
    return shape


def generate_videos(
    pipeline: IngredientsPipeline,
    requests: Sequence[VideoRequest],
    *,
    variant: Variant,
    settings: GenerationSettings,
) -> list[UInt8Array]:
    """Makes the videos (F, H, W, 3) of one batch.

    Args:
        pipeline: makes them.
        requests: all with the same number of people.
        variant: which parts work.
        settings: steps, guidance, size.
    """
    shape = video_shape(pipeline, settings)
    canvas = None
    if variant.use_canvas and pipeline.takes_canvas:
        canvases = [
            compose_canvas(request.canvas_people.canvas_crops, shape.height, shape.width) for request in requests
        ]
        canvas = np.stack(canvases)  # (B, H, W, 3)
    id_embeds, id_vit_hidden_states = None, None
    if variant.use_identities or canvas is not None:  # the canvas may need to know how many they are
        people = [request.local_people for request in requests]
        id_embeds = torch.stack([each.id_embeds for each in people])  # (B, N, R + S)
        id_vit_hidden_states = [
            torch.stack(scale) for scale in zip(*(each.id_vit_hidden_states for each in people), strict=True)
        ]
    routing_indices = None
    if variant.assignment is not None:
        grid = pipeline.geometry.token_grid(shape)
        routing_indices = torch.stack(
            [
                assign_tokens(variant.assignment, grid, num_people=len(request.local_people), seed=request.seed)
                for request in requests
            ]
        )
    sampling = {field.name: getattr(settings, field.name) for field in dataclasses.fields(SamplingSettings)}
    left_out = [name for addition, name in _SETTING.items() if addition not in variant.additions]
    sampling |= {name: getattr(_AS_PUBLISHED, name) for name in left_out}
    pipeline.set_progress_bar_config(disable=True)
    output = pipeline(
        prompt=[request.prompt for request in requests],
        height=shape.height,
        width=shape.width,
        num_frames=shape.num_frames,
        **sampling,
        face_scale=settings.face_scale,
        generator=[request.seed for request in requests],
        canvas=canvas,
        use_canvas=canvas is not None,
        use_identities=variant.use_identities,
        id_embeds=id_embeds,
        id_vit_hidden_states=id_vit_hidden_states,
        routing=variant.routing,
        routing_indices=routing_indices,
        output_type="np",
    )
    assert isinstance(output, IngredientsPipelineOutput)  # a tuple only comes when asked for
    return list(to_pixels(output.frames))


def assign_tokens(
    assignment: TokenAssignment, token_grid: tuple[int, int, int], *, num_people: int, seed: int
) -> torch.Tensor:
    """An identity for each token (f, h, w): people in columns from left to right, mirrored, or by lot."""
    if assignment == "random":
        generator = torch.Generator().manual_seed(seed)
        return torch.randint(num_people, token_grid, generator=generator)
    columns = column_layout(token_grid, num_people)
    return columns if assignment == "left_right" else num_people - 1 - columns
