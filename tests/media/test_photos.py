import io
import itertools
import logging
import os
import struct
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from ingredients.core.errors import PhotoError
from ingredients.core.warnings_told import PhotoWarning
from ingredients.media.photos import load_photo, read_photo

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


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="no file whose first byte cannot be read")
def test_a_file_that_the_disk_does_not_give_back_is_said_to_be_one() -> None:
    with pytest.raises(PhotoError, match=r"photo /proc/self/mem cannot be read \(Input/output error\); copy it again"):
        load_photo(Path("/proc/self/mem"))


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


def icc_profile(space: str, *, gamma: float = 563 / 256) -> bytes:
    """Adobe's RGB (space `RGB `), or grey of the same curve (`GRAY`), as an ICC profile of version 2."""

    def xyz(x: float, y: float, z: float) -> bytes:
        return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(value * 65536) for value in (x, y, z)))

    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"
    text = b"desc\0\0\0\0" + struct.pack(">I", 5) + b"test\0" + bytes(11 + 67 + 1)
    tags = {b"desc": text, b"cprt": b"text\0\0\0\0none\0\0\0\0", b"wtpt": xyz(0.9642, 1.0, 0.8249)}
    if space == "RGB ":  # the primaries, adapted to D50
        tags |= {b"rXYZ": xyz(0.60974, 0.31111, 0.01947), b"gXYZ": xyz(0.20528, 0.62567, 0.06087)}
        tags |= {b"bXYZ": xyz(0.14919, 0.06322, 0.74457), b"rTRC": curve, b"gTRC": curve, b"bTRC": curve}
    else:
        tags[b"kTRC"] = curve
    return packed_profile("mntr", space, "XYZ ", tags)


def packed_profile(kind: str, space: str, connection: str, tags: dict[bytes, bytes]) -> bytes:
    """An ICC profile of version 2: header, table of tags, tags."""
    table, body, offset = b"", b"", 128 + 4 + 12 * len(tags)
    for name, data in tags.items():
        data += bytes(-len(data) % 4)
        table += name + struct.pack(">II", offset + len(body), len(data))
        body += data
    names = (each.encode() for each in (kind, space, connection))
    header = struct.pack(">I4sI4s4s4s", offset + len(body), b"none", 0x02100000, *names) + bytes(12)
    header += b"acsp" + bytes(28) + struct.pack(">3i", 63190, 65536, 54061) + bytes(48)
    return header + struct.pack(">I", len(tags)) + table + body


SRGB_PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def adobe_to_srgb(pixels: np.ndarray) -> np.ndarray:
    """The textbook's way: decode the curve, go from one set of primaries to the other, encode sRGB's curve."""
    linear = (pixels / 255.0) ** (563 / 256)
    adobe = np.array([[0.57667, 0.18556, 0.18823], [0.29734, 0.62736, 0.07529], [0.02703, 0.07069, 0.99134]])
    srgb = np.array([[0.41239, 0.35758, 0.18048], [0.21264, 0.71517, 0.07219], [0.01933, 0.11919, 0.95053]])
    linear = np.clip(linear @ adobe.T @ np.linalg.inv(srgb).T, 0, 1)
    curved = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return curved * 255


def test_the_colours_of_a_profile_become_srgbs(tmp_path: Path) -> None:
    pixels = np.array([[[120, 60, 90], [200, 160, 140]], [[90, 100, 110], [250, 250, 250]]], np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png", icc_profile=icc_profile("RGB "))
    photo = load_photo(tmp_path / "a.png").astype(int)
    np.testing.assert_allclose(photo, adobe_to_srgb(pixels), atol=1.5)
    assert np.abs(photo - pixels).max() > 6  # as far off as the colours were


def test_transparency_and_a_profile_go_together(tmp_path: Path) -> None:
    pixels = np.full((2, 3, 4), (120, 60, 90, 255), np.uint8)
    pixels[0, 0, 3] = 0
    Image.fromarray(pixels).save(tmp_path / "a.png", icc_profile=icc_profile("RGB "))
    photo = load_photo(tmp_path / "a.png")
    np.testing.assert_array_equal(photo[0, 0], 255)
    np.testing.assert_allclose(photo[1, 1], adobe_to_srgb(pixels[1, 1, :3]), atol=1.5)


def test_a_profile_of_grey_is_applied(tmp_path: Path) -> None:
    grey = np.array([[0, 64, 128], [192, 230, 255]], np.uint8)
    Image.fromarray(grey).save(tmp_path / "a.png", icc_profile=icc_profile("GRAY", gamma=1.0))
    linear = grey / 255.0
    curved = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055) * 255
    np.testing.assert_allclose(load_photo(tmp_path / "a.png"), np.repeat(curved[..., None], 3, -1), atol=1.5)


