"""How many people a sentence speaks of."""

import itertools
import re
from collections.abc import Collection

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
