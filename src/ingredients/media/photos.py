"""Opens any photo as RGB uint8 (H, W, 3), upright and opaque, or says in one sentence why it cannot.

Legend: H/W pixels.
"""

import contextlib
import functools
import io
import logging
import os
import struct
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms, UnidentifiedImageError

from ingredients.core.arrays import UInt8Array
from ingredients.core.errors import PhotoError
from ingredients.core.input_files import open_input
from ingredients.core.warnings_told import PhotoWarning, warnings_ignored

_SPACES = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}
"""ICC's names for the colour spaces of Pillow's modes."""

_SAME = 1
"""Levels by which a profile's colours may differ from sRGB's and are left as they are: rounding."""


class BadProfileError(ValueError):
    """A profile that cannot be used, and why."""


def to_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """Gives a picture (mode L, RGB or CMYK) as RGB in the colours of sRGB.

    A profile that is sRGB itself leaves every value as it is.

    Raises:
        BadProfileError: if the profile is broken, or belongs to pictures of another kind.
    """
    try:
        transform = _transform(profile, image.mode)
        if image.mode == "RGB" and _changes_nothing(transform):
            return image
        converted = transform.apply(image)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError, AttributeError) as error:
        if isinstance(error, BadProfileError):
            raise
        raise BadProfileError(" ".join(str(error).split()) or type(error).__name__) from error
    return converted


@functools.lru_cache(maxsize=8)  # photos of one camera carry one profile
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform:
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    space = source.profile.xcolor_space.strip()
    if space != _SPACES[mode]:
        raise BadProfileError(f"it is for {space}, and the picture is {_SPACES[mode]}")
    return ImageCms.buildTransform(
        source,
        ImageCms.createProfile("sRGB"),
        mode,
        "RGB",
        renderingIntent=ImageCms.Intent.PERCEPTUAL,
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )


def _changes_nothing(transform: ImageCms.ImageCmsTransform) -> bool:
    levels: UInt8Array = np.linspace(0, 255, 9).round().astype(np.uint8)
    colours = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(1, -1, 3)
    shown = np.asarray(transform.apply(Image.fromarray(colours)))
    return int(np.abs(shown.astype(int) - colours).max()) <= _SAME


_STANDARD_ERROR = 2
_one_at_a_time = threading.RLock()  # two that overlapped would leave standard error closed for good


@contextlib.contextmanager
def native_lines_hidden() -> Iterator[None]:
    """Drops what the whole process writes to standard error while the block runs: for short calls into a library.

    What such a library has to say comes as an exception as well, which is turned into a sentence of ours.
    """
    with _one_at_a_time:
        try:
            kept = os.dup(_STANDARD_ERROR)
        except OSError:  # it is closed already
            yield
            return
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, _STANDARD_ERROR)
            yield
        finally:
            os.dup2(kept, _STANDARD_ERROR)
            os.close(nowhere)
            os.close(kept)


MAX_PHOTO_PIXELS = 64_000_000
"""More pixels than this are refused before anything is decoded (phones make up to 50 million)."""

PHOTO_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "PPM")
"""Formats whose readers are Pillow's own; others, such as EPS, would start outside programs."""

_SUFFIXES = {
    "JPEG": ".jpg",
    "MPO": ".jpg",  # several JPEGs in a file, as some cameras write them
    "PNG": ".png",
    "WEBP": ".webp",
    "BMP": ".bmp",
    "TIFF": ".tif",
    "GIF": ".gif",
    "PPM": ".ppm",
}

MemoryPhoto: TypeAlias = bytes | Image.Image | NDArray[np.generic]
"""A photo that is in memory already: the bytes of a file, a Pillow image, or pixels."""

_SIXTEEN_TO_EIGHT_BITS = 257  # 65535 / 255

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What makes a photo upright, by EXIF's number of its orientation."""

_READING_ERRORS = (
    OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, EOFError, OverflowError, struct.error,
)  # fmt: skip
"""What Pillow's readers raise."""

