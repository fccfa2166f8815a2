"""Reads videos as players show them, and writes them with exactly the frames and the rate that were given.

Legend: F frames, H/W pixels.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ingredients.core.arrays import UInt8Array
from ingredients.core.errors import OutputError, ShapeError, UserInputError
from ingredients.core.files import atomic_path, check_output_path
from ingredients.core.input_files import open_input
from ingredients.core.optional_dependencies import LazyLibrary
from ingredients.media.gif_tags import FASTEST_RATE, read_tags, with_tags
from ingredients.media.shown_frames import shown_frame, shown_size

if TYPE_CHECKING:
    import av
    from av.codec.context import CodecContext
    from av.container import InputContainer
    from av.video.stream import VideoStream
else:
    av = LazyLibrary("av", install="av")

VIDEO_SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".gif")
"""Suffixes of videos that can be written; everything that `_CONTAINERS` names can be read."""

MAX_FRAME_PIXELS = 7680 * 4320
"""Frames with more pixels than this are not decoded."""

_CONTAINERS = (
    "mov", "matroska", "avi", "mpegts", "mpeg", "flv", "asf", "ogg", "gif", "apng", "mxf", "nut", "dv", "wtv", "ivf",
    "h264", "hevc", "obu", "m4v", "mpegvideo", "yuv4mpegpipe",
)  # fmt: skip
"""FFmpeg's names of the kinds of files that are read. Others are lists of further files or addresses, or no video."""

_WEB_PIXEL_FORMATS = ("yuv420p", "yuvj420p")
_LOSSLESS_FORMAT = "bgr0"  # RGB as FFV1 takes it
_BT709 = 1  # FFmpeg's number for the primaries, the transfer function and the matrix alike

_FASTEST_RATE = 1000
_A_MOMENT = 0.002
"""Seconds by which a frame may come early: files round the times of their frames."""
_PLAIN_TAGS = {"title", "comment"}
"""Tags for which MP4 and MOV have a place of their own."""

_MOST_PLAIN_BYTES = 60_000
"""MOV's own places hold up to 64 kB and cut off what is longer."""

_X264_FACTORS, _VP9_FACTORS = 51, 63  # the worst quality of each

VideoFrames: TypeAlias = UInt8Array | Sequence[Image.Image] | Sequence[UInt8Array] | NDArray[np.floating]
"""Frames (F, H, W, 3), as uint8 or as floating-point numbers from 0 to 1, or a list of Pillow images."""


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


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TimedFrame:
    """A frame of a video that is being read."""

    index: int
    """Which frame of the file, from 0."""

    seconds: float
    """When it is shown, counted from the first."""

    pixels: UInt8Array
    """(H, W, 3), RGB."""


def check_video_path(path: str | Path, *, overwrite: bool = True) -> Path:
    """Says whether a video can be written to `path`, before the work that makes it has begun.

    Raises:
        OutputError: if the ending is none of `VIDEO_SUFFIXES`, or as `check_output_path`.
    """
    path = Path(path)
    if path.suffix.lower() not in VIDEO_SUFFIXES:
        raise OutputError(f"The video {path} must have a name that ends in {', '.join(VIDEO_SUFFIXES)}.")
    return check_output_path(path, overwrite=overwrite)


def write_video(
    path: str | Path,
    frames: VideoFrames,
    *,
    fps: float,
    metadata: Mapping[str, str] | None = None,
    constant_rate_factor: int = 14,
) -> None:
    """Writes RGB frames (F, H, W, 3): H.264 in yuv420p, which every player shows, VP9 in WebM, 255 colours in a GIF.

    Args:
        path: file to write; it appears when it is complete.
        frames: at least one frame; height and width must be even, as yuv420p halves the colour's resolution, except
            in a GIF.
        fps: frames a second.
        metadata: what the file should say about itself, such as title and comment.
        constant_rate_factor: x264's quality from 0 (lossless) to 51; VP9 gets what corresponds to it.

    Raises:
        ShapeError: for frames of another shape.
        UserInputError: if the rate is none, or too high for the kind of file.
        OutputError: if the file cannot be written there.
    """
    path = check_video_path(path)
    pixels, rate = _to_pixels(frames), _to_rate(fps)
    tags = {name: _writable(text) for name, text in (metadata or {}).items()}
    suffix = path.suffix.lower()
    if suffix == ".gif":
        if rate > FASTEST_RATE:
            raise UserInputError(f"A GIF shows at most {FASTEST_RATE} frames a second, not {fps:g}; write an MP4.")
        with atomic_path(path) as temporary:
            _write_gif(temporary, pixels, rate, tags)
        return
    _write_stream(path, pixels, rate, tags, constant_rate_factor)