def ink_profile() -> bytes:
    """A press whose inks have the colours (Lab) of `INKS`, and are black where two of them or black lie."""
    grid = [INKS.get(inks, (0, 128, 128)) for inks in itertools.product((0, 1), repeat=4)]
    table = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + struct.pack(">9i", *np.eye(3, dtype=int).ravel() * 65536)
    table += bytes(range(256)) * 4 + bytes(itertools.chain.from_iterable(grid)) + bytes(range(256)) * 3
    text = b"desc\0\0\0\0" + struct.pack(">I", 5) + b"test\0" + bytes(11 + 67 + 1)
    tags = {b"desc": text, b"cprt": b"text\0\0\0\0none\0\0\0\0", b"A2B0": table}
    white = b"XYZ \0\0\0\0" + struct.pack(">3i", 63190, 65536, 54061)
    return packed_profile("prtr", "CMYK", "Lab ", tags | {b"wtpt": white})


INKS = {(0, 0, 0, 0): (255, 128, 128), (1, 0, 0, 0): (153, 108, 108)}
"""Lightness from 0 to 255, then a and b around 128: white paper, and a dull blue of Lab (60, -20, -20)."""


def test_the_colours_of_a_press_go_by_its_profile(tmp_path: Path) -> None:
    pixels = np.zeros((2, 3, 4), np.uint8)
    pixels[0, 0, 0] = 255
    pixels[1, 2] = (0, 255, 255, 0)
    Image.fromarray(pixels, "CMYK").save(tmp_path / "a.tif", icc_profile=ink_profile())
    photo = load_photo(tmp_path / "a.tif").astype(int)
    np.testing.assert_allclose(photo[0, 1], 255, atol=1)
    np.testing.assert_allclose(photo[1, 2], 0, atol=1)
    np.testing.assert_allclose(photo[0, 0], (77, 156, 179), atol=2)  # of Lab (60, -20, -20), by CIE's formulas


