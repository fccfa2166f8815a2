"""Writes pictures; a picture is either complete or not there."""

from pathlib import Path

from PIL import Image

from ingredients.core.arrays import UInt8Array
from ingredients.core.errors import OutputError
from ingredients.core.files import atomic_path, check_output_path

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
PROVENANCE_TAG = 0x010E
"""EXIF's ImageDescription, which all of these formats can carry."""


def check_picture_path(path: str | Path, *, overwrite: bool = True) -> Path:
    """Says whether a picture can be written to `path`, before the work that makes it has begun.

    Args:
        path: of the picture.
        overwrite: whether a file that is there may be replaced.

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
        OutputError: as `check_picture_path`, or if the disk is full.
    """
    exif = Image.Exif()
    if description is not None:
        exif[PROVENANCE_TAG] = description
    with atomic_path(check_picture_path(path)) as temporary:
        Image.fromarray(picture).save(temporary, quality=95, exif=exif)