def write_long_video(
    path: str | Path,
    frames: Iterable[UInt8Array],
    *,
    fps: float,
    constant_rate_factor: int = 14,
    quarter_turns: int = 0,
    pixel_aspect: float = 1.0,
) -> None:
    """Writes frames (H, W, 3) as they come, so that a film of any length needs the memory of a few.

    Args:
        path: file to write, no GIF; it appears when it is complete.
        frames: RGB, as a player should show them but for `pixel_aspect`; at least one.
        fps: frames a second.
        constant_rate_factor: as in `write_video`.
        quarter_turns: how often a player is told to turn the picture clockwise by 90 degrees, as phones do; it is
            stored turned the other way.
        pixel_aspect: how wide a player is told to show a pixel, by its height.

    Raises:
        ShapeError: for frames of another shape, of different sizes or of odd ones.
        UserInputError: as `write_video`.
        OutputError: as `write_video`.
    """
    path = check_video_path(path)
    if path.suffix.lower() == ".gif":
        raise OutputError(f"The video {path} is written as it comes, and a GIF's colours need all of it; take an MP4.")
    turned = (np.rot90(frame, quarter_turns) for frame in frames)  # counterclockwise, which the player undoes
    _write_stream(
        path,
        turned,
        _to_rate(fps),
        {},
        constant_rate_factor,
        quarter_turns=quarter_turns,
        pixel_aspect=Fraction(pixel_aspect).limit_denominator(255),
    )


def _write_stream(
    path: Path,
    frames: Iterable[UInt8Array],
    rate: Fraction,
    tags: Mapping[str, str],
    constant_rate_factor: int,
    *,
    quarter_turns: int = 0,
    pixel_aspect: Fraction | None = None,
) -> None:
    coming = iter(frames)
    first = next(coming, None)
    if first is None:
        raise ShapeError("A video needs at least one frame.")
    height, width = first.shape[:2]
    if height % 2 or width % 2:
        raise ShapeError(f"A video's height and width must be even, not {height} x {width}; a GIF takes any.")
    suffix = path.suffix.lower()
    with (
        atomic_path(path) as temporary,
        av.open(_url(temporary), "w", options=_container_options(suffix, tags)) as container,
    ):
        container.metadata.update(tags)
        if suffix == ".webm":
            factor = round(constant_rate_factor * _VP9_FACTORS / _X264_FACTORS)
            stream = container.add_stream("libvpx-vp9", rate=rate)
            stream.options = {"crf": str(factor), "deadline": "good", "cpu-used": "4", "row-mt": "1"}
            stream.bit_rate = 0  # the quality alone decides
        else:
            stream = container.add_stream("libx264", rate=rate)
            # With its macroblock tree x264 now and then made another file of the same frames: it reads unwritten
            # memory.
            stream.options = {"crf": str(constant_rate_factor), "x264-params": "mbtree=0"}
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        if quarter_turns % 4:
            stream.set_display_rotation(-90 * quarter_turns)  # FFmpeg counts counterclockwise
        context = stream.codec_context
        if pixel_aspect is not None:
            context.sample_aspect_ratio = pixel_aspect
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        colours = av.video.reformatter
        context.color_range = colours.ColorRange.MPEG
        for picture in itertools.chain([first], coming):
            if picture.shape != first.shape:
                raise ShapeError(f"A video needs frames of one size, not {first.shape} and then {picture.shape}.")
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame = frame.reformat(
                format="yuv420p",
                dst_colorspace=colours.Colorspace.ITU709,
                dst_color_range=colours.ColorRange.MPEG,
            )
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def write_lossless_video(path: str | Path, frames: VideoFrames, *, fps: float) -> None:
    """Writes RGB frames (F, H, W, 3) of any size as FFV1, from which `read_video` gives exactly the same ones back.

    Args:
        path: file to write, ending in `.mkv`; it appears when it is complete.
        frames: at least one frame.
        fps: frames a second.

    Raises:
        ShapeError: for frames of another shape.
        UserInputError: if the rate is none.
        OutputError: if the file cannot be written there.
    """
    pixels, rate = _to_pixels(frames), _to_rate(fps)
    with atomic_path(check_video_path(path)) as temporary, av.open(_url(temporary), "w") as container:
        stream = container.add_stream("ffv1", rate=rate)
        stream.height, stream.width = pixels.shape[1:3]
        stream.pix_fmt = _LOSSLESS_FORMAT
        for picture in pixels:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            container.mux(stream.encode(frame.reformat(format=_LOSSLESS_FORMAT)))
        container.mux(stream.encode())


