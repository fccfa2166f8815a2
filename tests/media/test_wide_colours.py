"""Videos with a high dynamic range, and in BT.2020's colours, are shown as a usual screen would."""

from pathlib import Path

import av
import numpy as np
import pytest

from ingredients.media.video import read_video
from ingredients.media.wide_colours import HLG, PQ, to_screen_colours

SDR = 14  # BT.2020's own transfer function for usual screens
LUMA = np.array([0.2627, 0.6780, 0.0593])


def pq_level(candela: float) -> float:
    """SMPTE ST 2084, its inverse EOTF as it stands there."""
    m1, m2, c1, c2, c3 = 0.1593017578125, 78.84375, 0.8359375, 18.8515625, 18.6875
    power = (candela / 10_000) ** m1
    return ((c1 + c2 * power) / (1 + c3 * power)) ** m2


def hlg_level(light: float) -> float:
    """BT.2100's OETF."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return (3 * light) ** 0.5 if light <= 1 / 12 else a * np.log(12 * light - b) + c


def grey(level: float, transfer: int) -> int:
    pixels = np.full((2, 3, 3), round(level * 65535), np.uint16)
    shown = to_screen_colours(pixels, transfer=transfer)
    assert len(np.unique(shown)) == 1  # grey stays grey
    return int(shown[0, 0, 0])


def test_light_below_the_knee_is_srgbs_and_what_is_brighter_stays_in_order() -> None:
    for share, srgb in ((0.0, 0), (0.01, 25), (0.2140, 127), (0.5, 188), (0.75, 225)):
        assert abs(grey(pq_level(203 * share), PQ) - srgb) <= 1
    brighter = [grey(pq_level(candela), PQ) for candela in (150, 203, 300, 400, 600)]
    assert brighter == sorted(set(brighter))
    assert brighter[1] < 245
    assert grey(pq_level(10_000), PQ) == 255


def test_hlg_at_its_peak_of_1000_is_pq_of_the_same_light() -> None:
    for scene in (0.01, 0.1, 0.265, 0.5, 1.0):
        candela = 1000 * scene**1.2  # the screen's own gamma, for grey
        assert abs(grey(hlg_level(scene), HLG) - grey(pq_level(candela), PQ)) <= 1


def test_hues_are_kept_and_usual_colours_come_back() -> None:
    bt709 = np.array([0.6, 0.2, 0.1])  # light, 1 is white on paper
    to_bt2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])  # BT.2087
    light = to_bt2020 @ bt709
    coded = np.array([pq_level(203 * each) for each in light])
    shown = to_screen_colours((coded * 65535).round().astype(np.uint16)[None, None], transfer=PQ)
    np.testing.assert_allclose(shown[0, 0], 255 * (1.055 * bt709 ** (1 / 2.4) - 0.055), atol=1.5)
    coded = light ** (1 / 2.4)
    shown = to_screen_colours((coded * 65535).round().astype(np.uint16)[None, None], transfer=SDR)
    np.testing.assert_allclose(shown[0, 0], 255 * bt709 ** (1 / 2.4), atol=1.5)
    coded = np.array([pq_level(203 * each) for each in to_bt2020 @ (5 * bt709)])  # brighter than paper: no white blot
    shown = to_screen_colours((coded * 65535).round().astype(np.uint16)[None, None], transfer=PQ)[0, 0] / 255
    np.testing.assert_allclose(((shown + 0.055) / 1.055) ** 2.4, bt709 * 0.975 / 0.6, atol=0.01)


@pytest.mark.parametrize(("transfer", "level"), [(PQ, pq_level(203 * 0.2140)), (HLG, None), (SDR, 0.5), (1, 0.5)])
def test_a_video_of_ten_bits_is_read_in_the_colours_that_it_names(
    tmp_path: Path, transfer: int, level: float | None
) -> None:
    level = hlg_level((203 * 0.2140 / 1000) ** (1 / 1.2)) if level is None else level
    primaries = 1 if transfer == 1 else 9
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=8)
        stream.height, stream.width, stream.pix_fmt = 32, 48, "yuv444p10le"
        context = stream.codec_context
        context.color_primaries, context.color_trc, context.colorspace = primaries, transfer, primaries
        frame = av.VideoFrame(48, 32, "yuv444p10le")
        for plane, value in zip(frame.planes, (round(64 + 876 * level), 512, 512), strict=True):
            plane.update(np.full(plane.buffer_size // 2, value, np.uint16).tobytes())
        frame.color_primaries, frame.color_trc, frame.colorspace, frame.color_range = primaries, transfer, primaries, 1
        for _ in range(2):
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    assert np.abs(read_video(tmp_path / "a.mkv").frames.astype(int) - 127).max() <= 2


@pytest.mark.parametrize("colour", [(0.8, 0.3, 0.2), (0.1, 0.5, 0.9)])
def test_bt2020s_matrix_is_taken_where_it_is_named(tmp_path: Path, colour: tuple[float, float, float]) -> None:
    red, _, blue = colour
    brightness = float(LUMA @ colour)
    values = (
        64 + 876 * brightness,
        512 + 896 * (blue - brightness) / (2 * (1 - LUMA[2])),
        512 + 896 * (red - brightness) / (2 * (1 - LUMA[0])),
    )
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=8)
        stream.height, stream.width, stream.pix_fmt = 32, 48, "yuv444p10le"
        context = stream.codec_context
        context.color_primaries, context.color_trc, context.colorspace = (
            1,
            1,
            9,
        )  # that matrix, a usual screen's colours
        frame = av.VideoFrame(48, 32, "yuv444p10le")
        for plane, value in zip(frame.planes, values, strict=True):
            plane.update(np.full(plane.buffer_size // 2, round(value), np.uint16).tobytes())
        frame.color_primaries, frame.color_trc, frame.colorspace, frame.color_range = 1, 1, 9, 1
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    np.testing.assert_allclose(read_video(tmp_path / "a.mkv").frames[0, 5, 5], 255 * np.array(colour), atol=1.5)
