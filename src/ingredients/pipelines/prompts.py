"""From sentences to the embeddings that the transformer reads, and how many people a sentence speaks of.

Legend: B prompts, T text tokens, D width of the text encoder.
"""

from __future__ import annotations

import itertools
import re
import string
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from ingredients.core.errors import PromptError
from ingredients.core.printable import check_letters

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase, T5EncoderModel


NUMBER_WORDS = {2: "two", 3: "three", 4: "four", 5: "five", 6: "six", 7: "seven", 8: "eight", 9: "nine", 10: "ten"}

_NUMBERS = {word: number for number, word in NUMBER_WORDS.items()} | {"one": 1, "both": 2}
_GROUPS = {"couple": 2, "pair": 2, "duo": 2, "twins": 2, "trio": 3, "triplets": 3, "quartet": 4}
_ONE_MORE = frozenset({"a", "an", "another", "one", "single"})

_ALL_KINDS = {
    "person": ("people", "persons"),
    "human": ("humans",),
    "friend": ("friends",),
    "adult": ("adults",),
    "child": ("children",),
    "kid": ("kids",),
}
"""Nouns that may stand for everybody in the video, said once more one by one: two people, a man and a woman."""

_ONE_KIND = {
    "man": ("men",),
    "woman": ("women",),
    "boy": ("boys",),
    "girl": ("girls",),
    "guy": ("guys",),
    "lady": ("ladies",),
    "gentleman": ("gentlemen",),
    "teenager": ("teenagers",),
    "baby": ("babies",),
    "stranger": ("strangers",),
    "brother": ("brothers",),
    "sister": ("sisters",),
}
_SINGULAR = frozenset({*_ALL_KINDS, *_ONE_KIND, "someone", "somebody"})
_PLURAL_OF_ALL = frozenset(plural for plurals in _ALL_KINDS.values() for plural in plurals)
_PLURAL = _PLURAL_OF_ALL | {plural for plurals in _ONE_KIND.values() for plural in plurals}

PEOPLE_NOUNS = _SINGULAR | _PLURAL
"""What people in general are called."""

_WORD_BEGINS = "\u2581"
"""With this a tokenizer's pieces begin where a word does."""

_MOST_ADJECTIVES = 3
"""Words between a number and its noun, as in "two happy young women"."""


def count_people(prompt: str) -> int | None:
    """How many people a prompt says there are; None if it does not say.

    The first sentence that says a number counts: later ones speak of the same people again. A number before a noun for
    everybody (two people, three friends) is the whole; otherwise what is named is added up (a man and two women).
    """
    for sentence in re.split(r"[.!?;:\n]+", prompt.lower()):
        words = re.findall(r"[a-z]+|\d+", sentence)
        counts = [count for index in range(len(words)) if (count := _count_at(words, index)) is not None]
        if counts:
            wholes = [number for number, is_whole in counts if is_whole]
            return wholes[0] if wholes else sum(number for number, _ in counts)
    return None


def says_who(prompt: str, num_people: int, names: Collection[str] = ()) -> bool:
    """Whether a prompt that says no number leaves no doubt of it all the same.

    It names everybody, or gives each person a clause ("the person on the left ..."), or the number stands alone.
    """
    words = re.findall(r"[\w'-]+", prompt.lower())
    if names and all(name.lower() in words for name in names):
        return True
    clauses = sum(first == "the" and second in _SINGULAR for first, second in itertools.pairwise(words))
    return clauses == num_people or bool({str(num_people), NUMBER_WORDS.get(num_people)} & set(words))