def _write_gif(path: Path, frames: UInt8Array, rate: Fraction, tags: Mapping[str, str]) -> None:
    height, width = frames.shape[1:3]
    encoded = io.BytesIO()
    with av.open(encoded, "w", format="gif") as container:
        stream = container.add_stream("gif", rate=rate)
        stream.height, stream.width, stream.pix_fmt = height, width, "pal8"
        for frame in _with_one_palette(frames, rate):
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    path.write_bytes(with_tags(encoded.getvalue(), tags, fps=rate))


def _with_one_palette(frames: UInt8Array, rate: Fraction) -> Iterator[av.VideoFrame]:
    """The frames in 255 colours that suit the whole video: with a palette for each, still parts would flicker."""
    height, width = frames.shape[1:3]
    graph = av.filter.Graph()
    source = graph.add_buffer(width=width, height=height, format=av.VideoFormat("rgb24"), time_base=1 / rate)
    split, palette = graph.add("split"), graph.add("palettegen", "stats_mode=full")
    mapped, sink = graph.add("paletteuse", _DITHER), graph.add("buffersink")
    source.link_to(split)
    split.link_to(mapped, 0, 0)
    split.link_to(palette, 1, 0)
    palette.link_to(mapped, 0, 1)
    mapped.link_to(sink)
    graph.configure()
    for index, pixels in enumerate(frames):
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
        frame.pts, frame.time_base = index, 1 / rate
        source.push(frame)
    source.push(None)
    with contextlib.suppress(EOFError, av.EOFError):
        while True:
            yield cast(av.VideoFrame, sink.pull())


_DITHER = "dither=bayer:bayer_scale=5:diff_mode=rectangle"
"""A faint pattern that stays where it is: others sparkle from frame to frame, and make files twice as large."""


def _url(path: Path) -> str:
    """A path as FFmpeg takes it for one, whatever it holds: by itself `12:30.mp4` would be an address."""
    return f"file:{path}"


def _container_options(suffix: str, tags: Mapping[str, str]) -> dict[str, str]:
    """MP4 and MOV put tags into places that every player knows, as long as they fit there."""
    if suffix not in (".mp4", ".mov"):
        return {}
    fits = suffix != ".mov" or all(len(text.encode()) <= _MOST_PLAIN_BYTES for text in tags.values())
    return {"movflags": "faststart" if fits and _PLAIN_TAGS.issuperset(tags) else "faststart+use_metadata_tags"}


def _writable(text: str) -> str:
    """Text without what no container can hold."""
    return text.encode("utf-8", "replace").decode().replace("\0", "")


def _to_rate(fps: float) -> Fraction:
    try:
        rate = Fraction(float(fps)).limit_denominator(1001)
    except (TypeError, ValueError, OverflowError):
        rate = Fraction(0)
    if not 0 < rate <= _FASTEST_RATE:
        raise UserInputError(
            f"A video cannot have {fps} frames a second; give a number above 0 and up to {_FASTEST_RATE}, such as 8."
        )
    return rate


