"""Videos as phones, camcorders and music programs leave them, made of H.264 in MP4."""

import io
import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace
from PIL import Image

TURNS = {
    "none": (1, 0, 0, 1),
    "90": (0, 1, -1, 0),
    "180": (-1, 0, 0, -1),
    "270": (0, -1, 1, 0),
    "mirrored": (-1, 0, 0, 1),
    "upside down": (1, 0, 0, -1),
    "transposed": (0, 1, 1, 0),
    "transposed back": (0, -1, -1, 0),
}
"""a, b, c, d of display matrices: a place (x, y) of the picture is shown at (a x + c y, b x + d y)."""


def write_plain(
    path: Path,
    frames: np.ndarray,
    *,
    aspect: Fraction | None = None,
    colourspace: Colorspace = Colorspace.ITU601,
    colour_range: ColorRange = ColorRange.MPEG,
    tags: dict[str, Any] | None = None,
) -> Path:
    """Frames (F, H, W, 3) in H.264, nearly without loss, with the pixels' aspect ratio and tags of colour if any."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=8)
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], "yuv420p"
        stream.options = {"crf": "2"}
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        for name, value in (tags or {}).items():
            setattr(stream.codec_context, name, value)
        for pixels in frames:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            frame = frame.reformat(format="yuv420p", dst_colorspace=colourspace, dst_color_range=colour_range)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def turn(path: Path, matrix: Sequence[int]) -> Path:
    """Writes a display matrix (a, b, c, d) into the header of an MP4's track."""
    content = bytearray(path.read_bytes())
    place = content.find(b"tkhd") + 8 + 20 + 16
    a, b, c, d = (65536 * value for value in matrix)
    content[place : place + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 0x40000000)
    path.write_bytes(content)
    return path


def shown_by(matrix: Sequence[int], frames: np.ndarray) -> np.ndarray:
    """What a player shows of frames (F, H, W, 3), pixel by pixel from the definition of the matrix."""
    a, b, c, d = matrix
    height, width = frames.shape[1:3]
    columns, rows = np.meshgrid(np.arange(width), np.arange(height))
    across, down = a * columns + c * rows, b * columns + d * rows
    across, down = across - across.min(), down - down.min()
    shown = np.zeros((len(frames), down.max() + 1, across.max() + 1, 3), frames.dtype)
    shown[:, down, across] = frames[:, rows, columns]
    return shown


def add_cover(path: Path) -> Path:
    """Puts a red picture on the cover of an MP4, as music programs do; FFmpeg takes it for the first video."""

    def box(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content) + 8) + name + content

    picture = io.BytesIO()
    Image.new("RGB", (160, 120), "red").save(picture, "JPEG")
    data = box(b"data", struct.pack(">II", 13, 0) + picture.getvalue())
    handler = box(b"hdlr", bytes(8) + b"mdirappl" + bytes(9))
    added = box(b"udta", box(b"meta", bytes(4) + handler + box(b"ilst", box(b"covr", data))))
    content = path.read_bytes()
    movie = content.find(b"moov") - 4
    (size,) = struct.unpack(">I", content[movie : movie + 4])
    (header,) = struct.unpack(">I", content[movie + 8 : movie + 12])
    rest = movie + 8 + header
    path.write_bytes(
        content[:movie] + struct.pack(">I", size + len(added)) + content[movie + 4 : rest] + added + content[rest:]
    )
    return path
