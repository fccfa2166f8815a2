import contextlib
import os
import struct
import warnings
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import scipy.ndimage
from av.video.reformatter import ColorRange, Colorspace
from PIL import Image

from ingredients.core.errors import OutputError, ShapeError, UserInputError
from ingredients.media import video as video_module
from ingredients.media.video import (
    measure_video,
    plays_in_browsers,
    read_video,
    read_video_metadata,
    write_long_video,
    write_lossless_video,
    write_video,
)
from tests.media.phone_videos import TURNS, add_cover, shown_by, turn, write_plain

NUM_FRAMES, HEIGHT, WIDTH = 9, 64, 96


@pytest.fixture
def frames() -> np.ndarray:
    """(9, 64, 96, 3): a red square that moves over a soft ramp."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    ramp = np.stack([rows * 2, columns * 2, rows + columns], axis=-1).astype(np.uint8)
    frames = np.repeat(ramp[None], NUM_FRAMES, axis=0)
    for index in range(NUM_FRAMES):
        frames[index, 20:36, 4 * index : 4 * index + 16] = (220, 30, 40)
    return frames


@pytest.mark.parametrize("fps", [8.0, 7.5, 30_000 / 1001])
def test_frames_rate_and_words_come_back(tmp_path: Path, frames: np.ndarray, fps: float) -> None:
    write_video(tmp_path / "a.mp4", frames, fps=fps, metadata={"title": "Two people wave", "comment": "seed 3"})
    video = read_video(tmp_path / "a.mp4")
    assert video.frames.shape == (NUM_FRAMES, HEIGHT, WIDTH, 3)
    assert video.fps == pytest.approx(fps, rel=1e-9)
    assert video.metadata["title"] == "Two people wave"
    assert video.metadata["comment"] == "seed 3"
    assert np.abs(video.frames.astype(int) - frames).mean() < 3
    for index in range(NUM_FRAMES):  # a frame too many, or one late, would move the square
        square = video.frames[index, 24:32, 4 * index + 4 : 4 * index + 12].mean((0, 1))
        np.testing.assert_allclose(square, (220, 30, 40), atol=6)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("quarter_turns", [0, 1, 2, 3])
def test_a_film_is_written_as_it_comes_and_shown_upright(
    tmp_path: Path, frames: np.ndarray, suffix: str, quarter_turns: int
) -> None:
    path = tmp_path / f"a{suffix}"
    write_long_video(path, iter(frames), fps=24, quarter_turns=quarter_turns)
    video = read_video(path)
    assert video.frames.shape == frames.shape
    assert np.abs(video.frames.astype(int) - frames).mean() < 3
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height) == ((HEIGHT, WIDTH) if quarter_turns % 2 else (WIDTH, HEIGHT))


def test_a_film_of_wide_pixels_is_shown_in_its_width(tmp_path: Path, frames: np.ndarray) -> None:
    write_long_video(tmp_path / "a.mov", frames[:, :, ::2], fps=24, pixel_aspect=2.0)
    assert read_video(tmp_path / "a.mov").frames.shape == frames.shape


def test_a_film_needs_frames_of_one_size(tmp_path: Path, frames: np.ndarray) -> None:
    for bad in ([], [frames[0], frames[1, :32]], [frames[0, :33]]):
        with pytest.raises(ShapeError):
            write_long_video(tmp_path / "a.mp4", bad, fps=24)
    with pytest.raises(OutputError, match="GIF"):
        write_long_video(tmp_path / "a.gif", iter(frames), fps=24)
    assert not list(tmp_path.iterdir())


def test_every_player_can_show_it(tmp_path: Path, frames: np.ndarray) -> None:
    write_video(tmp_path / "a.mp4", frames, fps=8)
    with av.open(str(tmp_path / "a.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt, stream.frames) == ("h264", "yuv420p", NUM_FRAMES)


def test_the_same_frames_make_the_same_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    blots = rng.integers(0, 256, (17, 8, 12, 3)).repeat(4, axis=1).repeat(4, axis=2)
    frames = scipy.ndimage.gaussian_filter(blots, sigma=(0.5, 1.5, 1.5, 0)).astype(np.uint8)  # show the fault best
    files = set()
    for _ in range(40):  # between freed pieces of memory with all sorts of things in them
        scribbles = [rng.integers(0, 256, rng.integers(1_000, 200_000), dtype=np.uint8) for _ in range(10)]
        del scribbles[::2]
        write_video(tmp_path / "video.mp4", frames, fps=8)
        files.add((tmp_path / "video.mp4").read_bytes())
    assert len(files) == 1


def test_a_single_frame_is_a_video(tmp_path: Path, frames: np.ndarray) -> None:
    write_video(tmp_path / "a.mp4", frames[:1], fps=8)
    assert read_video(tmp_path / "a.mp4").frames.shape[0] == 1


def test_an_interrupted_write_leaves_nothing(
    tmp_path: Path, frames: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(av.VideoFrame, "from_ndarray", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_video(tmp_path / "a.mp4", frames, fps=8)
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_named(tmp_path: Path, frames: np.ndarray, fill_disk: Callable[[Path], None]) -> None:
    fill_disk(tmp_path / "a.mp4")
    with pytest.raises(OutputError, match=r"is full, so a\.mp4 was not written"):
        write_video(tmp_path / "a.mp4", frames, fps=8)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["a", "a.png", "new/a.mp4"])
def test_where_no_video_can_go_is_said(tmp_path: Path, frames: np.ndarray, name: str) -> None:
    with pytest.raises(OutputError, match=name):
        write_video(tmp_path / name, frames, fps=8)


@pytest.mark.parametrize("shape", [(0, 64, 96, 3), (9, 63, 96, 3), (9, 64, 96), (9, 64, 96, 4)])
def test_frames_of_another_shape_are_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError):
        write_video(tmp_path / "a.mp4", np.zeros(shape, np.uint8), fps=8)


def test_what_is_not_a_video_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_text("Dear Ana")
    with pytest.raises(UserInputError, match=r"a\.mp4 cannot be read"):
        read_video(tmp_path / "a.mp4")
    with pytest.raises(UserInputError, match=r"b\.mp4 does not exist"):
        read_video(tmp_path / "b.mp4")


def test_a_video_is_measured_as_far_as_asked(tmp_path: Path, frames: np.ndarray) -> None:
    write_video(tmp_path / "a.mp4", frames, fps=7.5)
    for most_frames, num_frames in ((100, NUM_FRAMES), (NUM_FRAMES, NUM_FRAMES), (4, 4)):
        size = measure_video(tmp_path / "a.mp4", most_frames=most_frames)
        assert (size.num_frames, size.height, size.width, size.fps) == (num_frames, HEIGHT, WIDTH, 7.5)
    (tmp_path / "b.mp4").write_text("Dear Ana")
    with pytest.raises(UserInputError, match=r"b\.mp4 cannot be read"):
        measure_video(tmp_path / "b.mp4", most_frames=1)


def test_frames_too_large_are_not_decoded(tmp_path: Path, frames: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    write_video(tmp_path / "a.mp4", frames, fps=8)
    monkeypatch.setattr(video_module, "MAX_FRAME_PIXELS", HEIGHT * WIDTH - 1)
    with pytest.raises(UserInputError, match="million pixels a frame, more than"):
        measure_video(tmp_path / "a.mp4", most_frames=100)


def test_frames_of_changing_size_are_refused(tmp_path: Path, frames: np.ndarray) -> None:
    with (tmp_path / "both.h264").open("wb") as both:
        for width in (WIDTH, 48):
            with av.open(str(tmp_path / "part.h264"), "w") as container:
                stream = container.add_stream("libx264", rate=8)
                stream.height, stream.width, stream.pix_fmt = HEIGHT, width, "yuv420p"
                for pixels in frames:
                    container.mux(
                        stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels[:, :width]), "rgb24"))
                    )
                container.mux(stream.encode())
            both.write((tmp_path / "part.h264").read_bytes())
    for call in (read_video, lambda path: measure_video(path, most_frames=100)):
        with pytest.raises(UserInputError, match="have different sizes"):
            call(tmp_path / "both.h264")


def test_a_codec_that_nobody_knows_is_named(tmp_path: Path, frames: np.ndarray) -> None:
    write_video(tmp_path / "a.mp4", frames, fps=8)
    content = (tmp_path / "a.mp4").read_bytes()
    (tmp_path / "a.mp4").write_bytes(content.replace(b"avc1", b"zzzz"))
    for call in (read_video, lambda path: measure_video(path, most_frames=100)):
        with pytest.raises(UserInputError, match="does not know"):
            call(tmp_path / "a.mp4")


@pytest.mark.parametrize("size", [(64, 96), (15, 21)])
def test_lossless_frames_come_back_exactly(tmp_path: Path, size: tuple[int, int]) -> None:
    frames = np.random.default_rng(0).integers(0, 256, size=(5, *size, 3), dtype=np.uint8)
    write_lossless_video(tmp_path / "a.mkv", frames, fps=7.5)
    video = read_video(tmp_path / "a.mkv")
    np.testing.assert_array_equal(video.frames, frames)
    assert video.fps == 7.5
    with pytest.raises(ShapeError, match="uint8 frames of shape"):
        write_lossless_video(tmp_path / "b.mkv", frames[0], fps=8)
    assert [path.name for path in tmp_path.iterdir()] == ["a.mkv"]


def test_a_video_that_is_too_large_is_refused_before_all_of_it_is_read(tmp_path: Path, frames: np.ndarray) -> None:
    write_video(tmp_path / "a.mp4", frames, fps=8)
    assert len(read_video(tmp_path / "a.mp4", max_bytes=frames.nbytes).frames) == NUM_FRAMES
    with pytest.raises(UserInputError, match="shorten it or scale it down"):
        read_video(tmp_path / "a.mp4", max_bytes=frames.nbytes - 1)


def test_browsers_play_h264_in_mp4_alone(tmp_path: Path, frames: np.ndarray) -> None:
    write_video(tmp_path / "a.mp4", frames, fps=8)
    write_video(tmp_path / "a.mkv", frames, fps=8)
    write_lossless_video(tmp_path / "b.mkv", frames, fps=8)
    assert [plays_in_browsers(tmp_path / name) for name in ("a.mp4", "a.mkv", "b.mkv")] == [True, False, False]
    with pytest.raises(UserInputError, match="does not exist"):
        plays_in_browsers(tmp_path / "none.mp4")


def arrow(height: int, width: int, *, num_frames: int = 3) -> np.ndarray:
    """(F, H, W, 3): four corners of four colours, so that no turn looks like another."""
    frames = np.full((num_frames, height, width, 3), 120, np.uint8)
    frames[:, : height // 3, : width // 3] = (220, 40, 40)
    frames[:, : height // 3, -width // 3 :] = (40, 180, 60)
    frames[:, -height // 3 :, : width // 3] = (50, 60, 210)
    frames[:, -height // 3 :, -width // 3 :] = (230, 230, 230)
    return frames


@pytest.mark.parametrize("name", TURNS)
def test_videos_are_read_as_they_are_turned(tmp_path: Path, name: str) -> None:
    frames = arrow(64, 96)
    path = turn(write_plain(tmp_path / "a.mp4", frames), TURNS[name])
    expected = shown_by(TURNS[name], frames)
    video = read_video(path)
    assert video.frames.shape == expected.shape
    assert np.abs(video.frames.astype(int) - expected).mean() < 3
    size = measure_video(path, most_frames=9)
    assert (size.height, size.width) == expected.shape[1:3]


def test_a_turn_that_is_not_square_goes_to_the_nearest_that_is(tmp_path: Path) -> None:
    frames = arrow(64, 96)
    path = write_plain(tmp_path / "a.mp4", frames)
    content = bytearray(path.read_bytes())
    place = content.find(b"tkhd") + 8 + 20 + 16
    cosine, sine = round(65536 * 0.1736), round(65536 * 0.9848)  # 80 degrees
    content[place : place + 36] = struct.pack(">9i", cosine, sine, 0, -sine, cosine, 0, 0, 0, 0x40000000)
    path.write_bytes(content)
    assert read_video(path).frames.shape == (3, 96, 64, 3)


@pytest.mark.parametrize(
    ("aspect", "name", "size"),
    [
        (Fraction(2, 1), "none", (64, 192)),
        (Fraction(1, 2), "none", (128, 96)),
        (Fraction(4, 3), "90", (128, 64)),
        (Fraction(1, 1), "none", (64, 96)),
        (Fraction(1281, 1280), "none", (64, 96)),
    ],
)
def test_pixels_that_are_not_square_are_stretched(
    tmp_path: Path, aspect: Fraction, name: str, size: tuple[int, int]
) -> None:
    path = turn(write_plain(tmp_path / "a.mp4", arrow(64, 96), aspect=aspect), TURNS[name])
    video = read_video(path)
    assert video.frames.shape[1:3] == size
    upright = arrow(*(size if name == "none" else size[::-1]))
    assert np.abs(video.frames.astype(int) - shown_by(TURNS[name], upright)).mean() < 5
    measured = measure_video(path, most_frames=9)
    assert (measured.height, measured.width) == size


def test_pixels_of_an_absurd_shape_make_no_huge_picture(tmp_path: Path) -> None:
    write_plain(tmp_path / "a.mp4", arrow(400, 600), aspect=Fraction(200, 1))
    for call in (read_video, lambda path: measure_video(path, most_frames=100)):
        with pytest.raises(UserInputError, match="million pixels a frame, more than"):
            call(tmp_path / "a.mp4")


def test_the_picture_on_the_cover_is_no_video(tmp_path: Path) -> None:
    frames = arrow(64, 96)
    path = add_cover(write_plain(tmp_path / "a.mp4", frames))
    with av.open(str(path)) as container:
        assert container.streams.video[0].codec_context.name == "mjpeg"
    assert np.abs(read_video(path).frames.astype(int) - frames).mean() < 3
    assert measure_video(path, most_frames=9).width == 96
    assert plays_in_browsers(path)


def test_a_cover_alone_is_no_video(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "song.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        sound.sample_rate = 44100
        container.mux(stream.encode(sound))
        container.mux(stream.encode())
    add_cover(tmp_path / "song.mp4")
    with pytest.raises(UserInputError, match="holds no video"):
        read_video(tmp_path / "song.mp4")


@pytest.mark.parametrize(
    ("size", "colourspace"),
    [((720, 1280), Colorspace.ITU709), ((1280, 720), Colorspace.ITU709), ((480, 720), Colorspace.ITU601)],
)
def test_colours_that_are_not_tagged_are_those_of_the_size(
    tmp_path: Path, size: tuple[int, int], colourspace: Colorspace
) -> None:
    frames = arrow(*size, num_frames=1)
    write_plain(tmp_path / "a.mp4", frames, colourspace=colourspace)
    assert np.abs(read_video(tmp_path / "a.mp4").frames.astype(int) - frames).max(axis=(0, 3))[10:40, 10:40].max() < 6


@pytest.mark.parametrize(("colourspace", "number"), [(Colorspace.ITU601, 6), (Colorspace.ITU709, 1)])
@pytest.mark.parametrize("colour_range", [ColorRange.JPEG, ColorRange.MPEG])
def test_tagged_colours_come_back_in_full_and_limited_range(
    tmp_path: Path, colourspace: Colorspace, number: int, colour_range: ColorRange
) -> None:
    frames = arrow(64, 96, num_frames=1)
    tags = {"colorspace": number, "color_range": colour_range}
    write_plain(tmp_path / "a.mp4", frames, colourspace=colourspace, colour_range=colour_range, tags=tags)
    for rows in (slice(4, 16), slice(48, 60)):
        for columns in (slice(4, 28), slice(68, 92)):
            shown = read_video(tmp_path / "a.mp4").frames[0, rows, columns].astype(int)
            assert np.abs(shown - frames[0, rows, columns]).max() < 6


@pytest.mark.parametrize(
    "name", ["12:30.mp4", "pipe:1.mp4", "concat:a|b.mp4", "http:x.mkv", "a%03d.webm", "file:a.gif"]
)
def test_a_name_is_never_an_address(
    tmp_path: Path, frames: np.ndarray, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_video(name, frames, fps=8)
    assert read_video(name).frames.shape == frames.shape
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    "text",
    [
        "ffconcat version 1.0\nfile real.mp4\n",
        "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:1\n#EXTINF:1.0,\nreal.mp4\n#EXT-X-ENDLIST\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"></MPD>',
    ],
)
@pytest.mark.parametrize("suffix", [".mp4", ".m3u8", ".sdp"])
def test_a_list_of_further_files_is_no_video(tmp_path: Path, frames: np.ndarray, text: str, suffix: str) -> None:
    write_video(tmp_path / "real.mp4", frames, fps=8)
    path = tmp_path / f"list{suffix}"
    path.write_text(text)
    for call in (read_video, read_video_metadata, lambda path: measure_video(path, most_frames=100)):
        with pytest.raises(UserInputError, match=r"list\..* cannot be read"):
            call(path)


def test_a_pipe_and_a_folder_are_no_video(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.mp4")
    (tmp_path / "b.mp4").mkdir()
    with pytest.raises(UserInputError, match=r"a\.mp4 is a pipe or a device"):
        read_video(tmp_path / "a.mp4")
    with pytest.raises(UserInputError, match=r"b\.mp4 is a folder"):
        read_video(tmp_path / "b.mp4")


TAGS = {"title": "Zwei winken — “so”", "comment": '{"seed": 3}', "seed": "3"}


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm", ".gif"])
def test_every_container_gives_back_what_was_put_in(tmp_path: Path, frames: np.ndarray, suffix: str) -> None:
    for tags in (TAGS, {"title": "a"}, {"comment": "ä" * 60_000, "title": "b" * 70_000}, {}):
        write_video(tmp_path / f"a{suffix}", frames, fps=7.5, metadata=tags)
        video = read_video(tmp_path / f"a{suffix}")
        assert {name: video.metadata.get(name) for name in tags} == tags
        assert read_video_metadata(tmp_path / f"a{suffix}") == video.metadata
        assert (video.frames.shape, video.fps) == (frames.shape, 7.5)
    assert np.abs(video.frames.astype(int) - frames).mean() < 6
    for index in range(NUM_FRAMES):  # a frame too many, or one late, would move the square
        square = video.frames[index, 24:32, 4 * index + 4 : 4 * index + 12].mean((0, 1))
        np.testing.assert_allclose(square, (220, 30, 40), atol=12)


def test_what_no_container_can_hold_is_left_out_of_its_words(tmp_path: Path, frames: np.ndarray) -> None:
    write_video(tmp_path / "a.mp4", frames, fps=8, metadata={"title": "a\0b\ud800c"})
    assert read_video_metadata(tmp_path / "a.mp4")["title"] == "ab?c"


@pytest.mark.parametrize("suffix", [".mp4", ".webm", ".gif"])
@pytest.mark.parametrize("num_frames", [1, 2, 17])
def test_frames_that_do_not_change_are_all_there(
    tmp_path: Path, frames: np.ndarray, suffix: str, num_frames: int
) -> None:
    write_video(tmp_path / f"a{suffix}", np.repeat(frames[:1], num_frames, axis=0), fps=12)
    video = read_video(tmp_path / f"a{suffix}")
    assert (len(video.frames), video.fps) == (num_frames, 12)


def test_a_gif_is_as_others_expect_it(tmp_path: Path) -> None:
    frames = arrow(15, 21, num_frames=17)
    write_video(tmp_path / "a.gif", frames, fps=8, metadata={"comment": "made by a model"})
    with Image.open(tmp_path / "a.gif") as picture:
        assert (picture.n_frames, picture.size, picture.info["loop"]) == (17, (21, 15), 0)
        assert picture.info["comment"] == b"made by a model"
        delays = []
        for index in range(17):
            picture.seek(index)
            delays.append(picture.info["duration"])
    assert set(delays) == {120, 130}
    assert sum(delays) == 2120  # 17 frames at 8 a second, in whole hundredths
    with pytest.raises(UserInputError, match="at most 50 frames a second, not 60"):
        write_video(tmp_path / "b.gif", frames, fps=60)


def test_the_rate_of_a_foreign_gif_comes_from_all_of_its_delays(tmp_path: Path) -> None:
    pictures = [Image.fromarray(np.full((12, 14, 3), 60 * index, np.uint8)) for index in range(4)]
    pictures[0].save(
        tmp_path / "a.gif", save_all=True, append_images=pictures[1:], duration=[100, 200, 0, 100], comment=b"holiday"
    )
    video = read_video(tmp_path / "a.gif")
    assert video.fps == 8  # a delay of nothing is shown as a tenth of a second
    assert video.metadata["comment"] == "holiday"


def test_frames_may_be_a_list_of_pictures_or_numbers_from_0_to_1(tmp_path: Path, frames: np.ndarray) -> None:
    write_video(tmp_path / "a.mp4", frames, fps=8)
    expected = (tmp_path / "a.mp4").read_bytes()
    for same in ([Image.fromarray(frame) for frame in frames], list(frames), frames.astype(np.float32) / 255):
        write_video(tmp_path / "a.mp4", same, fps=8)
        assert (tmp_path / "a.mp4").read_bytes() == expected
    one = Image.fromarray(frames[0])
    sizes = [Image.new("RGB", (8, 8)), Image.new("RGB", (8, 10))]
    for bad in ([], sizes, frames * 2.0, frames.astype(np.int64), one, None):
        with pytest.raises(ShapeError):
            write_video(tmp_path / "b.mp4", bad, fps=8)


@pytest.mark.parametrize("fps", [np.float32(8), np.int64(8), Fraction(8), 8])
def test_a_rate_may_be_any_number(tmp_path: Path, frames: np.ndarray, fps: float) -> None:
    write_video(tmp_path / "a.mp4", frames, fps=fps)
    assert read_video(tmp_path / "a.mp4").fps == 8


@pytest.mark.parametrize("fps", [0, -8, float("nan"), float("inf"), 1e-9, 1e9, None, "often"])
def test_a_rate_that_is_none_is_refused(tmp_path: Path, frames: np.ndarray, fps: float) -> None:
    for write, name in ((write_video, "a.mp4"), (write_video, "a.gif"), (write_lossless_video, "a.mkv")):
        with pytest.raises(UserInputError, match="frames a second"):
            write(tmp_path / name, frames, fps=fps)
    assert not list(tmp_path.iterdir())


def test_ffmpegs_words_stay_away(tmp_path: Path, frames: np.ndarray, capfd: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for suffix in (".mp4", ".mov", ".mkv", ".webm", ".gif"):
            write_video(tmp_path / f"a{suffix}", frames, fps=8)
            content = (tmp_path / f"a{suffix}").read_bytes()
            (tmp_path / f"a{suffix}").write_bytes(content[: len(content) // 2] + bytes(40) + content[-60:])
            with contextlib.suppress(UserInputError):
                read_video(tmp_path / f"a{suffix}")
    assert capfd.readouterr() == ("", "")
