"""Colours of pictures with an ICC profile, as sRGB, in which everything here thinks."""

import functools
import io

import numpy as np
from PIL import Image, ImageCms

from ingredients.core.arrays import UInt8Array

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
