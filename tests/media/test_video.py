from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
import scipy.ndimage

from ingredients.core.errors import OutputError, ShapeError, UserInputError
from ingredients.media import video as video_module
from ingredients.media.video import (
    measure_video,
    plays_in_browsers,
    read_video,
    write_lossless_video,
    write_video,
)

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
