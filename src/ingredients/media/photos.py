"""Opens any photo as RGB uint8 (H, W, 3), upright and opaque, or says in one sentence why it cannot."""

import struct
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ingredients.core.arrays import UInt8Array
from ingredients.core.errors import PhotoError

MAX_PHOTO_PIXELS = 64_000_000
"""More pixels than this are refused before anything is decoded (phones make up to 50 million)."""

PHOTO_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "PPM")
"""Formats whose readers are Pillow's own; others, such as EPS, would start outside programs."""

_SIXTEEN_TO_EIGHT_BITS = 257  # 65535 / 255


def load_photo(path: str | Path) -> UInt8Array:
    """Opens a photo as RGB uint8 (H, W, 3).

    The orientation noted by the camera is applied, transparency is laid over white, and CMYK, palette, grey and
    16-bit photos are converted.

    Raises:
        PhotoError: if the file is missing, empty, damaged, too large or not an image; one sentence with the remedy.
    """
    path = Path(path)
    _check_file(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of large images; we refuse them below
            with Image.open(path, formats=PHOTO_FORMATS) as image:
                _check_size(path, image)
                return _to_rgb(path, ImageOps.exif_transpose(image))
    except Image.DecompressionBombError as error:
        raise PhotoError(_too_large(path, "more than 170 million pixels")) from error
    except UnidentifiedImageError as error:
        raise PhotoError(
            f"The photo {path} is not an image that can be read; save it as a JPEG or PNG file and try again."
        ) from error
    except (OSError, SyntaxError, ValueError, EOFError, struct.error) as error:  # what Pillow's readers raise
        raise PhotoError(
            f"The photo {path} is cut off or damaged ({' '.join(str(error).split())}); copy or export it again."
        ) from error


def _check_file(path: Path) -> None:
    try:
        if not path.exists():
            raise PhotoError(f"The photo {path} does not exist; check the name and the folder.")
        if path.is_dir():
            raise PhotoError(f"The photo {path} is a folder; give the name of an image file in it.")
        if not path.is_file():
            raise PhotoError(f"The photo {path} is a pipe or a device; give the name of an image file.")
        with path.open("rb") as file:
            if not file.read(1):
                raise PhotoError(f"The photo {path} is an empty file; copy or export it again.")
    except OSError as error:
        raise PhotoError(f"The photo {path} cannot be opened ({error.strerror}); check who may read it.") from error


def _check_size(path: Path, image: Image.Image) -> None:
    if image.width * image.height > MAX_PHOTO_PIXELS:
        millions = image.width * image.height / 1e6
        raise PhotoError(_too_large(path, f"{image.width} x {image.height} = {millions:.0f} million pixels"))


def _too_large(path: Path, size: str) -> str:
    limit = MAX_PHOTO_PIXELS // 1_000_000
    return f"The photo {path} has {size}, more than the {limit} million that are read; scale it down first."


def _to_rgb(path: Path, image: Image.Image) -> UInt8Array:
    if image.mode == "F":
        raise PhotoError(f"The photo {path} holds floating-point pixels; save it as an 8-bit PNG or JPEG file.")
    if image.mode.startswith("I"):  # 16 bits of grey, which Pillow's own conversion would clip to white
        grey = np.asarray(image).astype(np.float64) / _SIXTEEN_TO_EIGHT_BITS
        return np.repeat(np.clip(grey.round(), 0, 255).astype(np.uint8)[..., None], 3, axis=-1)
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        backdrop = Image.new("RGBA", layer.size, "white")
        image = Image.alpha_composite(backdrop, layer)
    return np.array(image.convert("RGB"))