logging.getLogger("PIL").addHandler(logging.NullHandler())  # else its words come between ours


def load_photo(path: str | Path) -> UInt8Array:
    """Opens a photo as RGB uint8 (H, W, 3).

    The orientation noted by the camera is applied, transparency is laid over white, colours with a profile become
    sRGB's, and CMYK, palette, grey and 16-bit photos are converted. Warns with `PhotoWarning` of a profile that cannot
    be used.

    Raises:
        PhotoError: if the file is missing, empty, damaged, too large or not an image; one sentence with the remedy.
    """
    with open_input(path, "photo", example="an image file", error=PhotoError) as file:
        return _decode(file, f"photo {path}")


def read_photo(photo: MemoryPhoto, label: str) -> UInt8Array:
    """Reads a photo in memory exactly as `load_photo` reads the file that it came from, or that it would make.

    Args:
        photo: the bytes of an image file; a Pillow image; or pixels, (H, W) or (H, W, 1) grey, (H, W, 3) RGB or
            (H, W, 4) with alpha, as uint8, as uint16, or as floating-point numbers from 0 to 1.
        label: what to call it, such as `photo 1 of ana`.

    Raises:
        PhotoError: if it is no photo, or as `load_photo`.
    """
    if isinstance(photo, bytes):
        return _decode(io.BytesIO(photo), label)
    if isinstance(photo, Image.Image):
        return _converted(photo, label)
    pixels = _to_integers(photo, label)
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[..., 0]
    if pixels.dtype == np.uint16 and pixels.ndim == 3:
        pixels = _to_eight_bits(pixels)
    return _converted(Image.fromarray(np.ascontiguousarray(pixels)), label)


def check_photo_file(content: bytes, label: str, *, most_pixels: int = MAX_PHOTO_PIXELS) -> str:
    """Says whether a stranger's bytes are a photo, by its header first and then by reading all of it.

    Args:
        content: the content of the file.
        label: what to call it.
        most_pixels: more than this are refused before anything is decoded.

    Returns:
        The ending that a file of its format has, such as `.png`.

    Raises:
        PhotoError: as `load_photo`.
    """
    with warnings_ignored(), _opened(io.BytesIO(content), label) as image:
        if image.width * image.height > min(most_pixels, MAX_PHOTO_PIXELS):
            raise PhotoError(_too_large(label, _size_in_words(image), most_pixels))
        suffix = _SUFFIXES[image.format or ""]
        _converted(image, label)
    return suffix


def _to_integers(photo: NDArray[np.generic], label: str) -> NDArray[np.uint8] | NDArray[np.uint16]:
    shape = photo.shape
    fits = photo.ndim == 2 or (photo.ndim == 3 and shape[2] in (1, 3, 4))
    if not fits or 0 in shape or not (photo.dtype in (np.uint8, np.uint16, np.bool_) or photo.dtype.kind == "f"):
        raise PhotoError(
            f"The {label} is an array of {photo.dtype} with shape {shape}; give RGB pixels as uint8 with shape "
            "(height, width, 3)."
        )
    if photo.dtype == np.bool_:
        return photo.astype(np.uint8) * np.uint8(255)
    if photo.dtype.kind != "f":
        return photo  # type: ignore[return-value]
    values = photo.astype(np.float64)
    if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1):
        raise PhotoError(
            f"The {label} has floating-point pixels that do not lie between 0 and 1; give them so, or as uint8 from "
            "0 to 255."
        )
    return (values * 255).round().astype(np.uint8)


def _decode(file: BinaryIO, label: str) -> UInt8Array:
    with _opened(file, label) as image:
        return _converted(image, label)


