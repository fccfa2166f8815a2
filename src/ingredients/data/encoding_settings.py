"""What is drawn, kept of a clip, and taken of it in a step; nothing here needs PyTorch to be read."""

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

from ingredients.core.errors import UserInputError
from ingredients.core.ranges import Range, RangeChecked, Seed, Share
from ingredients.faces.network_settings import ScaleSource
from ingredients.world import WORLD_VERSION, Split
from ingredients.world.styles import TOGETHER

DESCRIPTION_NAME = "encoded.json"
"""What says of a folder of encoded clips what they were made from."""

RoutingSupervision = Literal["segment", "box"]
ReferenceSource = Literal["same_clip", "same_frame", "other", "any"]
"""Where a person's face is taken from: a frame of the clip itself; one frame of the clip, from which all its people
are taken, as in the paper (3.3); a photo or another clip of the person, where there is one; or any of them."""
StorageType = Literal["float16", "bfloat16", "float32"]
FrameChoice = Literal["each", "shared"]
MaskResize = Literal["coverage", "trilinear"]


def check_encoded_folder(folder: Path) -> None:
    """Says whether a folder can hold encoded clips, before the libraries that read them are imported.

    Raises:
        UserInputError: if it lacks their description.
    """
    if not (folder / DESCRIPTION_NAME).exists():
        raise UserInputError(
            f"There are no encoded clips in {folder}: it lacks {DESCRIPTION_NAME}; make them with `ingredients data "
            "encode`, or for the drawn world with `ingredients world train latents`."
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class EncoderConfig(RangeChecked):
    """What is kept of a clip; part of the record of what made it."""

    num_frame_references: Annotated[int, Range(at_least=0, at_most=1025)] = 1
    """Frames of the clip from which each person's face is taken as a reference (3.3), drawn at random."""

    scale_source: ScaleSource = "clip"
    """Multi-scale features: the image encoder's hidden states, or the recogniser's feature maps behind them."""

    frame_choice: FrameChoice = "each"
    """Whether each person has frames of the own, or frames of the clip are drawn for all, those first that show the
    most people: the paper draws a frame, from which all references come (3.3)."""

    mask_resize: MaskResize = "coverage"
    """How masks become routing targets: each identity's share of a token, or the paper's trilinear resize of one map
    of labels (3.3), which between two labels invents those that lie between them."""

    dtype: StorageType = "float16"
    """Type of everything that is encoded."""

    seed: Seed = 0
    """Draws the frames."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class WorldExampleConfig(RangeChecked):
    """What is drawn."""

    split: Split = "train"
    """The split whose identities take part."""

    height: Annotated[int, Range(at_least=32, at_most=2160)] = 64
    """Pixels."""

    width: Annotated[int, Range(at_least=32, at_most=3840)] = 96
    """Pixels."""

    num_frames: Annotated[int, Range(at_least=1, at_most=1025)] = 9
    """Frames of a clip, 8k + 1."""

    style: str = TOGETHER.name
    """How scenes are cast, framed and played, a key of `STYLES`."""

    portrait_size: Annotated[int, Range(at_least=32, at_most=4096)] = 128
    """Side of the photos."""

    num_photos: Annotated[int, Range(at_least=1, at_most=100)] = 2
    """Photos of each person, with other poses, expressions and light than the clip's."""

    landmark_jitter: Share = 0.01
    """Standard deviation of the error put on a photo's landmarks, in parts of its side: a detector errs as well."""

    world_version: str = WORLD_VERSION
    """Version of the drawings; goes into the record of what encoded clips were made from."""
