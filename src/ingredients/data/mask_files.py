"""Masks of one person through a clip, as a picture that any viewer shows: 1 bit a pixel, frames below each other.

Legend: F frames, H/W pixels.
"""

import contextlib
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from ingredients.core.arrays import BoolArray
from ingredients.core.errors import UserInputError
from ingredients.core.files import atomic_path
from ingredients.core.input_files import missing_remedy, open_file


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
        file = open_file(path)
    except FileNotFoundError as error:
        raise UserInputError(f"The masks {path} are missing; {missing_remedy(path)}.") from error
    except OSError as error:
        raise UserInputError(f"The masks {path} cannot be read ({error.strerror}); give a PNG file.") from error
    try:
        with file, _any_size(), Image.open(file, formats=("PNG",)) as picture:
            columns, rows = picture.size
            if (columns, rows) != (width, num_frames * height):
                raise UserInputError(
                    f"The masks {path} are {columns} wide and {rows} high in all, but {num_frames} frames of "
                    f"{width}x{height} below each other are {width} wide and {num_frames * height} high."
                )
            if picture.mode != "1":
                raise UserInputError(
                    f"The masks {path} have the mode {picture.mode}; write them with 1 bit a pixel, black and white."
                )
            pixels = np.asarray(picture)
    except (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error) as error:  # what Pillow raises
        raise UserInputError(f"The masks {path} cannot be read ({error}); write them again as PNG.") from error
    masks: BoolArray = pixels.reshape(num_frames, height, width)
    return masks


@contextlib.contextmanager
def _any_size() -> Iterator[None]:
    """Lifts Pillow's limit on pixels: the size is compared with the clip's before anything is decoded."""
    limit = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = limit