def _count_at(words: list[str], index: int) -> tuple[int, bool] | None:
    """A number that begins at a word, and whether it is that of everybody."""
    word, after = words[index], words[index + 1 :]
    if word in ("someone", "somebody"):
        return 1, False
    if word in _GROUPS and (index > 0 or word in ("twins", "triplets")):
        return (_GROUPS[word], True) if _is_group(words, index) else None
    if word in _ONE_MORE:
        noun = _noun(after, _SINGULAR | _PLURAL)
        return (1, False) if noun in _SINGULAR else None
    number = int(word) if word.isdigit() and len(word) < 3 else _NUMBERS.get(word)
    if number is None or number < 1:
        return None
    if index > 1 and words[index - 1] == "of" and words[index - 2] in ("family", "group", "band", "team"):
        return number, True
    noun = _noun(after, _PLURAL if number > 1 else _SINGULAR)
    return None if noun is None else (number, noun in _PLURAL_OF_ALL)


def _is_group(words: list[str], index: int) -> bool:
    """Whether "a couple" is two people, not two of something else."""
    after = words[index + 1 : index + 2]
    return after != ["of"] or _noun(words[index + 2 :], _PLURAL) is not None


def _noun(words: list[str], nouns: Collection[str]) -> str | None:
    """The first noun for people among the next words; another number or article ends the search."""
    for word in words[: _MOST_ADJECTIVES + 1]:
        if word in nouns:
            return word
        if word in _ONE_MORE or word in _NUMBERS or word in ("and", "of", "with", "the", "in", "on", "at", "by"):
            return None
    return None


class PromptWarning(UserWarning):
    """Part of a prompt does not reach the model."""


def check_prompts(prompts: Sequence[str]) -> None:
    """Refuses prompts that say nothing, or hold what is no letter.

    Raises:
        PromptError: if there is one.
    """
    if not prompts or any(not prompt.strip() for prompt in prompts):
        raise PromptError("The prompt is empty; write a sentence such as: Two people wave on a beach.")
    for prompt in prompts:
        check_letters(prompt, "The prompt", kind=PromptError)


def unknown_words(tokenizer: PreTrainedTokenizerBase, prompt: str) -> list[str]:
    """The words of `prompt` that the tokenizer has no piece for, each once, in order; punctuation does not count."""
    words = dict.fromkeys(word.strip(string.punctuation) for word in prompt.split())
    return [word for word in words if word and tokenizer.unk_token_id in _token_ids(tokenizer, word)]


def only_words(tokenizer: PreTrainedTokenizerBase, names: Collection[str] = ()) -> tuple[str, ...]:
    """The words of a tokenizer that has no pieces of words, in small letters; none where it can read any word.

    Args:
        tokenizer: the tokenizer of the text encoder.
        names: left out.
    """
    pieces = set(tokenizer.get_vocab()) - set(tokenizer.all_special_tokens)
    if any(piece[0] != _WORD_BEGINS and piece[0].isalnum() for piece in pieces):
        return ()
    words = {piece[1:].lower() for piece in pieces if piece[0] == _WORD_BEGINS and len(piece) > 1}
    return tuple(sorted(words - {name.lower() for name in names}))


def cut_text(tokenizer: PreTrainedTokenizerBase, prompt: str, max_sequence_length: int) -> str:
    """The end of `prompt` that does not fit in `max_sequence_length` tokens, or an empty string."""
    token_ids = _token_ids(tokenizer, prompt)
    kept = max_sequence_length - 1  # the last token is the end of the sentence
    return str(tokenizer.decode(token_ids[kept:])) if len(token_ids) > kept else ""


