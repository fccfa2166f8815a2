"""What of a prompt reaches the text encoder."""

import re

import pytest
import torch
from transformers import T5Tokenizer

from ingredients.pipelines.prompts import cut_text, encode_prompts, note_on_number, only_words, unknown_words
from tests.pipelines.stand_ins import TEXT_DIM, make_text_encoder, make_tokenizer


def test_unknown_words_are_named_once_and_in_order_without_punctuation() -> None:
    tokenizer = make_tokenizer()
    assert unknown_words(tokenizer, "two zebras, wave at a lion. zebras!") == ["zebras", "lion"]
    assert unknown_words(tokenizer, "two people wave - at night!") == []


def test_the_words_of_a_tokenizer_without_pieces_of_words_can_be_told() -> None:
    special = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -20.0), (",", -3.0), ("\u2581", -3.0)]
    words = [("\u2581Wave", -2.0), ("\u2581wave", -2.0), ("\u2581a", -2.0), ("\u2581Ana", -2.0)]
    assert only_words(T5Tokenizer(vocab=special + words, extra_ids=0), ["Ana"]) == ("a", "wave")
    pieces = [*special, *words, ("ing", -2.0)]
    assert only_words(T5Tokenizer(vocab=pieces, extra_ids=0)) == ()


def test_the_cut_end_is_what_the_encoder_does_not_read() -> None:
    tokenizer = make_tokenizer()
    prompt = "two people wave on a beach"
    assert cut_text(tokenizer, prompt, 7) == ""  # six words and the end of the sentence
    assert cut_text(tokenizer, prompt, 5) == "a beach"


def test_prompts_are_padded_cut_and_independent_of_each_other() -> None:
    tokenizer, text_encoder = make_tokenizer(), make_text_encoder()
    prompts = ["two people wave on a beach", "people smile"]
    with torch.no_grad():
        embeds = encode_prompts(tokenizer, text_encoder, prompts, max_sequence_length=5, device=torch.device("cpu"))
        alone = encode_prompts(tokenizer, text_encoder, prompts[1:], max_sequence_length=5, device=torch.device("cpu"))
    assert embeds.shape == (2, 5, TEXT_DIM)
    torch.testing.assert_close(embeds[1:], alone)


@pytest.fixture
def numbers() -> T5Tokenizer:
    """Knows three and four, and no five."""
    special = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -20.0)]
    words = [("\u2581Three", -2.0), ("\u2581Four", -2.0)]
    return T5Tokenizer(vocab=special + words, extra_ids=0)


@pytest.mark.parametrize(
    ("prompt", "num_people"),
    [("People.", 2), ("Three people wave", 3), ("In a park, 4.", 4), ("People wave", 5), ("A man and 2 women", 3)],
)
def test_a_number_that_is_said_or_goes_without_saying(numbers: T5Tokenizer, prompt: str, num_people: int) -> None:
    assert note_on_number(numbers, prompt, num_people) is None


@pytest.mark.parametrize("prompt", ["People wave", "Two people wave", "Threefold people wave"])
def test_a_number_that_is_missing_is_asked_for(numbers: T5Tokenizer, prompt: str) -> None:
    note = note_on_number(numbers, prompt, 3)
    assert note is not None
    assert note.endswith('some of the 3 may be missing; begin it with "Three people".')


def test_more_people_than_photos_are_told(numbers: T5Tokenizer) -> None:
    note = note_on_number(numbers, "Five people wave", 3)
    assert note is not None
    assert re.search(r'5 people, with photos of 3 people.* nobody.* more photos, or .*"Three', note)
    note = note_on_number(numbers, "Two people wave", 1)
    assert note is not None
    assert re.search(r"speaks of 2 people, with photos of 1 person.*; give more photos\.$", note)


def test_names_say_who_is_there(numbers: T5Tokenizer) -> None:
    assert note_on_number(numbers, "Ana, ben and Cleo wave", 3, names=("ana", "Ben", "cleo")) is None
    note = note_on_number(numbers, "Ana and ben wave", 3, names=("ana", "Ben", "cleo"))
    assert note is not None
    assert "does not say how many" in note
