from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ingredients.core.errors import PhotoError
from ingredients.media.photos import load_photo
from ingredients.pipelines.people import identity_photos


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A photo (12, 9) with a half-transparent patch, lying on its side."""
    pixels = np.random.default_rng(0).integers(0, 256, (9, 12, 4), np.uint8)
    pixels[..., 3] = 255
    pixels[2:5, 3:7, 3] = 100
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(tmp_path / "ana.png", exif=exif)
    return tmp_path / "ana.png"


def test_one_photo_in_any_form_is_the_same(photo: Path) -> None:
    expected = load_photo(photo)
    assert expected.shape == (12, 9, 3)
    tensor = torch.from_numpy(expected)
    forms = [
        photo,
        str(photo),
        photo.read_bytes(),
        Image.open(photo),
        expected,
        expected.astype(np.float32) / 255,
        tensor,
        tensor.movedim(-1, 0),
        tensor.movedim(-1, 0) / 255,
        (tensor.movedim(-1, 0) / 255).double().requires_grad_(),
    ]
    for form in forms:
        for given in (form, [form]):
            (person,) = identity_photos({"ana": given})
            np.testing.assert_array_equal(person.images[0], expected)


def test_half_precision_is_near(photo: Path) -> None:
    tensor = torch.from_numpy(load_photo(photo)).movedim(-1, 0)
    (person,) = identity_photos({"ana": (tensor / 255).bfloat16()})
    np.testing.assert_allclose(person.images[0].astype(int), load_photo(photo), atol=1)


def test_what_is_no_photo_says_whose_it_is() -> None:
    with pytest.raises(PhotoError, match=r"The photo 2 of ana is an array of uint8 with shape \(9, 12, 2\)"):
        identity_photos({"ana": [np.zeros((9, 12, 3), np.uint8), np.zeros((9, 12, 2), np.uint8)]})
    with pytest.raises(PhotoError, match="The photo 1 of ana is of type int; give a file"):
        identity_photos({"ana": [7]})  # type: ignore[list-item]
