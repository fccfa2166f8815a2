import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ingredients.core.errors import PhotoError
from ingredients.media.photos import load_photo

HEIGHT, WIDTH = 6, 10


@pytest.fixture
def pixels() -> np.ndarray:
    """A picture (6, 10, 3): red at the left, blue at the right, green in the lowest row."""
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    pixels[:, :5] = (250, 10, 10)
    pixels[:, 5:] = (10, 10, 250)
    pixels[-1] = (10, 250, 10)
    return pixels


def test_a_png_comes_back_as_it_is(tmp_path: Path, pixels: np.ndarray) -> None:
    Image.fromarray(pixels).save(tmp_path / "a.png")
    photo = load_photo(tmp_path / "a.png")
    assert photo.dtype == np.uint8
    assert photo.flags.writeable
    np.testing.assert_array_equal(photo, pixels)


def test_a_palette_comes_back_as_colours(tmp_path: Path, pixels: np.ndarray) -> None:
    Image.fromarray(pixels).quantize(8).save(tmp_path / "a.gif")
    np.testing.assert_allclose(load_photo(tmp_path / "a.gif").astype(int), pixels, atol=8)


def test_cmyk_comes_back_as_colours(tmp_path: Path, pixels: np.ndarray) -> None:
    Image.fromarray(pixels).convert("CMYK").save(tmp_path / "a.tif")
    np.testing.assert_allclose(load_photo(tmp_path / "a.tif").astype(int), pixels, atol=2)


def test_sixteen_bits_of_grey_are_scaled_and_not_clipped(tmp_path: Path) -> None:
    grey = np.linspace(0, 65535, HEIGHT * WIDTH).reshape(HEIGHT, WIDTH).astype(np.uint16)
    Image.fromarray(grey).save(tmp_path / "a.png")
    photo = load_photo(tmp_path / "a.png")
    np.testing.assert_allclose(photo[..., 1], grey / 257, atol=0.51)
    assert photo.shape == (HEIGHT, WIDTH, 3)


def test_sixteen_bits_of_colour_are_scaled(tmp_path: Path) -> None:
    rows = b"".join(b"\0" + struct.pack(">9H", *([0, 32896, 65535] * 3)) for _ in range(2))
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", 3, 2, 16, 2, 0, 0, 0)), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    body = b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    np.testing.assert_array_equal(load_photo(tmp_path / "a.png"), np.full((2, 3, 3), (0, 128, 255), np.uint8))


def test_transparency_is_laid_over_white(tmp_path: Path, pixels: np.ndarray) -> None:
    alpha = np.full((HEIGHT, WIDTH, 1), 255, np.uint8)
    alpha[0] = 0
    Image.fromarray(np.concatenate([pixels, alpha], -1)).save(tmp_path / "a.png")
    photo = load_photo(tmp_path / "a.png")
    assert (photo[0] == 255).all()
    np.testing.assert_array_equal(photo[1:], pixels[1:])


def test_a_transparent_palette_colour_is_laid_over_white(tmp_path: Path, pixels: np.ndarray) -> None:
    image = Image.fromarray(pixels).quantize(4)
    image.save(tmp_path / "a.png", transparency=image.getpixel((0, 0)))
    photo = load_photo(tmp_path / "a.png")
    assert (photo[0, 0] == 255).all()
    assert (photo[0, -1] != 255).all()


@pytest.mark.parametrize(
    ("orientation", "stored"),
    [
        (3, lambda upright: upright[::-1, ::-1]),
        (6, lambda upright: np.rot90(upright)),
        (8, lambda upright: np.rot90(upright, -1)),
    ],
)
def test_the_cameras_orientation_is_applied(
    tmp_path: Path, pixels: np.ndarray, orientation: int, stored: Callable[[np.ndarray], np.ndarray]
) -> None:
    image = Image.fromarray(np.ascontiguousarray(stored(pixels)))
    exif = image.getexif()
    exif[0x0112] = orientation
    image.save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(load_photo(tmp_path / "a.png"), pixels)


def test_a_missing_photo_is_named(tmp_path: Path) -> None:
    with pytest.raises(PhotoError, match=r"ana\.png does not exist"):
        load_photo(tmp_path / "ana.png")


def test_a_pipe_is_no_photo(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(PhotoError, match="is a pipe or a device"):
        load_photo(tmp_path / "pipe.png")


def test_a_folder_is_no_photo(tmp_path: Path) -> None:
    with pytest.raises(PhotoError, match="is a folder"):
        load_photo(tmp_path)


def test_an_empty_photo_is_named(tmp_path: Path) -> None:
    (tmp_path / "ana.png").touch()
    with pytest.raises(PhotoError, match=r"ana\.png is an empty file"):
        load_photo(tmp_path / "ana.png")


@pytest.mark.parametrize("content", [b"Dear Ana,\n", b"%!PS-Adobe-3.0 EPSF-3.0\n", b"\0" * 99])
def test_what_is_not_an_image_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "ana.png").write_bytes(content)
    with pytest.raises(PhotoError, match=r"ana\.png is not an image that can be read"):
        load_photo(tmp_path / "ana.png")


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "gif", "tif", "bmp"])
def test_a_photo_cut_off_anywhere_is_one_error(tmp_path: Path, suffix: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    whole = tmp_path / f"whole.{suffix}"
    Image.fromarray(noise).save(whole)
    content = whole.read_bytes()
    cut = tmp_path / f"ana.{suffix}"
    for share in (0.02, 0.1, 0.5, 0.9):
        cut.write_bytes(content[: int(len(content) * share)])
        with pytest.raises(PhotoError, match=r"ana\."):
            load_photo(cut)


@pytest.mark.parametrize(("width", "height"), [(10_000, 10_000), (60_000, 60_000)])
def test_a_bomb_is_refused_before_it_is_decoded(tmp_path: Path, width: int, height: int) -> None:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", len(header)) + b"IHDR" + header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 10) + b"IDAT" + b"\0" * 14)
    with pytest.raises(PhotoError, match=r"bomb\.png has .* million .* more than the 64 million that are read"):
        load_photo(tmp_path / "bomb.png")


def test_floating_point_pixels_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((HEIGHT, WIDTH), np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(PhotoError, match="floating-point"):
        load_photo(tmp_path / "a.tif")
