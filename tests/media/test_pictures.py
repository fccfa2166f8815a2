from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ingredients.core.errors import OutputError
from ingredients.media.pictures import write_picture


def test_a_picture_is_written_whole(tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    write_picture(tmp_path / "a.png", picture)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "a.png")), picture)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize("name", ["a", "a.pdf", "new/a.png"])
def test_where_no_picture_can_go_is_said(tmp_path: Path, name: str) -> None:
    with pytest.raises(OutputError, match=name):
        write_picture(tmp_path / name, np.zeros((5, 7, 3), np.uint8))


def test_a_full_disk_is_named(tmp_path: Path, fill_disk: Callable[[Path], None]) -> None:
    fill_disk(tmp_path / "a.png")
    with pytest.raises(OutputError, match="is full"):
        write_picture(tmp_path / "a.png", np.zeros((5, 7, 3), np.uint8))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("name", "side"), [("a.jpg", 65_501), ("a.webp", 16_384)])
def test_a_picture_that_the_format_cannot_hold_is_said(tmp_path: Path, name: str, side: int) -> None:
    picture = np.zeros((2, side, 3), np.uint8)
    with pytest.raises(OutputError, match=r"holds at most .* pixels a side; choose a name that ends in \.png"):
        write_picture(tmp_path / name, picture)
    write_picture(tmp_path / name, picture[:, 1:])
    write_picture(tmp_path / "a.png", picture)