def test_srgbs_own_profile_changes_nothing(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.png", icc_profile=SRGB_PROFILE)
    np.testing.assert_array_equal(load_photo(tmp_path / "a.png"), noise)


@pytest.mark.parametrize(
    ("mode", "profile"),
    [
        ("RGB", b"no profile"),
        ("RGB", icc_profile("RGB ")[:200]),
        ("RGB", icc_profile("GRAY")),
        ("L", icc_profile("RGB ")),
        ("CMYK", icc_profile("RGB ")),
    ],
)
def test_a_profile_that_cannot_be_used_is_left_out_with_a_note(
    tmp_path: Path, pixels: np.ndarray, mode: str, profile: bytes
) -> None:
    image = Image.fromarray(pixels).convert(mode)
    image.save(tmp_path / "a.tif", icc_profile=profile)
    with pytest.warns(PhotoWarning, match=r"The colour profile of the photo .*a\.tif cannot be used"):
        photo = load_photo(tmp_path / "a.tif")
    np.testing.assert_array_equal(photo, np.asarray(image.convert("RGB")))


def odd_exif(*, odd: str) -> bytes:
    """EXIF that says the photo lies on its side (6), and something else that no camera should write."""

    def entries(*tags: tuple[int, int, int, bytes]) -> bytes:
        packed = [struct.pack("<HHI", *tag[:3]) + tag[3] for tag in sorted(tags)]
        return struct.pack("<H", len(tags)) + b"".join(packed) + bytes(4)

    turn = (0x0112, 3, 1, struct.pack("<HH", 6, 0))
    head = b"II*\0" + struct.pack("<I", 8)
    if odd == "position":  # a latitude that is a text
        pointer = (0x8825, 4, 1, struct.pack("<I", 8 + 2 + 24 + 4))
        return head + entries(turn, pointer) + entries((2, 2, 4, b"12\0\0"))
    tag = {"resolution": (0x011A, 2, 4, b"72\0\0"), "width": (0x0100, 2, 4, b"12a\0")}[odd]
    return head + entries(turn, tag)


@pytest.mark.parametrize("odd", ["position", "resolution", "width"])
def test_odd_tags_beside_the_orientation_do_not_matter(tmp_path: Path, pixels: np.ndarray, odd: str) -> None:
    Image.fromarray(np.ascontiguousarray(np.rot90(pixels))).save(
        tmp_path / "a.jpg", exif=b"Exif\0\0" + odd_exif(odd=odd), quality=100, subsampling=0
    )
    np.testing.assert_allclose(load_photo(tmp_path / "a.jpg").astype(int), pixels, atol=60)
    assert load_photo(tmp_path / "a.jpg").shape == (HEIGHT, WIDTH, 3)


@pytest.mark.parametrize("exif", [b"Exif\0\0II*\0", b"Exif\0\0nonsense", b"Exif\0\0II*\0" + b"\xff" * 40])
def test_exif_that_cannot_be_read_leaves_a_photo_as_it_lies(tmp_path: Path, pixels: np.ndarray, exif: bytes) -> None:
    Image.fromarray(pixels).save(tmp_path / "a.jpg", exif=exif, quality=95)
    assert load_photo(tmp_path / "a.jpg").shape == (HEIGHT, WIDTH, 3)


def files_of_all_kinds(folder: Path, pixels: np.ndarray) -> list[Path]:
    """One photo for everything that reading has to do something about."""
    alpha = np.full((HEIGHT, WIDTH), 255, np.uint8)
    alpha[1:3, 2:4] = 40
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.fromarray(pixels)
    grey16 = np.linspace(0, 65535, HEIGHT * WIDTH).reshape(HEIGHT, WIDTH).astype(np.uint16)
    image.save(folder / "turned.jpg", exif=exif)
    image.save(folder / "turned.tif", exif=exif)
    Image.fromarray(np.dstack([pixels, alpha])).save(folder / "cut-out.png", exif=exif)
    Image.fromarray(np.dstack([pixels[..., 0], alpha]), "LA").save(folder / "grey-cut-out.png")
    Image.fromarray(grey16).save(folder / "grey16.png")
    image.quantize(4).save(folder / "palette.png", transparency=0)
    image.convert("CMYK").save(folder / "cmyk.tif")
    image.convert("1").save(folder / "one-bit.png")
    image.save(folder / "profile.webp", icc_profile=icc_profile("RGB "), lossless=True)
    return sorted(folder.iterdir())


def test_images_in_memory_are_read_as_their_files_are(tmp_path: Path, pixels: np.ndarray) -> None:
    files = files_of_all_kinds(tmp_path, pixels)
    assert len(files) == 9
    for path in files:
        expected = load_photo(path)
        with Image.open(path) as image:
            np.testing.assert_array_equal(read_photo(image, path.name), expected)
            np.testing.assert_array_equal(read_photo(image, path.name), expected)  # nothing was changed in it
        np.testing.assert_array_equal(read_photo(path.read_bytes(), path.name), expected)


def test_arrays_are_read_as_the_files_that_they_would_make(tmp_path: Path, pixels: np.ndarray) -> None:
    alpha = np.full((HEIGHT, WIDTH, 1), 255, np.uint8)
    alpha[1:3, 2:4] = 40
    grey16 = np.linspace(0, 65535, HEIGHT * WIDTH).reshape(HEIGHT, WIDTH).astype(np.uint16)
    for array in (pixels, pixels[..., 0], np.dstack([pixels, alpha]), grey16):
        Image.fromarray(array).save(tmp_path / "a.png")
        np.testing.assert_array_equal(read_photo(array, "photo"), load_photo(tmp_path / "a.png"))
    np.testing.assert_array_equal(read_photo(pixels[..., :1], "photo"), read_photo(pixels[..., 0], "photo"))
    np.testing.assert_array_equal(read_photo(pixels.astype(np.uint16) * 257, "photo"), pixels)
    np.testing.assert_array_equal(read_photo(pixels.astype(np.float32) / 255, "photo"), pixels)
    np.testing.assert_array_equal(read_photo(pixels > 100, "photo"), (pixels > 100) * np.uint8(255))


@pytest.mark.parametrize(
    ("photo", "message"),
    [
        (b"", "The photo 1 of ana is an empty file"),
        (b"Dear Ana", "The photo 1 of ana is not an image"),
        (np.zeros((3, 8, 9), np.uint8), r"is an array of uint8 with shape \(3, 8, 9\)"),
        (np.zeros((0, 8, 3), np.uint8), "is an array of uint8"),
        (np.zeros((8, 9, 3), np.int64), "is an array of int64"),
        (np.full((8, 9, 3), 1.5), "do not lie between 0 and 1"),
        (np.full((8, 9, 3), np.nan), "do not lie between 0 and 1"),
        (Image.new("F", (9, 8)), "holds floating-point pixels"),
    ],
)
def test_what_is_no_photo_in_memory_is_named(photo: bytes | np.ndarray | Image.Image, message: str) -> None:
    with pytest.raises(PhotoError, match=message):
        read_photo(photo, "photo 1 of ana")


def test_an_image_whose_file_is_damaged_is_named_when_it_is_read(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.png")
    cut = io.BytesIO((tmp_path / "a.png").read_bytes()[:3000])
    with pytest.raises(PhotoError, match="The photo 1 of ana is cut off or damaged"):
        read_photo(Image.open(cut), "photo 1 of ana")


def test_pillows_words_stay_away(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert any(isinstance(each, logging.NullHandler) for each in logging.getLogger("PIL").handlers)
    noise = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "whole.tif", compression="tiff_lzw")
    content = bytearray((tmp_path / "whole.tif").read_bytes())
    rng = np.random.default_rng(1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(60):
            damaged = content.copy()
            for place in rng.integers(0, len(content), 8):
                damaged[place] = rng.integers(256)
            for place in rng.integers(len(content) - 250, len(content), 4):  # the directory
                damaged[place] = rng.integers(256)
            try:
                read_photo(bytes(damaged), "photo")
            except PhotoError:
                continue
    assert capfd.readouterr() == ("", "")
