"""What travels along the wires."""

import numpy as np
import pytest
import torch
from comfyui.values import connected, read_person, request_of, to_images, to_pixels

from ingredients.core.errors import ArgumentError, PromptError, UserInputError
from ingredients.pipelines.places import PlacePath

OWN = {
    "negative_prompt": "", "seed": 1, "num_frames": 0, "width": 0, "height": 0, "num_inference_steps": 0,
    "guidance_scale": 0.0, "face_scale": 1.0, "takes": 1,
}  # fmt: skip


def test_pixels_survive_the_way_to_comfyui_and_back() -> None:
    pixels = np.arange(2 * 4 * 5 * 3, dtype=np.uint8).reshape(2, 4, 5, 3) * 2
    images = to_images(pixels)
    assert images.shape == (2, 4, 5, 3)
    assert images.dtype == torch.float32
    assert float(images.max()) == pytest.approx(238 / 255)
    np.testing.assert_array_equal(to_pixels(images), pixels)
    np.testing.assert_array_equal(to_pixels(to_images(pixels[1])), pixels[1:])


def test_what_is_no_colour_is_left_out_and_what_is_out_of_range_is_cut() -> None:
    images = torch.tensor([[[[-0.5, 0.5, 1.5, 0.25]]]])  # the fourth is alpha
    np.testing.assert_array_equal(to_pixels(images), [[[[0, 128, 255]]]])


def test_growing_inputs_keep_their_order_and_skip_what_is_not_connected() -> None:
    assert connected({"person_10": "c", "person_2": "b", "person_0": "a", "person_3": None}) == ["a", "b", "c"]


def test_a_person_has_all_photos_of_all_batches() -> None:
    person = read_person(" ana ", [torch.rand(2, 5, 6, 3), torch.rand(1, 7, 8, 3)], "left")
    assert person.photos.name == "ana"
    assert [image.shape for image in person.photos.images] == [(5, 6, 3), (5, 6, 3), (7, 8, 3)]
    assert list(person.photos.faces) == ["left"] * 3


@pytest.mark.parametrize(("name", "face", "kind"), [("", "", ArgumentError), ("ana", "third", UserInputError)])
def test_a_person_without_a_name_or_with_a_face_that_cannot_be_is_refused(
    name: str, face: str, kind: type[UserInputError]
) -> None:
    with pytest.raises(kind):
        read_person(name, [torch.rand(1, 5, 6, 3)], face)


def test_places_in_a_row_are_key_frames() -> None:
    person = read_person("ana", [torch.rand(1, 5, 6, 3)], "")
    moved = person.placed("left", box=(0, 0, 1, 1), frame=0, strength=4.0).placed(
        "box", box=(0.5, 0.1, 0.9, 0.8), frame=8, strength=6.0
    )
    request = request_of([moved], "A person waves.", **OWN)
    path = request.places["ana"]
    assert isinstance(path, PlacePath)
    assert path.strength == 6
    assert path.to_json() == {"0": "left", "8": [0.5, 0.1, 0.9, 0.8], "strength": 6.0}
    with pytest.raises(ArgumentError):
        person.placed("box", box=(0.6, 0, 0.5, 1), frame=0, strength=4.0)


def test_the_widgets_zero_is_the_models_own_number() -> None:
    ana = read_person("ana", [torch.rand(1, 5, 6, 3)], "")
    request = request_of([ana], "A person waves.", **OWN)
    assert (request.num_frames, request.width, request.height) == (None, None, None)
    assert dict(request.sampling) == {"num_inference_steps": None, "guidance_scale": None}
    asked = request_of([ana], "A person waves.", **OWN | {"width": 64, "height": 32, "num_frames": 9})
    assert (asked.num_frames, asked.width, asked.height) == (9, 64, 32)


def test_mistakes_are_told_before_anything_is_loaded() -> None:
    ana = read_person("ana", [torch.rand(1, 5, 6, 3)], "")
    with pytest.raises(ArgumentError, match="Two people are called ana"):
        request_of([ana, ana], "Two people wave.", **OWN)
    with pytest.raises(PromptError, match="carl"):
        request_of([ana], "@carl waves.", **OWN)
