"""Forty files as people have them that are no films, or none like others, each with what should become of it."""

import os
import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from ingredients.media.pictures import write_picture
from ingredients.media.video import write_lossless_video, write_video
from tests.curation.films import FPS, shot
from tests.media.phone_videos import TURNS, add_cover, turn

KEPT = "kept"
"""Clips come out of it."""

Maker = Callable[[Path], Any]


def film(path: Path, *, seed: int = 3, height: int = 96, width: int = 144, num_frames: int = 60) -> Path:
    write_video(path, shot(seed, num_frames, height=height, width=width), fps=FPS)
    return path


def encoded(path: Path, codec: str, pixel_format: str, *, seed: int = 3, rate: int = FPS, **options: Any) -> Path:
    """A film by a codec of one's choice; `tags` of its colours, and `times` of its frames in parts of a second."""
    frames = options.pop("frames", None)
    frames = shot(seed) if frames is None else frames
    times, tags = options.pop("times", None), options.pop("tags", {})
    with av.open(str(path), "w", options=options.pop("container", {})) as container:
        stream: Any = container.add_stream(codec, rate=rate)
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], pixel_format
        stream.bit_rate = 20_000_000
        stream.options = {name: str(value) for name, value in options.items()}
        for name, value in tags.items():
            setattr(stream.codec_context, name, value)
        if times is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        for number, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            frame = frame.reformat(format=pixel_format)
            if times is not None:
                frame.pts, frame.time_base = times[number], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def cut_off(part: float, *, faststart: bool = True) -> Maker:
    """A film of which only the first part was copied; with its table of contents at the end, nothing can be read."""

    def make(path: Path) -> None:
        frames = shot(3, 240)
        encoded(path, "libx264", "yuv420p", frames=frames, container={"movflags": "faststart"} if faststart else {})
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * part)])

    return make


def audio_only(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("aac", rate=44100)
        stream.layout = "mono"
        sound = np.zeros((1, 44100), np.float32)
        frame = av.AudioFrame.from_ndarray(sound, format="fltp", layout="mono")
        frame.sample_rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode())


def random_bytes(path: Path) -> None:
    path.write_bytes(np.random.default_rng(0).bytes(9000))


def unreadable(path: Path) -> None:
    film(path)
    path.chmod(0)


def symlink_loop(path: Path) -> None:
    path.symlink_to(path.with_name("other.mp4"))
    path.with_name("other.mp4").symlink_to(path)


