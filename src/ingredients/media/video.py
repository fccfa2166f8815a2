"""Reads and writes videos; H.264, or without loss, with exactly the frames and the rate that were given.

Legend: F frames, H/W pixels.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ingredients.core.arrays import UInt8Array
from ingredients.core.errors import OutputError, ShapeError, UserInputError
from ingredients.core.files import atomic_path, check_output_path
from ingredients.core.optional_dependencies import LazyLibrary

if TYPE_CHECKING:
    import av
    from av.codec.context import CodecContext
    from av.container import InputContainer
else:
    av = LazyLibrary("av", install="av")

VIDEO_SUFFIXES = (".mp4", ".mov", ".mkv")

MAX_FRAME_PIXELS = 7680 * 4320
"""Frames with more pixels than this are not decoded to check them."""

_WEB_PIXEL_FORMATS = ("yuv420p", "yuvj420p")
_LOSSLESS_FORMAT = "bgr0"  # RGB as FFV1 takes it
_BT709 = 1  # FFmpeg's number for the primaries, the transfer function and the matrix alike


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Video:
    """A video that was read."""

    frames: UInt8Array
    """(F, H, W, 3), RGB."""

    fps: float
    """Frames a second."""

    metadata: Mapping[str, str]
    """What the file says about itself: title, comment and so on."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class VideoSize:
    """How large a video is."""

    num_frames: int
    """F; no more than were asked for."""

    height: int
    """H."""

    width: int
    """W."""

    fps: float
    """Frames a second."""


def check_video_path(path: str | Path, *, overwrite: bool = True) -> Path:
    """Says whether a video can be written to `path`, before the work that makes it has begun.

    Args:
        path: of the video.
        overwrite: whether a file that is there may be replaced.

    Raises:
        OutputError: if the ending is none of `VIDEO_SUFFIXES`, or as `check_output_path`.
    """
    path = Path(path)
    if path.suffix.lower() not in VIDEO_SUFFIXES:
        raise OutputError(f"The video {path} must have a name that ends in {', '.join(VIDEO_SUFFIXES)}.")
    return check_output_path(path, overwrite=overwrite)


def write_video(
    path: str | Path,
    frames: UInt8Array,
    *,
    fps: float,
    metadata: Mapping[str, str] | None = None,
    constant_rate_factor: int = 14,
) -> None:
    """Writes RGB frames (F, H, W, 3) as H.264 in yuv420p, which every player shows.

    Args:
        path: file to write; it appears when it is complete.
        frames: at least one frame; height and width must be even, as yuv420p halves the colour's resolution.
        fps: frames a second.
        metadata: what the file should say about itself, such as title and comment.
        constant_rate_factor: x264's quality from 0 (lossless) to 51.

    Raises:
        ShapeError: for frames of another shape.
        OutputError: if the file cannot be written there.
    """
    _check_frames(frames)
    height, width = frames.shape[1:3]
    if height % 2 or width % 2:
        raise ShapeError(f"A video's height and width must be even, not {height} x {width}.")
    with (
        atomic_path(check_video_path(path)) as temporary,
        av.open(str(temporary), "w", options={"movflags": "faststart"}) as container,
    ):
        container.metadata.update(metadata or {})
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        # With its macroblock tree x264 now and then made another file of the same frames: it reads unwritten memory.
        stream.options = {"crf": str(constant_rate_factor), "x264-params": "mbtree=0"}
        context = stream.codec_context
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        colours = av.video.reformatter
        context.color_range = colours.ColorRange.MPEG
        for pixels in frames:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            frame = frame.reformat(
                format="yuv420p",
                dst_colorspace=colours.Colorspace.ITU709,
                dst_color_range=colours.ColorRange.MPEG,
            )
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def write_lossless_video(path: str | Path, frames: UInt8Array, *, fps: float) -> None:
    """Writes RGB frames (F, H, W, 3) of any size as FFV1, from which `read_video` gives exactly the same ones back.

    Args:
        path: file to write, ending in `.mkv`; it appears when it is complete.
        frames: at least one frame.
        fps: frames a second.

    Raises:
        ShapeError: for frames of another shape.
        OutputError: if the file cannot be written there.
    """
    _check_frames(frames)
    with atomic_path(check_video_path(path)) as temporary, av.open(str(temporary), "w") as container:
        stream = container.add_stream("ffv1", rate=Fraction(fps).limit_denominator(1001))
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = _LOSSLESS_FORMAT
        for pixels in frames:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            container.mux(stream.encode(frame.reformat(format=_LOSSLESS_FORMAT)))
        container.mux(stream.encode())