def _to_pixels(frames: VideoFrames) -> UInt8Array:
    if isinstance(frames, Sequence):
        pictures = [np.asarray(each.convert("RGB") if isinstance(each, Image.Image) else each) for each in frames]
        if len({picture.shape for picture in pictures}) > 1:
            raise ShapeError("A video needs frames of one size; scale them first.")
        frames = np.stack(pictures) if pictures else np.zeros((0, 0, 0, 3), np.uint8)
    pixels: np.ndarray[Any, Any] = np.asarray(frames)  # also a tensor, or a single picture by mistake
    if pixels.ndim != 4 or pixels.shape[-1] != 3 or 0 in pixels.shape:
        raise ShapeError(f"A video needs uint8 frames of shape (F, H, W, 3), not {pixels.dtype} {pixels.shape}.")
    if pixels.dtype.kind == "f":
        if not (np.isfinite(pixels).all() and pixels.min() >= 0 and pixels.max() <= 1):
            raise ShapeError("A video's floating-point frames must lie between 0 and 1; or give uint8 from 0 to 255.")
        pixels = (pixels * 255).round().astype(np.uint8)
    if pixels.dtype != np.uint8:
        raise ShapeError(f"A video needs uint8 frames of shape (F, H, W, 3), not {pixels.dtype} {pixels.shape}.")
    return cast(UInt8Array, pixels)


def read_video(path: str | Path, *, max_bytes: int | None = None) -> Video:
    """Reads every frame of a video, as a player shows it: turned, mirrored and stretched as the file says.

    Args:
        path: the file.
        max_bytes: a video whose frames are larger than this in memory is refused as soon as that is known.

    Raises:
        UserInputError: if the file is missing, holds no video that can be read, changes its size or is too large.
    """
    frames: list[UInt8Array] = []
    with open_video(path) as opened:
        for frame in opened.container.decode(opened.stream):
            check_frame_size(path, *shown_size(frame, opened.stream))
            frames.append(shown_frame(frame, opened.stream))
            if max_bytes is not None and len(frames) * frames[0].nbytes > max_bytes:
                raise UserInputError(
                    f"The frames of the video {path} take more than {max_bytes / 2**30:.0f} GiB of memory; shorten it "
                    "or scale it down."
                )
        rate, metadata = opened.rate, opened.tags
    if not frames or not rate:
        raise UserInputError(f"The video {path} holds no frames.")
    if len({frame.shape for frame in frames}) > 1:
        raise _changing_size(path)
    return Video(frames=np.stack(frames), fps=float(rate), metadata=metadata)


def iterate_video(path: str | Path, *, most_per_second: float | None = None) -> Iterator[TimedFrame]:
    """Reads a video frame by frame, as a player shows it, and keeps none of them.

    Args:
        path: the file.
        most_per_second: frames of each second that are read, spread evenly; None: all.

    Raises:
        UserInputError: as `read_video`.
    """
    is_empty, size = True, None
    with open_video(path) as opened:
        rate, start, due = opened.rate or Fraction(1), None, 0.0
        for index, frame in enumerate(opened.container.decode(opened.stream)):
            by_count = float(index / rate)
            seconds = by_count if frame.time is None or opened.gif_rate is not None else float(frame.time)
            start = seconds if start is None else start
            is_empty, size = False, size or shown_size(frame, opened.stream)
            if shown_size(frame, opened.stream) != size:
                raise _changing_size(path)
            if seconds - start < due - _A_MOMENT:
                continue
            check_frame_size(path, *size)
            yield TimedFrame(index=index, seconds=seconds - start, pixels=shown_frame(frame, opened.stream))
            if most_per_second is not None:
                due = max(due + 1 / most_per_second, seconds - start)
    if is_empty:
        raise UserInputError(f"The video {path} holds no frames.")


def measure_video(path: str | Path, *, most_frames: int) -> VideoSize:
    """Decodes a video frame by frame and keeps none, so that a damaged one is noticed in little memory.

    Args:
        path: the file.
        most_frames: where to stop; a longer video is said to have this many.

    Raises:
        UserInputError: as `read_video`, or if a frame has more than `MAX_FRAME_PIXELS`.
    """
    num_frames, sizes = 0, set()
    with open_video(path) as opened:
        codec = opened.stream.codec_context
        check_frame_size(path, codec.height, codec.width)
        for frame in opened.container.decode(opened.stream):
            num_frames += 1
            sizes.add(shown_size(frame, opened.stream))
            check_frame_size(path, *shown_size(frame, opened.stream))
            if num_frames == most_frames:
                break
        rate = opened.rate
    if num_frames == 0 or not rate:
        raise UserInputError(f"The video {path} holds no frames.")
    if len(sizes) > 1:
        raise _changing_size(path)
    [(height, width)] = sizes
    return VideoSize(num_frames=num_frames, height=height, width=width, fps=float(rate))