def note_on_number(
    tokenizer: PreTrainedTokenizerBase, prompt: str, num_people: int, names: Collection[str] = ()
) -> str | None:
    """Says where the prompt speaks of more or fewer people than are given, or of no number; None where all is well.

    The prompt decides how many people there are in a video; the photos only say who they are. A number that the text
    encoder does not know would not help, and is not asked for.

    Args:
        tokenizer: the tokenizer of the text encoder.
        prompt: one prompt.
        num_people: whose photos are given.
        names: what they are called, if they have names.
    """
    count = count_people(prompt)
    if count == num_people:
        return None
    given = "1 person" if num_people == 1 else f"{num_people} people"
    if count is None:
        if says_who(prompt, num_people, names) or not _knows_number(tokenizer, num_people):
            return None
        message = f"The prompt does not say how many people there are, and there are photos of {given}"
    else:
        message = f"The prompt speaks of {'1 person' if count == 1 else f'{count} people'}, with photos of {given}"
    opening = f'"{_opening(num_people)}"' if _knows_number(tokenizer, num_people) else None
    if count is not None and count > num_people:
        message += ", so who is left will look like nobody in particular; give more photos"
        message += "" if opening is None else f", or begin the prompt with {opening}"
    else:
        message += f", so some of the {num_people} may be missing" if num_people > 1 else ", so others may appear"
        message += "" if opening is None else f"; begin it with {opening}"
    return f"{message}."


def _opening(num_people: int) -> str:
    return "One person" if num_people == 1 else f"{NUMBER_WORDS[num_people].capitalize()} people"


def _knows_number(tokenizer: PreTrainedTokenizerBase, num_people: int) -> bool:
    """Whether the text encoder has a word for so many people."""
    return (num_people == 1 or num_people in NUMBER_WORDS) and not unknown_words(
        tokenizer, _opening(num_people).split()[0]
    )


def notes_on_prompt(tokenizer: PreTrainedTokenizerBase, prompt: str, max_sequence_length: int) -> list[str]:
    """What the text encoder will not read, a sentence each: unknown words, and an end that is cut."""
    notes = []
    if unknown := unknown_words(tokenizer, prompt):
        notes.append(
            f"The text encoder does not know {', '.join(map(repr, unknown))}, so the video will not follow "
            f"{'it' if len(unknown) == 1 else 'them'}."
        )
    if cut := cut_text(tokenizer, prompt, max_sequence_length):
        notes.append(
            f"The prompt is longer than the {max_sequence_length} tokens that the text encoder reads, so this was "
            f"cut: {cut!r}."
        )
    return notes


def encode_prompts(
    tokenizer: PreTrainedTokenizerBase,
    text_encoder: T5EncoderModel,
    prompts: Sequence[str],
    *,
    max_sequence_length: int,
    device: torch.device,
) -> torch.Tensor:
    """Encodes prompts, padded to `max_sequence_length` tokens, without an attention mask, as CogVideoX does.

    Returns:
        (B, T, D), in the text encoder's data type.
    """
    tokens = tokenizer(
        list(prompts),
        padding="max_length",
        max_length=max_sequence_length,
        truncation=True,
        add_special_tokens=True,
        return_tensors="pt",
    )
    prompt_embeds: torch.Tensor = text_encoder(tokens.input_ids.to(device))[0]  # (B, T, D)
    return prompt_embeds


def find_phrases(
    tokenizer: PreTrainedTokenizerBase, prompt: str, phrases: Sequence[str | None], *, max_sequence_length: int
) -> torch.Tensor:
    """Which tokens of a prompt stand for each person.

    Args:
        tokenizer: the tokenizer of the text encoder.
        prompt: one prompt.
        phrases: N, the words that stand for each, wherever the prompt has them as whole words, in capitals or not;
            None for a person whom it does not mention.
        max_sequence_length: T.

    Returns:
        (N, T) bool.
    """
    import torch

    tokens = tokenizer(
        prompt, padding="max_length", max_length=max_sequence_length, truncation=True, return_offsets_mapping=True
    )
    found = torch.zeros(len(phrases), max_sequence_length, dtype=torch.bool)
    for person, phrase in enumerate(phrases):
        if phrase is None:
            continue
        for match in re.finditer(rf"(?<!\w){re.escape(phrase)}(?!\w)", prompt, flags=re.IGNORECASE):
            for index, (start, end) in enumerate(tokens["offset_mapping"]):
                found[person, index] |= start < end and start < match.end() and match.start() < end
    return found


def _token_ids(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False).input_ids)
