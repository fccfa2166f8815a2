import numpy as np
import pytest
import torch

from ingredients.faces.image_encoder import (
    BEGIN_ID,
    END_ID,
    PAD_ID,
    UNKNOWN_ID,
    WordTokenizer,
    evenly_spaced_layers,
    preprocess,
)
from ingredients.faces.network_settings import ImageEncoderConfig

from .tiny_faces import noise_photo, tiny_encoder


def test_five_hidden_states_with_the_class_token() -> None:
    encoder = tiny_encoder()
    features = encoder.encode(np.stack([noise_photo(seed, 24, 24) for seed in range(2)]))
    assert features.embeds.shape == (2, 7)
    assert [tuple(state.shape) for state in features.hidden_states] == [(2, 10, 12)] * 5
    assert encoder.config.num_patches == 10
    assert encoder.hidden_state_layers == (1, 2, 3, 4, 5)


@pytest.mark.parametrize(("depth", "layers"), [(5, (1, 2, 3, 4, 5)), (8, (1, 3, 4, 5, 7)), (24, (4, 8, 12, 16, 20))])
def test_layers_are_evenly_spaced(depth: int, layers: tuple[int, ...]) -> None:
    assert evenly_spaced_layers(depth) == layers


def test_frames_of_any_shape_are_squeezed() -> None:
    relevance = tiny_encoder().text_relevance(noise_photo(0, 40, 66)[None], ["two people", "a beach", "wave"])
    assert relevance.shape == (1, 3)
    assert (relevance.abs() <= 1.0 + 1e-6).all()


def test_preprocessing_uses_the_statistics_of_clip() -> None:
    pixel_values = preprocess(np.full((1, 24, 24, 3), 255, np.uint8), crop_size=24)
    assert pixel_values.shape == (1, 3, 24, 24)
    torch.testing.assert_close(pixel_values[0, :, 3, 5], (1 - torch.tensor([0.48145466, 0.4578275, 0.40821073]))
                               / torch.tensor([0.26862954, 0.26130258, 0.27577711]))  # fmt: skip
    larger = preprocess(np.full((1, 50, 77, 3), 255, np.uint8), crop_size=24)
    torch.testing.assert_close(larger, pixel_values, rtol=1e-4, atol=1e-4)


def test_words_become_numbers() -> None:
    tokenizer = WordTokenizer(["beach", "two", "wave"], max_length=6)
    token_ids, attention_mask = tokenizer(["Two wave, on!", "two two two two two two"])
    assert token_ids.tolist() == [[BEGIN_ID, 5, 6, UNKNOWN_ID, END_ID, PAD_ID], [BEGIN_ID, 5, 5, 5, 5, END_ID]]
    assert attention_mask.tolist() == [[1, 1, 1, 1, 1, 0], [1] * 6]
    assert len(tokenizer) == 7
    with pytest.raises(ValueError, match="twice"):
        WordTokenizer(["two", "two"], max_length=6)


def test_padding_says_nothing() -> None:
    encoder = tiny_encoder()
    alone = encoder.encode_text(["two wave"])
    beside = encoder.encode_text(["two wave", "two people wave on a beach"])[:1]
    torch.testing.assert_close(alone, beside)
    assert not torch.allclose(alone, encoder.encode_text(["wave two"]))


@pytest.mark.parametrize("settings", [{"crop_size": 60}, {"hidden_size": 130}, {"num_layers": 4}])
def test_impossible_sizes_are_refused(settings: dict) -> None:
    with pytest.raises(ValueError, match=r"multiple|at least"):
        ImageEncoderConfig(**settings)
