"""Names of people in prompts: who is meant, and in which words the text encoder hears of them.

`@ana`, or a plain "Ana", stands for the person of that name. A model whose words hear of the photos (`id_phrases`)
keeps the name, or takes another one that its text encoder knows. Any other model reads where the person stands, and
the planned layout puts the person there; where its text encoder has no words for that, it reads how many people there
are.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ingredients.core.errors import PromptError
from ingredients.pipelines.prompts import NUMBER_WORDS, PEOPLE_NOUNS, note_on_number, notes_on_prompt, unknown_words
from ingredients.world.captions import NAMES

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_BEFORE_NOUNS = frozenset(
    (
        *("a", "an", "the", "this", "that", "these", "those", "another", "other", "every", "each", "some", "any"),
        *("no", "one", "two", "three", "four", "both", "all", "my", "your", "his", "her", "its", "our", "their"),
    )
)
"""Words before which a name is none: "a man" is nobody's name, though a photo may be called man.png."""

_NEVER_PLAIN = (
    PEOPLE_NOUNS
    | _BEFORE_NOUNS
    | frozenset(("i", "in", "on", "at", "by", "to", "of", "and", "or", "with", "as", "is", "are"))
)
"""Words that are a name only with an @ before them."""

_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mention:
    """A place in a prompt that speaks of a person."""

    start: int
    """Its first letter, the @ included."""

    end: int
    """Behind its last letter."""

    person: int
    """Index of the person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedPrompt:
    """A prompt as the text encoder reads it."""

    text: str
    """The sentence."""

    phrases: tuple[str | None, ...]
    """For each person, the words of it that stand for that person; None where there are none."""

    notice: str | None = None
    """What became of the names, if something did: one sentence."""

    needs_layout: bool = False
    """Whether it calls people by places, at which they must be put."""


def which_person(said: str, names: Sequence[str]) -> int | None:
    """Index of the person who is called so: as written, else in capitals or not; None for nobody."""
    if said in names:
        return list(names).index(said)
    folded = [name.casefold() for name in names]
    return folded.index(said.casefold()) if said.casefold() in folded else None


def find_mentions(prompt: str, names: Sequence[str]) -> list[Mention]:
    """Where a prompt speaks of people by name, in order.

    Args:
        prompt: as written.
        names: the names of all people.

    Raises:
        PromptError: if an @ stands before a name that nobody has.
    """
    alternatives = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True)) or r"(?!)"
    mentions = []
    for match in re.finditer(rf"(?<![\w@-])(@?)({alternatives})(?!\w|-\w)", prompt, flags=re.IGNORECASE):
        person = which_person(match[2], names)
        if person is not None and (match[1] or _is_plain_name(prompt, match)):
            mentions.append(Mention(start=match.start(), end=match.end(), person=person))
    left = prompt
    for mention in mentions:
        left = left[: mention.start] + " " * (mention.end - mention.start) + left[mention.end :]
    if (stranger := re.search(r"(?<!\w)@\w[\w-]*", left)) is not None:
        known = _listed([f"@{name}" for name in names], "or") if names else "no name, for no photos are given"
        raise PromptError(
            f"The prompt speaks of {stranger.group()}, and no photo has that name; write {known}, or give a photo of "
            f"{stranger.group()[1:]}."
        )
    return mentions


def _is_plain_name(prompt: str, match: re.Match[str]) -> bool:
    before = re.findall(r"[\w'-]+", prompt[: match.start()])
    return match[2].lower() not in _NEVER_PLAIN and not (before and before[-1].lower() in _BEFORE_NOUNS)


def read_prompt(
    tokenizer: PreTrainedTokenizerBase,
    prompt: str,
    names: Sequence[str],
    *,
    left_to_right: Sequence[int],
    binds_words: bool,
    is_planned: bool,
) -> NamedPrompt:
    """Says in words that the text encoder knows what a prompt says of people by name.

    Args:
        tokenizer: the tokenizer of the text encoder.
        prompt: as written.
        names: the names of all people.
        left_to_right: the people, by index, from left to right as the layout puts them.
        binds_words: whether the model's words hear of the photos.
        is_planned: whether a layout puts people where they are to stand.

    Raises:
        PromptError: if an @ stands before a name that nobody has.
    """
    mentions = find_mentions(prompt, names)
    named = sorted({mention.person for mention in mentions})
    places = {person: _place_words(left_to_right, person) for person in range(len(names))}
    phrases: list[str | None] = [None] * len(names)
    if binds_words and is_planned:  # who is called by place without a name
        for person in set(places) - set(named):
            phrases[person] = places[person] if _says(prompt, places[person]) else None
    if not named:
        return NamedPrompt(text=prompt, phrases=tuple(phrases))

    if binds_words and (words := _known_names(tokenizer, prompt, names, named)):
        text = _replace(prompt, [(mention.start, mention.end, words[mention.person]) for mention in mentions])
        for person, word in words.items():
            phrases[person] = word
        return NamedPrompt(text=text, phrases=tuple(phrases), notice=_tell_other_names(names, words))

    called = _listed([names[person] for person in named])
    why = "The text encoder knows no such names" if binds_words else "This model does not know whose name is whose"
    if (together := _all_together(prompt, mentions, len(names))) is not None:
        text = _replace(prompt, [together])
        notice = f'{why}: it reads "{_everybody(len(names))}" for {called}.'
        return NamedPrompt(text=text, phrases=tuple(phrases), notice=notice)
    if not unknown_words(tokenizer, " ".join(places[person] for person in named)):
        text = _replace(prompt, [(mention.start, mention.end, places[mention.person]) for mention in mentions])
        for person in named if binds_words and is_planned else ():
            phrases[person] = places[person]
        said = _listed([f'"{places[person]}" for {names[person]}' for person in named])
        put = "the layout puts them there" if is_planned else "nothing puts them there, for there is no layout"
        notice = f"{why}: it reads {said}, and {put}."
        return NamedPrompt(text=text, phrases=tuple(phrases), notice=notice, needs_layout=True)
    text = _replace(prompt, list(_only_numbers(mentions, len(names))))
    notice = (
        f"{why}, and its text encoder has no words for their places: it reads "
        f'"{_everybody(len(names))}" for {called}, and who does what is left to chance.'
    )
    return NamedPrompt(text=text, phrases=tuple(phrases), notice=notice)


def read_with_notes(
    tokenizer: PreTrainedTokenizerBase,
    prompt: str,
    names: Sequence[str],
    *,
    left_to_right: Sequence[int],
    binds_words: bool,
    is_planned: bool,
    max_sequence_length: int,
) -> tuple[NamedPrompt, list[str]]:
    """A prompt as the text encoder is to read it, and a sentence for each thing about it that a user should know.

    Args:
        tokenizer: the tokenizer of the text encoder.
        prompt: as written.
        names: the names of all people; none where they have none.
        left_to_right: as `read_prompt` takes it.
        binds_words: likewise.
        is_planned: likewise.
        max_sequence_length: how many tokens the text encoder reads.

    Returns:
        The prompt; and notes on its number of people, on its names, on unknown words and on an end that is cut.

    Raises:
        PromptError: if an @ stands before a name that nobody has.
    """
    text, notes = NamedPrompt(text=prompt, phrases=()), []
    if names:
        text = read_prompt(
            tokenizer, prompt, names, left_to_right=left_to_right, binds_words=binds_words, is_planned=is_planned
        )
        notes = [note_on_number(tokenizer, prompt, len(names), names), text.notice]
    notes += notes_on_prompt(tokenizer, text.text, max_sequence_length)
    return text, [note for note in notes if note is not None]


def _known_names(
    tokenizer: PreTrainedTokenizerBase, prompt: str, names: Sequence[str], named: Sequence[int]
) -> dict[int, str]:
    """For each person whom the prompt names a name that the text encoder knows; nothing if there are too few."""
    taken = {name.casefold() for name in names}
    spare = [name for name in NAMES if name.casefold() not in taken and not _says(prompt, name)]
    words: dict[int, str] = {}
    for person in named:
        own = names[person][:1].upper() + names[person][1:]
        word = next((each for each in (own, *spare) if not unknown_words(tokenizer, each)), None)
        if word is None:
            return {}
        words[person] = word
        spare = [name for name in spare if name != word]
    return words


def _place_words(left_to_right: Sequence[int], person: int) -> str:
    """Where a person stands among all, in words."""
    rank, number = list(left_to_right).index(person), len(left_to_right)
    if number == 1:
        return "the person"
    if rank == 0:
        return "the person on the left"
    if rank == number - 1:
        return "the person on the right"
    if 2 * rank + 1 == number:
        return "the person in the middle"
    ordinal = _ORDINALS[rank] if rank < len(_ORDINALS) else f"{rank + 1}th"
    return f"the {ordinal} person from the left"


def _all_together(prompt: str, mentions: Sequence[Mention], num_people: int) -> tuple[int, int, str] | None:
    """Start, end and other words of a list of everybody, if the prompt names people in no other way."""
    between = (prompt[one.end : other.start] for one, other in itertools.pairwise(mentions))
    is_list = all(re.fullmatch(r"\s*(,|,?\s*and\s|&)\s*", words, flags=re.IGNORECASE) for words in between)
    everybody = {mention.person for mention in mentions}
    if num_people < 2 or len(mentions) != num_people or len(everybody) != num_people or not is_list:
        return None
    return mentions[0].start, mentions[-1].end, _everybody(num_people)


def _only_numbers(mentions: Sequence[Mention], num_people: int) -> Iterator[tuple[int, int, str]]:
    for index, mention in enumerate(mentions):
        later = "the person" if num_people == 1 else "people"
        yield mention.start, mention.end, later if index else _everybody(num_people)


def _everybody(num_people: int) -> str:
    return "a person" if num_people == 1 else f"{NUMBER_WORDS.get(num_people, num_people)} people"


def _replace(prompt: str, pieces: Sequence[tuple[int, int, str]]) -> str:
    """A prompt with other words in some places, with capitals where a sentence begins."""
    text, end = "", 0
    for start, until, words in pieces:
        text += prompt[end:start]
        begins = not text.strip() or re.search(r"[.!?]\s*$", text) is not None
        text, end = text + (words[:1].upper() + words[1:] if begins else words), until
    return text + prompt[end:]


def _says(prompt: str, words: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(words)}(?!\w)", prompt, flags=re.IGNORECASE) is not None


def _tell_other_names(names: Sequence[str], words: dict[int, str]) -> str | None:
    others = {person: word for person, word in words.items() if word.casefold() != names[person].casefold()}
    if not others:
        return None
    said = _listed([f"{word} for {names[person]}" for person, word in others.items()])
    unknown = _listed([names[person] for person in others])
    return f"The text encoder does not know the {'name' if len(others) == 1 else 'names'} {unknown}: it reads {said}."


def _listed(words: Sequence[str], joint: str = "and") -> str:
    return f" {joint} ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
