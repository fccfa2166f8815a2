"""Films that may be longer than the memory: what a file says of itself, and its frames one after the other.

Legend: F frames, H/W pixels.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from ingredients.core.arrays import Float32Array, UInt8Array
from ingredients.core.errors import UserInputError
from ingredients.core.optional_dependencies import LazyLibrary
from ingredients.media.shown_frames import shown_frame, shown_size
from ingredients.media.video import OpenVideo, check_frame_size, open_video
from ingredients.media.wide_colours import is_wide

if TYPE_CHECKING:
    import av
    from av.video.stream import VideoStream
else:
    av = LazyLibrary("av", install="av")

_MICROSECONDS = 1_000_000  # FFmpeg's unit of a container's duration
_LIKELY_RATES = (1, 240)
_SEEK_SLACK = 0.001
"""Seconds: times in files are rounded."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FilmFacts:
    """What a video file says of itself, and what its first frame shows."""

    container: str
    """FFmpeg's name of the kind of file."""

    codec: str
    """How the video is coded."""

    pixel_format: str
    """FFmpeg's name, such as `yuv420p10le`."""

    duration: float | None
    """Seconds; None where the file does not say."""

    fps: float
    """Frames a second, on average."""

    height: int
    """H, as shown."""

    width: int
    """W, as shown."""

    coded_height: int
    """H of the file, before it is turned and stretched."""

    coded_width: int
    """W of the file."""

    rotation: int
    """Degrees by which a player turns it."""

    pixel_aspect: float
    """Width of a pixel by its height."""

    primaries: int
    """FFmpeg's number of the colours; 2 is not stated."""

    transfer: int
    """FFmpeg's number of the transfer function; 2 is not stated."""

    is_wide: bool
    """Whether colours are others than a usual screen's: HDR, BT.2020."""

    has_variable_rate: bool
    """Whether the file says that frames stand for times of different length."""

    has_audio: bool
    """Whether it has sound."""

    tags: Mapping[str, str]
    """Title, comment and so on."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FilmFrame:
    """One frame of a film."""

    index: int
    """Its place, from 0; where reading did not begin at the beginning, the place after that."""

    time: float
    """Seconds from the beginning."""

    position: int | None
    """When it is shown, in the file's own units, by which it is found again; None where the file does not say."""

    shown_size: tuple[int, int]
    """Height and width as shown."""

    scaled: Callable[[int], UInt8Array]
    """The picture (H, W, 3), RGB, as shown, scaled down to a longest side if it is larger, which is quick."""

    motion: Float32Array | None
    """Codec motion vectors (number, 4): where from 0 to 1 (column, row), and how far in parts of H, as coded; None
    where the codec gives none for this frame, as for those that are coded alone."""


def describe_film(path: str | Path) -> FilmFacts:
    """What a video says of itself; its first frame is decoded.

    Raises:
        UserInputError: if the file is missing, or holds no video that can be read.
    """
    with open_video(path) as opened:
        stream, container = opened.stream, opened.container
        check_frame_size(path, stream.codec_context.height, stream.codec_context.width)
        first = next(iter(container.decode(stream)), None)
        if first is None:
            raise UserInputError(f"The video {path} holds no frames.")
        height, width = shown_size(first, stream)
        check_frame_size(path, height, width)
        fps = _rate(opened)
        likeliest = stream.base_rate
        aspect = stream.sample_aspect_ratio
        return FilmFacts(
            container=container.format.name,
            codec=stream.codec_context.name,
            pixel_format=first.format.name,
            duration=_duration(opened),
            fps=fps,
            height=height,
            width=width,
            coded_height=first.height,
            coded_width=first.width,
            rotation=int(first.rotation),
            pixel_aspect=float(aspect) if aspect and aspect > 0 else 1.0,
            primaries=int(first.color_primaries),
            transfer=int(first.color_trc),
            is_wide=is_wide(primaries=first.color_primaries, transfer=first.color_trc),
            has_variable_rate=bool(likeliest) and abs(float(likeliest or fps) - fps) > 0.01 * fps,
            has_audio=bool(container.streams.audio),
            tags=opened.tags,
        )


