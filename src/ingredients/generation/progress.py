"""What is told of a video while it is made, or judged; nothing here needs PyTorch.

Legend: f frames of tokens, h/w latent grid or token grid.
"""

import dataclasses
from collections.abc import Callable

from ingredients.core.arrays import Int64Array, UInt8Array
from ingredients.core.errors import UserInputError


class CancelledError(UserInputError):
    """A video is not made, or not judged, for that was cancelled."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StepPreview:
    """What a step lets one guess of the video."""

    frames: UInt8Array
    """(f, h, w, 3) RGB of the clean latents that the step predicts, a pixel for each latent cell."""

    routing_map: Int64Array | None
    """(f, h, w) in the token grid: the person that most of the last blocks chose, -1 for none; None without a router.
    """


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StepDone:
    """A step was taken: of denoising, where a video is made; through the frames, where it is judged."""

    step: int
    """Which, from 1."""

    total: int
    """How many there are."""

    seconds_left: float
    """Time until the last of them, at the pace so far."""

    preview: StepPreview | None = None
    """What can be seen by now, where it was asked for."""


OnStep = Callable[[StepDone], None]
