"""Which identity the router gives each place in the video (Eq. 3; Figure 5 of the paper: by block and by step).

Legend: S denoising steps, J routed blocks, f/h/w grid of video tokens, F frames, H/W pixels, N identities.
"""

from collections.abc import Sequence

import numpy as np

from ingredients.core.arrays import Int64Array, UInt8Array
from ingredients.visualisation.contact_sheet import evenly_spread
from ingredients.visualisation.layout import (
    WHITE,
    blank,
    identity_colour,
    in_column,
    in_grid,
    in_row,
    resize,
    show_frame,
    shown_height,
    text_line,
    titled,
    with_margin,
)

_OVERLAY_SHARE = 0.45
_CELL_HEIGHT = 72
_FRAME_HEIGHT = 128
_NAME_WIDTH = 110


def routing_map_sheet(
    routing_maps: Int64Array,
    frames: UInt8Array,
    names: Sequence[str],
    *,
    max_steps: int = 5,
    max_blocks: int = 8,
    token_frames: Sequence[range] | None = None,
) -> UInt8Array:
    """Draws the maps over the video, then by denoising step (rows) and routed block (columns).

    Args:
        routing_maps: (S, J, f, h, w), the identity of each token; a negative one is nobody's and stays white.
        frames: (F, H, W, 3), the video.
        names: N names, by identity.
        max_steps: steps shown, spread evenly, the last among them.
        max_blocks: blocks shown, likewise.
        token_frames: the frames that each of f stands for; by default those of the causal VAE.

    Returns:
        A picture (height, width, 3).

    Raises:
        ValueError: if the maps have another number of axes, or name an identity that `names` lacks.
    """
    check_maps(routing_maps, num_names=len(names))
    num_steps, num_blocks, num_latent_frames = routing_maps.shape[:3]
    frame_of = middle_frames(len(frames), num_latent_frames, token_frames)
    votes = majority(routing_maps[-1, num_blocks // 2 :], num_identities=len(names))  # (f, h, w)
    height = shown_height(frames.shape[1], usual=_FRAME_HEIGHT)
    overlays = in_row(
        [
            titled(overlay_map(frames[frame], votes[index], height=height), f"frame {frame}")
            for index, frame in enumerate(frame_of)
        ]
    )
    middle = num_latent_frames // 2
    frame = frames[frame_of[middle]]
    cell_width = round(_CELL_HEIGHT * frame.shape[1] / frame.shape[0])
    rows = []
    for step in evenly_spread(num_steps, max_steps):
        cells = [
            titled(
                resize(
                    paint_map(routing_maps[step, block, middle]), width=cell_width, height=_CELL_HEIGHT, smooth=False
                ),
                f"step {step + 1}, block {block}",
                size=11,
            )
            for block in evenly_spread(num_blocks, max_blocks)
        ]
        rows.append(in_row(cells))
    grid = in_column(rows, gap=6)
    entries = [in_row([_patch(index), text_line(name, width=_NAME_WIDTH)], gap=6) for index, name in enumerate(names)]
    legend = in_grid(entries, columns=max(1, max(grid.shape[1], overlays.shape[1]) // (entries[0].shape[1] + 4)))
    return with_margin(
        in_column(
            [
                legend,
                titled(overlays, "last step, majority of the last half of the routed blocks"),
                titled(grid, f"by denoising step and routed block, at frame {frame_of[middle]}"),
            ],
            gap=12,
        )
    )


def majority(maps: Int64Array, *, num_identities: int) -> Int64Array:
    """The identity that most of the maps (J, ...) give each token (...); the smaller index where two are even."""
    votes = np.stack([(maps == identity).sum(axis=0) for identity in range(num_identities)])  # (N, ...)
    return np.asarray(np.where(votes.max(axis=0) > 0, votes.argmax(axis=0), -1))


def paint_map(routing_map: Int64Array) -> UInt8Array:
    """A map (h, w) in the identities' colours (h, w, 3); nobody's tokens are white."""
    picture = blank(*routing_map.shape)
    for identity in range(int(routing_map.max(initial=-1)) + 1):
        picture[routing_map == identity] = identity_colour(identity)
    return picture


def overlay_map(
    frame: UInt8Array, routing_map: Int64Array, *, height: int, share: float = _OVERLAY_SHARE
) -> UInt8Array:
    """A frame (H, W, 3) tinted by a map (h, w), scaled to a height; nobody's tokens are not tinted.

    Args:
        frame: the frame of the video.
        routing_map: the identity of each token, negative for nobody's.
        height: pixels.
        share: the share of the colour; 1 hides the frame.
    """
    picture = show_frame(frame, height).astype(np.float32)
    colours = resize(paint_map(routing_map), width=picture.shape[1], height=height, smooth=False)
    tinted = (colours != WHITE).any(axis=-1, keepdims=True)
    mixed = np.where(tinted, (1 - share) * picture + share * colours, picture)
    return np.asarray(mixed.round().astype(np.uint8))


def middle_frames(num_frames: int, num_token_frames: int, token_frames: Sequence[range] | None = None) -> list[int]:
    """The frame in the middle of those that each frame of tokens stands for.

    Args:
        num_frames: F.
        num_token_frames: f.
        token_frames: the frames that each of f stands for; by default those of the causal VAE, whose first latent
            frame is the first frame, and each later one a group.
    """
    if token_frames is not None:
        return [each.start + len(each) // 2 for each in token_frames]
    group = (num_frames - 1) / max(num_token_frames - 1, 1)
    later = [int(index * group + 1 + group / 2) for index in range(num_token_frames - 1)]
    return [0, *(min(frame, num_frames - 1) for frame in later)]


def check_maps(routing_maps: Int64Array, *, num_names: int) -> None:
    """Says whether maps can be drawn.

    Raises:
        ValueError: if they have another number of axes than (S, J, f, h, w), or hold an identity without a name.
    """
    if routing_maps.ndim != 5:
        raise ValueError(f"routing_maps must be (S, J, f, h, w), not of shape {routing_maps.shape}")
    if routing_maps.max(initial=-1) >= num_names:
        raise ValueError(f"routing_maps hold identity {routing_maps.max()}, but there are {num_names} names")


def _patch(identity: int) -> UInt8Array:
    patch = blank(16, 16)
    patch[:] = identity_colour(identity)
    return patch