def iterate_frames(path: str | Path, *, has_motion: bool = False, num_threads: int = 0) -> Iterator[FilmFrame]:
    """All frames of a film, decoded once and given one after the other.

    Args:
        path: the file.
        has_motion: whether to give the codec's motion vectors.
        num_threads: the number of threads of the decoder; 0 takes as many as there are cores.

    Raises:
        UserInputError: as soon as something cannot be read; frames before that were given.
    """
    with open_video(path) as opened:
        _prepare(opened, num_threads=num_threads, has_motion=has_motion)
        rate, size = _rate(opened), None
        start = last = None
        for index, frame in enumerate(opened.container.decode(opened.stream)):
            shown = shown_size(frame, opened.stream)
            check_frame_size(path, *shown)
            if size not in (None, shown):
                raise UserInputError(
                    f"The frames of the video {path} have different sizes; export it again with one size."
                )
            size = shown
            time = float(frame.time) if frame.time is not None else index / rate
            start = time if start is None else start
            time -= start
            if last is not None and time <= last:  # files without times, or with wrong ones
                time = last + 1 / rate
            last = time
            yield FilmFrame(
                index=index,
                time=time,
                position=frame.pts,
                shown_size=shown,
                scaled=functools.partial(_scaled, frame, opened.stream),
                motion=_motion(frame) if has_motion else None,
            )


def iterate_chosen_frames(
    path: str | Path, indices: Sequence[int], positions: Sequence[int | None], *, num_threads: int = 0
) -> Iterator[UInt8Array]:
    """Some frames (H, W, 3) of a film in their full size, as `iterate_frames` counted them.

    Where the file can be entered in the middle, only the part around them is decoded.

    Args:
        path: the file.
        indices: places of the frames, ascending.
        positions: the positions of the same frames.
        num_threads: the number of threads of the decoder; 0 takes as many as there are cores.

    Raises:
        UserInputError: if they cannot be read.
    """
    num_given = 0
    if positions[0]:
        for pixels in _iterate_from(path, positions, num_threads):
            yield pixels
            num_given += 1
    if num_given < len(indices):
        yield from _iterate_from_start(path, indices[num_given:], num_threads)


def _iterate_from(path: str | Path, positions: Sequence[int | None], num_threads: int) -> Iterator[UInt8Array]:
    """The frames, from the key frame before them on, as far as the file's positions lead to exactly them."""
    if not all(
        earlier is not None and later is not None and earlier < later
        for earlier, later in itertools.pairwise(positions)
    ):
        return
    with open_video(path) as opened:
        _prepare(opened, num_threads=num_threads, has_motion=False)
        try:
            opened.container.seek(int(positions[0] or 0), stream=opened.stream, backward=True)
        except av.FFmpegError:
            return
        wanted = 0
        for frame in opened.container.decode(opened.stream):
            position = positions[wanted]
            if frame.pts is None or position is None or frame.pts > position:
                return
            if frame.pts == position:
                yield shown_frame(frame, opened.stream)
                wanted += 1
                if wanted == len(positions):
                    return


def _iterate_from_start(path: str | Path, indices: Sequence[int], num_threads: int) -> Iterator[UInt8Array]:
    wanted = set(indices)
    with open_video(path) as opened:
        _prepare(opened, num_threads=num_threads, has_motion=False)
        for index, frame in enumerate(opened.container.decode(opened.stream)):
            if index in wanted:
                yield shown_frame(frame, opened.stream)
            if index == indices[-1]:
                return
    raise UserInputError(f"The video {path} ends before its frame {indices[-1]}; copy it again.")


def _scaled(frame: av.VideoFrame, stream: VideoStream, longest_side: int) -> UInt8Array:
    return shown_frame(frame, stream, longest_side=longest_side)


def _prepare(opened: OpenVideo, *, num_threads: int, has_motion: bool) -> None:
    context = opened.stream.codec_context
    context.thread_type, context.thread_count = "AUTO", num_threads
    if has_motion:
        context.flags2 |= av.codec.context.Flags2.export_mvs


def _motion(frame: av.VideoFrame) -> Float32Array | None:
    found = [each for each in cast(Any, frame).side_data if each.type.name == "MOTION_VECTORS"]
    if not found:
        return None
    vectors = found[0].to_ndarray()
    vectors = vectors[vectors["source"] < 0]  # from earlier frames; those of later ones say the same again
    if not len(vectors):
        return None
    scale = np.maximum(vectors["motion_scale"].astype(np.float32), 1) * frame.height
    return np.stack(
        [
            vectors["dst_x"] / np.float32(frame.width),
            vectors["dst_y"] / np.float32(frame.height),
            vectors["motion_x"] / scale,
            vectors["motion_y"] / scale,
        ],
        axis=1,
    ).astype(np.float32)


def _rate(opened: OpenVideo) -> float:
    rate = opened.rate or Fraction(25)
    least, most = _LIKELY_RATES
    return float(rate) if least <= rate <= most else 25.0


def _duration(opened: OpenVideo) -> float | None:
    stream = opened.stream
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    if opened.container.duration:
        return opened.container.duration / _MICROSECONDS
    return stream.frames / _rate(opened) if stream.frames else None
