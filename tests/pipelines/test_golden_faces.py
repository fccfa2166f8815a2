"""What the published code makes of two 512-pixel face crops: the canvas, the image encoder's input, the identity."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from ingredients.core.arrays import Float32Array, UInt8Array
from ingredients.core.protocols import ImageFeatures
from ingredients.faces.canvas import compose_canvas
from ingredients.faces.facial_extractor import FacialExtractor
from ingredients.faces.identity_photos import IdentityPhotos
from ingredients.faces.image_encoder import preprocess
from tests.golden import fill
from tests.pipelines.stand_ins import CentreFaceDetector, make_photo

GOLDEN = Path(__file__).parents[1] / "golden" / "g_composite.safetensors"
CROP_SIZE = 512
CANVAS_STRIDES = (13, 11)  # the file holds every 13th row and 11th column
INPUT_STRIDES = (17, 19)
RECOGNITION_DIM, SEMANTIC_DIM = 512, 768


@pytest.fixture(scope="module")
def golden() -> dict[str, torch.Tensor]:
    return load_file(GOLDEN)


@pytest.fixture(scope="module")
def crops() -> list[UInt8Array]:
    return [make_crop(index) for index in (0, 1)]


def make_crop(index: int) -> UInt8Array:
    """The crop that the golden file was made from, RGB: slopes with noise, and a jump."""
    rows, columns = np.mgrid[:CROP_SIZE, :CROP_SIZE]
    slopes = np.stack([(columns + rows + 97 * index) % CROP_SIZE, rows, columns], axis=-1)
    noise = fill.uniform(100_080 + index, CROP_SIZE * CROP_SIZE * 3).reshape(CROP_SIZE, CROP_SIZE, 3)[..., ::-1]
    return (np.floor(slopes * 190 / 511) + np.floor(noise * 32 + 32)).astype(np.uint8)


@pytest.mark.parametrize("num_people", [1, 2])
def test_the_canvas_is_the_published_one(
    num_people: int, golden: dict[str, torch.Tensor], crops: list[UInt8Array]
) -> None:
    canvas = compose_canvas(crops[:num_people], 480, 720)
    rows, columns = CANVAS_STRIDES
    np.testing.assert_array_equal(canvas[::rows, ::columns], golden[f"canvas_{num_people}"].numpy())


def test_the_image_encoder_reads_what_the_published_one_reads(
    golden: dict[str, torch.Tensor], crops: list[UInt8Array]
) -> None:
    pixel_values = preprocess(crops[0][None], crop_size=336)
    rows, columns = INPUT_STRIDES
    torch.testing.assert_close(pixel_values[:, :, ::rows, ::columns], golden["image_encoder_input"], atol=1e-5, rtol=0)


def test_the_identity_is_a_raw_recognition_beside_a_normalised_image_embedding(
    golden: dict[str, torch.Tensor],
) -> None:
    class ConstantRecogniser:
        crop_size, embedding_dim = 112, RECOGNITION_DIM

        def align(self, image: UInt8Array, landmarks: Float32Array) -> UInt8Array:
            return image

        def embed(self, crops: UInt8Array) -> torch.Tensor:
            return torch.full((len(crops), RECOGNITION_DIM), 3.0)

    class RampEncoder:
        crop_size, embedding_dim = 336, SEMANTIC_DIM

        def encode(self, crops: UInt8Array) -> ImageFeatures:
            ramp = torch.arange(1.0, SEMANTIC_DIM + 1).expand(len(crops), -1)
            return ImageFeatures(embeds=ramp, hidden_states=tuple(torch.zeros(len(crops), 577, 4) for _ in range(5)))

    extractor = FacialExtractor(CentreFaceDetector(), ConstantRecogniser(), RampEncoder())
    identities = extractor.extract([IdentityPhotos(name="ana", images=[make_photo(1)])])
    torch.testing.assert_close(identities.id_embeds, golden["id_embeds"], atol=1e-6, rtol=1e-5)
