"""Writes pictures, and reads what they say about themselves; a picture is either complete or not there."""

import struct
from pathlib import Path

from PIL import Image

from ingredients.core.arrays import UInt8Array
from ingredients.core.errors import OutputError, UserInputError
from ingredients.core.files import atomic_path, check_output_path
from ingredients.core.input_files import open_input
from ingredients.core.warnings_told import warnings_ignored

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
PROVENANCE_TAG = 0x010E
"""EXIF's ImageDescription, which all of these formats can carry."""

_JPEG_SUFFIXES = (".jpg", ".jpeg")
_MOST_SEGMENT_BYTES = 65_500
_MOST_PIXELS_A_SIDE = {".jpg": 65_500, ".jpeg": 65_500, ".webp": 16_383}


def check_picture_path(path: str | Path, *, overwrite: bool = True) -> Path:
    """Says whether a picture can be written to `path`, before the work that makes it has begun.

    Raises:
        OutputError: if the ending is none of `PICTURE_SUFFIXES`, or as `check_output_path`.
    """
    path = Path(path)
    if path.suffix.lower() not in PICTURE_SUFFIXES:
        raise OutputError(f"The picture {path} must have a name that ends in {', '.join(PICTURE_SUFFIXES)}.")
    return check_output_path(path, overwrite=overwrite)


def write_picture(path: str | Path, picture: UInt8Array, *, description: str | None = None) -> None:
    """Writes an RGB picture (H, W, 3) in the format that the name ends in.

    Args:
        path: file to write; it appears when it is complete.
        picture: the pixels.
        description: what the file should say about itself, in ASCII.

    Raises:
        OutputError: as `check_picture_path`, if the format holds no picture of this size, or if the disk is full.
    """
    path = check_picture_path(path)
    longest = _MOST_PIXELS_A_SIDE.get(path.suffix.lower())
    if longest is not None and max(picture.shape[:2]) > longest:
        height, width = picture.shape[:2]
        raise OutputError(
            f"The picture {path} would be {width}x{height}, and {path.suffix} holds at most {longest} pixels a side; "
            "choose a name that ends in .png."
        )
    exif, comments = Image.Exif(), b""
    if description is not None:
        exif[PROVENANCE_TAG] = description
        if path.suffix.lower() in _JPEG_SUFFIXES and len(exif.tobytes()) > _MOST_SEGMENT_BYTES:
            exif, comments = Image.Exif(), _jpeg_comments(description.encode())
    with atomic_path(path) as temporary:
        Image.fromarray(picture).save(temporary, quality=95, exif=exif, extra=comments)


def read_description(path: str | Path) -> str | None:
    """What a picture says about itself; None if it says nothing.

    Raises:
        UserInputError: if the file is missing or no picture.
    """
    with open_input(path, "picture", example="an image file") as file:
        try:
            with warnings_ignored():
                picture = Image.open(file, formats=("PNG", "JPEG", "WEBP"))
                description = picture.getexif().get(PROVENANCE_TAG)
        except Image.DecompressionBombError as error:
            raise UserInputError(f"The picture {path} says that it is far too large to be one of ours.") from error
        except (OSError, SyntaxError, ValueError, TypeError, KeyError, EOFError, struct.error) as error:
            raise UserInputError(f"The picture {path} cannot be read; copy or export it again.") from error
    if description is None:
        comments = [content for name, content in getattr(picture, "applist", ()) if name == "COM"]
        description = b"".join(comments).decode("utf-8", "replace") or None
    return None if description is None else str(description)


def _jpeg_comments(content: bytes) -> bytes:
    """Comment segments of a JPEG, which hold 64 kB each, as does the one of all of EXIF."""
    pieces = [content[first : first + _MOST_SEGMENT_BYTES] for first in range(0, len(content), _MOST_SEGMENT_BYTES)]
    return b"".join(b"\xff\xfe" + struct.pack(">H", len(piece) + 2) + piece for piece in pieces)
