import numpy as np
import pytest
import torch
from diffusers import AutoencoderKLCogVideoX

from ingredients.data import latents
from ingredients.data.latents import encode_canvases, encode_images
from ingredients.faces.canvas import canvas_slots, compose_canvas

RATIO = 4


def crops(num_people: int, *, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (num_people, 20, 20, 3), dtype=np.uint8)


def encode(vae: AutoencoderKLCogVideoX, samples: list[np.ndarray], placement: str) -> torch.Tensor:
    return encode_canvases(vae, samples, height=64, width=96, placement=placement)  # type: ignore[arg-type]


def test_before_the_vae_the_composed_canvas_is_encoded(tiny_vae: AutoencoderKLCogVideoX) -> None:
    samples = [crops(2), crops(3)]
    canvases = np.stack([compose_canvas(each, 64, 96) for each in samples])
    latents = encode(tiny_vae, samples, "before")
    assert latents.shape == (2, 1, 3, 16, 24)
    torch.testing.assert_close(latents, encode_images(tiny_vae, canvases))


def test_large_canvases_are_encoded_one_after_the_other(
    tiny_vae: AutoencoderKLCogVideoX, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = [crops(2), crops(3), crops(1)]
    together = encode(tiny_vae, samples, "before")
    sizes: list[int] = []
    hook = tiny_vae.encoder.register_forward_pre_hook(lambda module, inputs: sizes.append(len(inputs[0])))
    monkeypatch.setattr(latents, "_PIXELS_AT_ONCE", 64 * 96 - 1)
    one_by_one = encode(tiny_vae, samples, "before")
    hook.remove()
    assert sizes == [1, 1, 1]
    torch.testing.assert_close(one_by_one, together, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("num_people", [1, 2, 3, 5])
def test_after_the_vae_each_face_is_encoded_by_itself_and_the_rest_is_zero(
    tiny_vae: AutoencoderKLCogVideoX, num_people: int
) -> None:
    people = crops(num_people)
    latents = encode(tiny_vae, [people], "after")[0, 0]
    canvas = compose_canvas(people, 64, 96)
    covered = torch.zeros(16, 24, dtype=torch.bool)
    for slot in canvas_slots(num_people, 64, 96):
        side = slot.size // RATIO
        top, left = slot.top // RATIO, slot.left // RATIO
        face = canvas[slot.top : slot.top + side * RATIO, slot.left : slot.left + side * RATIO]
        alone = encode_images(tiny_vae, face[None])[0, 0]
        torch.testing.assert_close(latents[:, top : top + side, left : left + side], alone, atol=1e-5, rtol=1e-5)
        covered[top : top + side, left : left + side] = True
    assert not latents[:, ~covered].any()


def test_a_face_reaches_its_neighbour_before_the_vae_alone(tiny_vae: AutoencoderKLCogVideoX) -> None:
    people = crops(2)
    other = np.stack([people[0], crops(1, seed=1)[0]])
    for placement, differs in (("before", True), ("after", False)):
        first, second = (encode(tiny_vae, [each], placement)[0, 0, :, :, :12] for each in (people, other))
        assert bool((first - second).abs().max() > 1e-6) == differs