def _check_frames(frames: UInt8Array) -> None:
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.shape[0] == 0 or frames.dtype != np.uint8:
        raise ShapeError(f"A video needs uint8 frames of shape (F, H, W, 3), not {frames.dtype} {frames.shape}.")


def read_video(path: str | Path, *, max_bytes: int | None = None) -> Video:
    """Reads every frame of a video.

    Args:
        path: the file.
        max_bytes: a video whose frames are larger than this in memory is refused as soon as that is known.

    Raises:
        UserInputError: if the file is missing, holds no video that can be read, changes its size or is too large.
    """
    frames: list[UInt8Array] = []
    with _open_video(path) as container:
        stream = container.streams.video[0]
        for frame in container.decode(stream):
            frames.append(np.asarray(frame.to_ndarray(format="rgb24"), dtype=np.uint8))
            if max_bytes is not None and len(frames) * frames[0].nbytes > max_bytes:
                raise UserInputError(
                    f"The frames of the video {path} take more than {max_bytes / 2**30:.0f} GiB of memory; shorten it "
                    "or scale it down."
                )
        rate = stream.average_rate
        metadata = dict(container.metadata)
    if not frames or rate is None:
        raise UserInputError(f"The video {path} holds no frames.")
    if len({frame.shape for frame in frames}) > 1:
        raise _changing_size(path)
    return Video(frames=np.stack(frames), fps=float(rate), metadata=metadata)


def measure_video(path: str | Path, *, most_frames: int) -> VideoSize:
    """Decodes a video frame by frame and keeps none, so that a damaged one is noticed in little memory.

    Args:
        path: the file.
        most_frames: where to stop; a longer video is said to have this many.

    Raises:
        UserInputError: as `read_video`, or if a frame has more than `MAX_FRAME_PIXELS`.
    """
    num_frames, sizes = 0, set()
    with _open_video(path) as container:
        stream = container.streams.video[0]
        rate = stream.average_rate
        if (num_pixels := stream.codec_context.width * stream.codec_context.height) > MAX_FRAME_PIXELS:
            raise UserInputError(
                f"The video {path} has {num_pixels / 1e6:.0f} million pixels a frame, more than the "
                f"{MAX_FRAME_PIXELS / 1e6:.0f} million that are read; scale it down first."
            )
        for frame in container.decode(stream):
            num_frames += 1
            sizes.add((frame.height, frame.width))
            if num_frames == most_frames:
                break
    if num_frames == 0 or rate is None:
        raise UserInputError(f"The video {path} holds no frames.")
    if len(sizes) > 1:
        raise _changing_size(path)
    [(height, width)] = sizes
    return VideoSize(num_frames=num_frames, height=height, width=width, fps=float(rate))


def _changing_size(path: str | Path) -> UserInputError:
    return UserInputError(f"The frames of the video {path} have different sizes; export it again with one size.")


def read_video_metadata(path: str | Path) -> dict[str, str]:
    """What a video file says about itself, without decoding it; raises as `read_video`."""
    with _open_video(path) as container:
        return dict(container.metadata)


def plays_in_browsers(path: str | Path) -> bool:
    """Whether every browser plays a video file as it is: H.264 in yuv420p in MP4; raises as `read_video`."""
    with _open_video(path) as container:
        codec = container.streams.video[0].codec_context
        return Path(path).suffix.lower() == ".mp4" and codec.name == "h264" and codec.pix_fmt in _WEB_PIXEL_FORMATS


@contextlib.contextmanager
def _open_video(path: str | Path) -> Iterator[InputContainer]:
    path = Path(path)
    if not path.is_file():
        raise UserInputError(f"The video {path} does not exist; check the name and the folder.")
    try:
        with av.open(str(path), metadata_errors="replace") as container:
            if not container.streams.video:
                raise UserInputError(f"The file {path} holds no video.")
            codec: CodecContext | None = container.streams.video[0].codec_context  # PyAV's types leave the None out
            if codec is None:
                raise UserInputError(f"The video {path} is coded in a way that FFmpeg does not know; export it again.")
            yield container
    except av.FFmpegError as error:
        raise UserInputError(
            f"The video {path} cannot be read ({error.strerror}); copy or export it again."
        ) from error
