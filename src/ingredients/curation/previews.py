"""Small pictures of clips: three frames beside each other, of kept clips and of those that were left out."""

import hashlib
import io
from pathlib import Path

import numpy as np
from PIL import Image

from ingredients.core.arrays import UInt8Array
from ingredients.core.errors import UserInputError
from ingredients.core.files import make_folder, write_bytes
from ingredients.curation.engine import CuratedSource
from ingredients.curation.source_work import ClipState
from ingredients.media.film import iterate_chosen_frames

HEIGHT = 120
"""Pixels: a row of three fits a page twice."""

_QUALITY = 80
_GAP = 3
_MOST_WIDE = 2.4
"""Width by height from which on a frame is cut: a picture of a row has to fit a page."""


def clip_preview(work: Path, source: CuratedSource, clip: ClipState) -> bytes | None:
    """A JPEG of a clip as it is in its source, made once; None where it cannot be read any more."""
    folder = work / source.digest[:2] / source.digest / "previews"
    span = clip.span
    name = hashlib.sha256(f"{span.first} {span.end} {clip.crop}".encode()).hexdigest()[:16]
    path = folder / f"{name}.jpg"
    if path.is_file():
        return path.read_bytes()
    places, positions = list(clip.preview), list(clip.preview.values())
    try:
        frames = [
            _small(pixels[clip.crop.top :][: clip.crop.height, clip.crop.left :][:, : clip.crop.width])
            for pixels in iterate_chosen_frames(source.source.path, places, positions)
        ]
    except UserInputError:
        return None
    gap = np.full((HEIGHT, _GAP, 3), 255, np.uint8)
    strip = np.concatenate([part for frame in frames for part in (frame, gap)][:-1], axis=1)
    encoded = io.BytesIO()
    Image.fromarray(strip).save(encoded, format="JPEG", quality=_QUALITY)
    make_folder(folder)
    write_bytes(path, encoded.getvalue())
    return encoded.getvalue()


def _small(pixels: UInt8Array) -> UInt8Array:
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    width = max(round(picture.width * HEIGHT / picture.height), 8)
    small = picture.resize((width, HEIGHT), Image.Resampling.LANCZOS)
    most = round(HEIGHT * _MOST_WIDE)
    if width > most:
        small = small.crop(((width - most) // 2, 0, (width - most) // 2 + most, HEIGHT))
    return np.asarray(small)
