"""Photos and videos as parts of an HTML page."""

import base64
import io
import tempfile
from pathlib import Path

from PIL import Image

from ingredients.core.arrays import UInt8Array
from ingredients.core.errors import UserInputError
from ingredients.media.photos import load_photo
from ingredients.media.video import measure_video, plays_in_browsers, read_video, write_video

_PHOTO_SIZE = 112
"""Of the longer side: twice what the page shows, for sharp screens."""

_SMALL_WIDTH = 384
"""A video at most half as wide is shown by whole pixels, as wide as fits in here: the small model's 96 four times."""

_MAX_VIDEO_BYTES = 8 * 2**20
_TRANSCODED_FACTOR = 23
"""x264's usual quality."""


def embed_photo(photo: Path | UInt8Array) -> str:
    """An `img` of a photo, scaled down; an empty frame for one that cannot be read."""
    try:
        picture = Image.fromarray(load_photo(photo) if isinstance(photo, Path) else photo)
    except UserInputError:
        return '<img alt="no photo">'
    picture.thumbnail((_PHOTO_SIZE, _PHOTO_SIZE))
    data = io.BytesIO()
    picture.save(data, "JPEG", quality=88)
    return f'<img alt="" src="data:image/jpeg;base64,{_encode(data.getvalue())}">'


def embed_video(path: Path) -> str | None:
    """A `video` of a file, made H.264 where it is not; None if it cannot be read, or is too large for a page.

    A small one is enlarged by a whole number, so that each of its pixels is a square.
    """
    try:
        data = path.read_bytes() if plays_in_browsers(path) else _transcode(path)
        width = measure_video(path, most_frames=1).width
    except UserInputError:
        return None
    if len(data) > _MAX_VIDEO_BYTES:
        return None
    source = f"data:video/mp4;base64,{_encode(data)}"
    scale = _SMALL_WIDTH // width
    small = f' class="small" style="width: {scale * width}px"' if scale > 1 else ""
    return f'<video{small} autoplay controls loop muted playsinline preload="auto" src="{source}"></video>'


def _transcode(path: Path) -> bytes:
    video = read_video(path, max_bytes=2**30)
    height, width = (side - side % 2 for side in video.frames.shape[1:3])  # H.264's colours come in blocks of two
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "video.mp4"
        write_video(target, video.frames[:, :height, :width], fps=video.fps, constant_rate_factor=_TRANSCODED_FACTOR)
        return target.read_bytes()


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