def flipped_bytes(path: Path) -> None:
    film(path)
    content = bytearray(path.read_bytes())
    for place in range(len(content) // 2, len(content), 97):
        content[place] ^= 0xFF
    path.write_bytes(content)


def huge_header(path: Path) -> None:
    """A picture that says it has two hundred million pixels."""
    film(path)
    content = path.read_bytes()
    for box in (b"avc1",):
        place = content.find(box) + 4 + 24
        content = content[:place] + struct.pack(">HH", 20_000, 10_000) + content[place + 4 :]
    path.write_bytes(content)


def variable_rate(path: Path) -> None:
    times = np.cumsum([20 if number % 3 else 83 for number in range(90)]).tolist()
    encoded(path, "libx264", "yuv420p", frames=shot(4, 90), times=times)


HDR = {"color_primaries": 9, "color_trc": 16, "colorspace": 9}

BROKEN: dict[str, tuple[str, Maker, str]] = {
    "zero bytes": ("a.mp4", lambda path: path.touch(), "the file is empty"),
    "text": ("a.mp4", lambda path: path.write_text("no film " * 99), "cannot be decoded"),
    "random bytes": ("a.mkv", random_bytes, "cannot be decoded"),
    "page": ("a.mp4", lambda path: path.write_text("<!doctype html><title>404</title>"), "cannot be decoded"),
    "list of further files": (
        "a.mp4", lambda path: path.write_text("ffconcat version 1.0\nfile '/etc/passwd'\n"), "cannot be decoded",
    ),
    "playlist": ("a.mp4", lambda path: path.write_text("#EXTM3U\nhttp://127.0.0.1:9/a.ts\n"), "cannot be decoded"),
    "picture": ("a.mp4", lambda path: write_picture(path.with_suffix(".png"), shot(0, 1)[0]) or path.with_suffix(
        ".png").rename(path), "cannot be decoded"),
    "cut off without a table": ("a.mp4", cut_off(0.7, faststart=False), "cannot be decoded"),
    "cut off after the table": ("a.mp4", cut_off(0.6), KEPT),
    "cut off early": ("a.mp4", cut_off(0.01), "cannot be decoded"),
    "flipped bytes": ("a.mp4", flipped_bytes, ""),
    "audio only": ("a.mp4", audio_only, "cannot be decoded"),
    "one frame": ("a.mp4", lambda path: film(path, num_frames=1), "too short"),
    "three frames": ("a.mp4", lambda path: film(path, num_frames=3), "too short"),
    "unreadable": ("a.mp4", unreadable, "cannot be opened"),
    "a pipe": ("a.mp4", os.mkfifo, "cannot be opened"),
    "a loop of links": ("a.mp4", symlink_loop, "cannot be opened"),
    "a link to nothing": ("a.mp4", lambda path: path.symlink_to("gone.mp4"), "cannot be opened"),
    "a folder": ("a.mp4", lambda path: path.mkdir(), None),
    "a name with a newline": ("a\nb.mp4", film, KEPT),
    "a name like an option": ("--output.mp4", film, KEPT),
    "a name like an address": ("http:a.mp4", film, KEPT),
    "a name of other letters": ("фильм 影片.mp4", film, KEPT),
    "a name of no letters": ("caf\udce9.mp4", film, KEPT),
    "a long name": ("a" * 240 + ".mp4", film, KEPT),
    "a wrong ending": ("a.avi", lambda path: film(path.with_suffix(".mkv")).rename(path), KEPT),
    "an ending in capitals": ("A.MP4", lambda path: film(path.with_name("b.mp4")).rename(path), KEPT),
    "turned by a quarter": ("a.mp4", lambda path: turn(film(path), TURNS["90"]), KEPT),
    "mirrored": ("a.mp4", lambda path: turn(film(path), TURNS["mirrored"]), KEPT),
    "with a cover": ("a.mp4", lambda path: add_cover(encoded(path, "libx264", "yuv420p")), KEPT),
    "wide pixels": (
        "a.mp4",
        lambda path: encoded(path, "libx264", "yuv420p", tags={"sample_aspect_ratio": Fraction(4, 3)}), KEPT,
    ),
    "variable rate": ("a.mkv", variable_rate, KEPT),
    "10 bit": ("a.mkv", lambda path: encoded(path, "libx265", "yuv420p10le", **{"x265-params": "log-level=none"}),
        KEPT),
    "HDR": ("a.mkv", lambda path: encoded(path, "libx265", "yuv420p10le", tags=HDR,
        **{"x265-params": "log-level=none"}), KEPT),
    "odd sizes": ("a.mkv", lambda path: write_lossless_video(path, shot(3, height=97, width=143), fps=FPS), KEPT),
    "grey": ("a.mkv", lambda path: encoded(path, "ffv1", "gray"), KEPT),
    "with transparency": ("a.mkv", lambda path: encoded(path, "ffv1", "yuva420p"), KEPT),
    "intra frames only": ("a.avi", lambda path: encoded(path, "mjpeg", "yuvj420p"), KEPT),
    "an animation": ("a.gif", film, KEPT),
    "VP9": ("a.webm", film, KEPT),
    "a raw stream": ("a.h264", lambda path: encoded(path, "libx264", "yuv420p"), KEPT),
    "8K": ("a.mp4", lambda path: encoded(path, "libx264", "yuv420p", preset="ultrafast",
        frames=np.zeros((1, 4320, 7680, 3), np.uint8)), "too short"),
    "more than 8K by its header": ("a.mp4", huge_header, ""),
}  # fmt: skip
"""Name of the file, what makes it, and the reason for which it is left out; "" for any, and also none."""
