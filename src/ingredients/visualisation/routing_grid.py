"""Routing of several models by denoising step, block and frame, and its accuracy (Figure 5 of the paper).

Legend: S denoising steps, J routed blocks, f/h/w grid of video tokens, F frames, H/W pixels, N identities.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from ingredients.core.arrays import Int64Array, UInt8Array
from ingredients.visualisation.contact_sheet import evenly_spread
from ingredients.visualisation.layout import (
    fit_height,
    in_column,
    in_row,
    in_the_middle,
    text_block,
    text_line,
    titled,
    with_margin,
)
from ingredients.visualisation.people_sheets import photo_block
from ingredients.visualisation.plots import new_figure, to_picture
from ingredients.visualisation.routing_maps import check_maps, middle_frames, overlay_map

CELL_HEIGHT = 56
"""Pixels of a map on the sheet."""

_BLOCK_WIDTH = 58
_LABEL_SIZE = 11
_NUM_STEPS = 4
_OVERLAY_SHARE = 0.6


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RoutedVideo:
    """A video and who was routed where while it was made."""

    frames: UInt8Array
    """(F, H, W, 3)."""

    routing_maps: Int64Array
    """(S, J, f, h, w), the identity of each token; a negative one is nobody's."""

    token_frames: Sequence[range] | None = None
    """The frames that each of f stands for; by default those of the causal VAE."""


def routing_grid(
    models: Mapping[str, RoutedVideo],
    photos: Mapping[str, UInt8Array],
    *,
    prompt: str | None = None,
    steps: Sequence[int] | None = None,
    frame_stride: int = 4,
    block_stride: int = 8,
    over_frames: bool = True,
    cell_height: int = CELL_HEIGHT,
) -> UInt8Array:
    """Draws the maps of each model: a row a block, and for each denoising step a column a latent frame.

    Args:
        models: videos of the same people by the model's name, say with and without the routing loss.
        photos: a photo (H, W, 3) of each person, by name, in the order of the identities.
        prompt: a line above all.
        steps: denoising steps shown, counted from 0; first, last and two between, without it.
        frame_stride: every so manieth latent frame is shown (the paper: 4).
        block_stride: every so manieth routed block (the paper: 8).
        over_frames: whether the maps tint the finished video's frames; otherwise they are plain colours.
        cell_height: pixels of a map; each is scaled up to it as to the video's size, with hard edges.

    Returns:
        A picture (height, width, 3).

    Raises:
        ValueError: if there is no model, or maps have another number of axes or identities without a photo.
    """
    if not models:
        raise ValueError("a grid of routing maps needs at least one model")
    parts = []
    for name, video in models.items():
        check_maps(video.routing_maps, num_names=len(photos))
        grid = _model_grid(
            video,
            steps=steps,
            frame_stride=frame_stride,
            block_stride=block_stride,
            over_frames=over_frames,
            cell_height=cell_height,
        )
        parts.append(titled(grid, name, size=15))
    sheet = in_column([photo_block(photos, height=2 * cell_height, rows=1), *parts], gap=14)
    if prompt is not None:
        sheet = in_column([text_block(prompt, width=sheet.shape[1], size=15), sheet], gap=8)
    return with_margin(sheet)


def routing_accuracy_plot(
    by_block: Mapping[str, Sequence[tuple[float, float]]],
    by_step: Mapping[str, Sequence[tuple[float, float]]],
    *,
    chance: float | None = None,
    block_name: str = "routed block",
    step_name: str = "denoising step",
) -> UInt8Array:
    """Draws two panels with one line a model: accuracy by block and by denoising step, or by noise level.

    Args:
        by_block: points (block, accuracy) by the model's name.
        by_step: points (step, accuracy) by the model's name.
        chance: accuracy of a router that knows nothing, 1 / N.
        block_name: the name of the first panel's axis.
        step_name: the name of the second panel's axis.

    Returns:
        A picture (height, width, 3).

    Raises:
        MissingDependencyError: if matplotlib is not installed.
    """
    figure = new_figure(width=9.0, height=3.6)
    panels = figure.subplots(1, 2, sharey=True)
    for panel, lines, name in zip(panels, (by_block, by_step), (block_name, step_name), strict=True):
        for model, points in lines.items():
            panel.plot(*zip(*points, strict=True), label=model, marker="o", markersize=3.5, linewidth=1.4)
        if chance is not None:
            panel.axhline(chance, color="grey", linewidth=1, linestyle=":", label="chance")
        panel.set_xlabel(name)
        panel.set_ylim(0.0, 1.03)
        panel.xaxis.get_major_locator().set_params(integer=True)
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("accuracy on face tokens")
    panels[-1].legend(fontsize="small", loc="lower right")
    return to_picture(figure)


def _model_grid(
    video: RoutedVideo,
    *,
    steps: Sequence[int] | None,
    frame_stride: int,
    block_stride: int,
    over_frames: bool,
    cell_height: int,
) -> UInt8Array:
    num_steps, num_blocks, num_latent_frames = video.routing_maps.shape[:3]
    latent_frames = range(0, num_latent_frames, frame_stride)
    frame_of = middle_frames(len(video.frames), num_latent_frames, video.token_frames)
    shown = [fit_height(video.frames[frame_of[index]], cell_height) for index in latent_frames]
    if not over_frames:
        shown = [np.full_like(frame, 255) for frame in shown]
    columns = []
    for step in evenly_spread(num_steps, _NUM_STEPS) if steps is None else steps:
        rows = [
            in_row(
                [
                    overlay_map(
                        frame,
                        video.routing_maps[step, block, index],
                        height=cell_height,
                        share=_OVERLAY_SHARE if over_frames else 1.0,
                    )
                    for frame, index in zip(shown, latent_frames, strict=True)
                ],
                gap=1,
            )
            for block in range(0, num_blocks, block_stride)
        ]
        columns.append(titled(in_column(rows, gap=3), f"step {step + 1} of {num_steps}", size=_LABEL_SIZE))
    labels = [
        in_the_middle(text_line(f"block {block}", width=_BLOCK_WIDTH, size=_LABEL_SIZE), cell_height)
        for block in range(0, num_blocks, block_stride)
    ]
    return in_row([titled(in_column(labels, gap=3), "", size=_LABEL_SIZE), *columns], gap=8)
