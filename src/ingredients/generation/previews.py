"""Pictures of a video that is being made, as front ends show them; nothing here needs PyTorch.

Legend: f frames of latents or tokens, H/W pixels.
"""

from collections.abc import Sequence

import numpy as np

from ingredients.core.arrays import Int64Array, UInt8Array
from ingredients.generation.progress import StepPreview
from ingredients.visualisation.layout import resize
from ingredients.visualisation.routing_maps import overlay_map

_HEIGHT = 128
_MOST_FRAMES = 4


def emerging_strip(preview: StepPreview) -> UInt8Array:
    """Some frames side by side (H, W, 3), as they are by now."""
    return _strip([preview.frames[index] for index in _chosen(preview)], None)


def routing_strip(preview: StepPreview) -> UInt8Array:
    """The same frames under the colours of the people to whom each place is given; there must be a map."""
    assert preview.routing_map is not None
    chosen, maps = _chosen(preview), preview.routing_map
    return _strip(
        [preview.frames[index] for index in chosen],
        [maps[index * len(maps) // len(preview.frames)] for index in chosen],
    )


def _chosen(preview: StepPreview) -> list[int]:
    number = len(preview.frames)
    spread = np.linspace(0, number - 1, num=min(number, _MOST_FRAMES)).round().astype(int)
    chosen: list[int] = np.unique(spread).tolist()
    return chosen


def _strip(frames: Sequence[UInt8Array], maps: Sequence[Int64Array] | None) -> UInt8Array:
    """Frames side by side, under the colours of maps if there are some."""
    height = max(_HEIGHT, frames[0].shape[0])
    width = round(height * frames[0].shape[1] / frames[0].shape[0])
    shown = [resize(frame, width=width, height=height) for frame in frames]
    if maps is not None:
        shown = [overlay_map(frame, each, height=height) for frame, each in zip(shown, maps, strict=True)]
    return np.concatenate(shown, axis=1)
