"""Splits sentences of the drawn world into words, for the dual encoder's text tower."""

import re
from collections.abc import Sequence

import torch
from torch import Tensor

PAD, BEGIN, UNKNOWN, END = "<pad>", "<begin>", "<unknown>", "<end>"
SPECIAL_WORDS = (PAD, BEGIN, UNKNOWN, END)
PAD_ID, BEGIN_ID, UNKNOWN_ID, END_ID = range(4)

_WORD = re.compile(r"[a-z0-9']+")


class WordTokenizer:
    """One token a word, lower case, punctuation dropped."""

    def __init__(self, words: Sequence[str], *, max_length: int) -> None:
        """Numbers the words after the four special ones.

        Raises:
            ValueError: if a word appears twice.
        """
        if len(set(words)) != len(words):
            raise ValueError("the vocabulary names a word twice")
        self.words = tuple(words)
        self.max_length = max_length
        self._ids = {word: index for index, word in enumerate(SPECIAL_WORDS + self.words)}

    def __len__(self) -> int:
        return len(self._ids)

    def __call__(self, sentences: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Numbers the words of each sentence; what is too long loses its last words.

        Returns:
            Token ids (B, max_length) long, and the attention mask (B, max_length) long.
        """
        token_ids = torch.full((len(sentences), self.max_length), PAD_ID)
        attention_mask = torch.zeros_like(token_ids)
        for row, sentence in enumerate(sentences):
            words = split_words(sentence)[: self.max_length - 2]
            tokens = [BEGIN_ID, *(self._ids.get(word, UNKNOWN_ID) for word in words), END_ID]
            token_ids[row, : len(tokens)] = torch.tensor(tokens)
            attention_mask[row, : len(tokens)] = 1
        return token_ids, attention_mask


def split_words(sentence: str) -> list[str]:
    """The lower-case words of a sentence."""
    return _WORD.findall(sentence.lower())