def check_frame_size(path: str | Path, height: int, width: int) -> None:
    """Refuses frames that would take more memory than anybody means to give; raises UserInputError."""
    if height * width > MAX_FRAME_PIXELS:
        raise UserInputError(
            f"The video {path} has {height * width / 1e6:.0f} million pixels a frame, more than the "
            f"{MAX_FRAME_PIXELS / 1e6:.0f} million that are read; scale it down first."
        )


def _changing_size(path: str | Path) -> UserInputError:
    return UserInputError(f"The frames of the video {path} have different sizes; export it again with one size.")


def read_video_metadata(path: str | Path) -> dict[str, str]:
    """What a video file says about itself, without decoding it; raises as `read_video`."""
    with open_video(path) as opened:
        return opened.tags


def plays_in_browsers(path: str | Path) -> bool:
    """Whether every browser plays a video file as it is: H.264 in yuv420p in MP4; raises as `read_video`."""
    with open_video(path) as opened:
        codec = opened.stream.codec_context
        return Path(path).suffix.lower() == ".mp4" and codec.name == "h264" and codec.pix_fmt in _WEB_PIXEL_FORMATS


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OpenVideo:
    """A video that is being read."""

    container: InputContainer
    """The file."""

    stream: VideoStream
    """What a player shows of it, which is not the picture on its cover."""

    gif_tags: dict[str, str]
    """What a GIF says about itself."""

    gif_rate: Fraction | None
    """The rate that a GIF names."""

    @property
    def rate(self) -> Fraction | None:
        """Frames a second; a GIF's delays in hundredths of a second only come near it."""
        return self.gif_rate or self.stream.average_rate or self.stream.guessed_rate

    @property
    def tags(self) -> dict[str, str]:
        """What the file says about itself; Matroska and WebM give names back in capitals."""
        said = dict(self.container.metadata) | self.gif_tags
        if "matroska" in self.container.format.name:
            return {name.lower(): text for name, text in said.items()}
        return said


@contextlib.contextmanager
def open_video(path: str | Path) -> Iterator[OpenVideo]:
    """Opens a video for who reads it in another way than `read_video` does.

    Raises:
        UserInputError: as `read_video`, also for what FFmpeg finds while the block runs.
    """
    with open_input(path, "video", example="a video file") as file:
        gif_tags, gif_rate = read_tags(file) if file.read(3) == b"GIF" and not file.seek(0) else ({}, None)
        file.seek(0)
        try:
            # FFmpeg gets the open file, not its name: it takes names such as `12:30.mp4` for addresses, and texts
            # that name further files for videos.
            with av.open(
                file, "r", metadata_errors="replace", container_options={"format_whitelist": ",".join(_CONTAINERS)}
            ) as container:
                yield OpenVideo(
                    container=container, stream=_shown_stream(path, container), gif_tags=gif_tags, gif_rate=gif_rate
                )
        except av.ArgumentError as error:  # what FFmpeg says of a kind that is not on the list
            raise UserInputError(
                f"The video {path} cannot be read: it is damaged, or of no kind that is read, such as MP4, MKV, WebM, "
                "AVI or GIF; copy or export it again."
            ) from error
        except av.FFmpegError as error:
            raise UserInputError(
                f"The video {path} cannot be read ({error.strerror}); copy or export it again."
            ) from error


def _shown_stream(path: str | Path, container: InputContainer) -> VideoStream:
    kinds = av.stream.Disposition
    hidden = kinds.attached_pic | kinds.timed_thumbnails | kinds.still_image
    shown = [stream for stream in container.streams.video if not stream.disposition & hidden]
    if not shown:
        raise UserInputError(f"The file {path} holds no video.")
    stream = next((each for each in shown if each.disposition & kinds.default), shown[0])
    codec: CodecContext | None = stream.codec_context  # PyAV's types leave the None out
    if codec is None:
        raise UserInputError(f"The video {path} is coded in a way that FFmpeg does not know; export it again.")
    return stream