def _opened(file: BinaryIO, label: str) -> Image.Image:
    """A file whose header was read, and nothing else."""
    try:
        is_empty = not file.read(1)
    except OSError as error:  # of the disk, not of the picture
        raise PhotoError(f"The {label} cannot be read ({error.strerror or error}); copy it again.") from error
    if is_empty:
        raise PhotoError(f"The {label} is an empty file; copy or export it again.")
    file.seek(0)
    try:
        with warnings_ignored():  # Pillow warns of large images; we refuse them below
            return Image.open(file, formats=PHOTO_FORMATS)
    except Image.DecompressionBombError as error:
        raise PhotoError(_too_large(label, "more than 170 million pixels")) from error
    except UnidentifiedImageError as error:
        raise PhotoError(
            f"The {label} is not an image that can be read; save it as a JPEG or PNG file and try again."
        ) from error
    except _READING_ERRORS as error:
        raise _damaged(label, error) from error


def _converted(image: Image.Image, label: str) -> UInt8Array:
    """What a Pillow image shows, whether a file was opened or the caller opened it."""
    if image.width * image.height > MAX_PHOTO_PIXELS:
        raise PhotoError(_too_large(label, _size_in_words(image)))
    if image.mode == "F":
        raise PhotoError(f"The {label} holds floating-point pixels; save it as an 8-bit PNG or JPEG file.")
    try:
        with _quietly(image):
            image.load()
            orientation = _orientation(image)  # only now: loading turns a TIFF, and forgets its orientation
            upright = image.transpose(_TURNS[orientation]) if orientation in _TURNS else image
            pixels, doubt = _to_rgb(upright, image.info.get("icc_profile"))
    except _READING_ERRORS as error:
        raise _damaged(label, error) from error
    if doubt is not None:
        warnings.warn(
            f"The colour profile of the {label} cannot be used ({doubt}); its colours are taken as they are.",
            PhotoWarning,
            stacklevel=4,
        )
    return pixels


@contextlib.contextmanager
def _quietly(image: Image.Image) -> Iterator[None]:
    with (
        warnings_ignored(),
        native_lines_hidden() if image.format == "TIFF" else contextlib.nullcontext(),  # libtiff writes them
    ):
        yield


def _orientation(image: Image.Image) -> int:
    """EXIF's number; 1, which is upright, where what the camera noted cannot be read. No other tag matters."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except _READING_ERRORS:
        return 1


def _to_rgb(image: Image.Image, profile: bytes | None) -> tuple[UInt8Array, str | None]:
    """The pixels, and what is wrong with the profile."""
    if image.mode.startswith("I"):  # 16 bits of grey, which Pillow's own conversion would clip to white
        image = Image.fromarray(_to_eight_bits(np.asarray(image)))
    alpha = None
    if image.has_transparency_data:
        image = image.convert("LA" if image.mode == "LA" else "RGBA")
        alpha = image.getchannel("A")
        image = image.convert("L" if image.mode == "LA" else "RGB")
    elif image.mode == "1":
        image = image.convert("L")
    elif image.mode not in ("L", "RGB", "CMYK"):
        image = image.convert("RGB")
    doubt = None
    if profile:
        try:
            image = to_srgb(image, profile)
        except BadProfileError as error:
            doubt = str(error)
    image = image.convert("RGB")
    if alpha is not None:
        layer = image.convert("RGBA")
        layer.putalpha(alpha)
        image = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    return np.array(image), doubt


def _to_eight_bits(pixels: NDArray[np.generic]) -> UInt8Array:
    return np.clip((pixels.astype(np.float64) / _SIXTEEN_TO_EIGHT_BITS).round(), 0, 255).astype(np.uint8)


def _damaged(label: str, error: Exception) -> PhotoError:
    reason = " ".join(str(error).split()) or type(error).__name__
    return PhotoError(f"The {label} is cut off or damaged ({reason}); copy or export it again.")


def _size_in_words(image: Image.Image) -> str:
    return f"{image.width} x {image.height} = {image.width * image.height / 1e6:.0f} million pixels"


def _too_large(label: str, size: str, most_pixels: int = MAX_PHOTO_PIXELS) -> str:
    limit = most_pixels // 1_000_000
    return f"The {label} has {size}, more than the {limit} million that are read; scale it down first."
