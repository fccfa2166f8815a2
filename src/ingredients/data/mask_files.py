"""Masks of one person through a clip, as a picture that any viewer shows: 1 bit a pixel, frames below each other.

Legend: F frames, H/W pixels.
"""

from pathlib import Path

import numpy as np
from PIL import Image

from ingredients.core.arrays import BoolArray
from ingredients.core.errors import UserInputError
from ingredients.core.files import atomic_path


def write_masks(path: Path, masks: BoolArray) -> None:
    """Writes masks (F, H, W) as a PNG of F * H rows.

    Raises:
        OutputError: if the file cannot be written there.
    """
    num_frames, height, width = masks.shape
    with atomic_path(path) as temporary:
        Image.fromarray(masks.reshape(num_frames * height, width)).save(temporary, optimize=True)


def read_masks(path: Path, *, num_frames: int, height: int, width: int) -> BoolArray:
    """Reads masks (F, H, W).

    Raises:
        UserInputError: if the file is missing, is no picture, or was made for a clip of another size or length.
    """
    try:
        with Image.open(path) as picture:
            pixels = np.asarray(picture.convert("1"))
    except FileNotFoundError as error:
        raise UserInputError(f"The masks {path} are missing.") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UserInputError(f"The masks {path} cannot be read ({error}); write them again.") from error
    if pixels.shape != (num_frames * height, width):
        rows, columns = pixels.shape
        raise UserInputError(
            f"The masks {path} are {columns} wide and {rows} high in all, but {num_frames} frames of {width}x{height} "
            f"below each other are {width} wide and {num_frames * height} high."
        )
    masks: BoolArray = pixels.reshape(num_frames, height, width)
    return masks
