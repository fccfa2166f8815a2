"""Frames as a player shows them: turned, mirrored, with square pixels, and in the colours of a usual screen.

Legend: H/W pixels.
"""

from __future__ import annotations

import struct
from fractions import Fraction
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from ingredients.core.arrays import UInt8Array
from ingredients.media.wide_colours import is_wide, to_screen_colours

if TYPE_CHECKING:
    import av
    from av.video.stream import VideoStream

_UNSPECIFIED = 2  # FFmpeg's number for colours of which a file says nothing
_HD_WIDTH, _SD_HEIGHT = 1280, 576
"""Untagged pictures at least this wide, or higher than this, are shown in BT.709's colours, others in BT.601's."""

_MATRIX = struct.Struct("=9i")

_NEARLY_SQUARE = Fraction(1, 100)
"""Pixels that are no further from squares are squares: sizes that were rounded to even numbers leave such ratios."""


def shown_frame(frame: av.VideoFrame, stream: VideoStream, *, longest_side: int | None = None) -> UInt8Array:
    """The picture (H, W, 3), RGB, that a player shows of a decoded frame.

    Args:
        frame: as it was decoded.
        stream: that it is of.
        longest_side: a picture with a longer side is scaled down to it, which is quick.
    """
    height, width = _square_size(frame, stream)
    is_smaller = longest_side is not None and max(height, width) > longest_side
    if longest_side is not None and is_smaller:
        scale = longest_side / max(height, width)
        height, width = max(round(height * scale), 1), max(round(width * scale), 1)
    colourspace = None
    if frame.colorspace == _UNSPECIFIED and (frame.width >= _HD_WIDTH or frame.height > _SD_HEIGHT):
        colourspace = "ITU709"
    is_scaled = (height, width) != (frame.height, frame.width)
    wide = is_wide(primaries=frame.color_primaries, transfer=frame.color_trc)
    pixels = frame.reformat(
        width=width,
        height=height,
        format="rgb48le" if wide else "rgb24",
        src_colorspace=colourspace,
        interpolation="AREA" if is_smaller else "BICUBIC" if is_scaled else None,
    ).to_ndarray()
    if wide:
        pixels = to_screen_colours(pixels.astype(np.uint16, copy=False), transfer=frame.color_trc)
    is_transposed, mirrors_columns, mirrors_rows = _turn(frame)
    if is_transposed:
        pixels = pixels.transpose(1, 0, 2)
    pixels = pixels[:: -1 if mirrors_rows else 1, :: -1 if mirrors_columns else 1]
    return np.ascontiguousarray(pixels, dtype=np.uint8)


def shown_size(frame: av.VideoFrame, stream: VideoStream) -> tuple[int, int]:
    """Height and width of what `shown_frame` gives, without making it."""
    height, width = _square_size(frame, stream)
    is_transposed, _, _ = _turn(frame)
    return (width, height) if is_transposed else (height, width)


def _square_size(frame: av.VideoFrame, stream: VideoStream) -> tuple[int, int]:
    """The size with square pixels: the shorter side of a pixel is stretched, so that nothing is lost."""
    aspect = stream.sample_aspect_ratio  # width of a pixel by its height
    if not aspect or aspect < 0 or abs(aspect - 1) <= _NEARLY_SQUARE:
        return frame.height, frame.width
    if aspect > 1:
        return frame.height, round(frame.width * aspect)
    return round(frame.height / aspect), frame.width


def _turn(frame: av.VideoFrame) -> tuple[bool, bool, bool]:
    """Whether rows and columns change places, and whether columns and rows are then mirrored, by the display matrix.

    The matrix takes a place (column, row) of the picture to a column a * column + c * row and a row
    b * column + d * row of what is shown. Turns that are not square go to the nearest one that is.
    """
    found = [bytes(each) for each in cast(Any, frame).side_data if each.type.name == "DISPLAYMATRIX"]
    if not found or len(found[0]) < _MATRIX.size:
        return False, False, False
    a, b, _, c, d, *_ = _MATRIX.unpack(found[0][: _MATRIX.size])
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return False, a < 0, d < 0
    return True, c < 0, b < 0
