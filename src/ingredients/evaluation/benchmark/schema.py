"""What a benchmark holds; `folder.py` says which file keeps which part."""

import dataclasses
from collections.abc import Sequence

COUNT_WORDS: dict[int, str] = {
    2: "two",
    3: "three",
    4: "four",
    5: "five",
    6: "six",
    7: "seven",
    8: "eight",
    9: "nine",
    10: "ten",
}
COUNT_PLACEHOLDER = "{count}"
"""Stands for the number of people in a prompt's text, 2 or more."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkInfo:
    """What the benchmark is."""

    name: str
    """For people to refer to it."""

    version: str
    """Raised whenever a case changes: numbers of different versions cannot be compared."""

    source: str = ""
    """Where photos and prompts are from."""

    licence: str = ""
    """On which terms they may be used."""

    notes: str = ""
    """Whatever else a reader should know."""

    num_people: tuple[int, ...] = ()
    """For how many people there are cases; filled in when the cases are made."""

    held_out_pairs: tuple[tuple[str, str], ...] = ()
    """Pairs (action, background) that a model under test should not have been trained on."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkIdentity:
    """A person."""

    id: str
    """Unique in the benchmark."""

    photos: tuple[str, ...]
    """Files, relative to the benchmark's folder. A generator gets the first one; a judge may know the others too."""

    attributes: dict[str, str] = dataclasses.field(default_factory=dict)
    """Anything, such as domain, region, age group; the tree of the figure branches in this order."""

    source: str = ""
    """Where the photos are from and on which terms, if these are not the benchmark's."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkPrompt:
    """What can be asked for."""

    id: str
    """Unique in the benchmark."""

    text: str | dict[str, str]
    """A sentence with `{count}` where the number of people stands, or one for each number, by that number."""

    expression: str
    """How they look."""

    action: str
    """What they do."""

    background: str
    """Where."""

    attributes: dict[str, str] = dataclasses.field(default_factory=dict)
    """Anything else that it says, such as the light."""

    requires: dict[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    """Values of an identity's attribute of which everybody must have one, such as an age group."""

    def fits(self, people: Sequence[BenchmarkIdentity]) -> bool:
        """Whether it can be asked of these people: of so many, and of everyone who must be able to do it."""
        # A text with a placeholder is written for several: "one people wave" is no English.
        counted = len(people) > 1 if isinstance(self.text, str) else str(len(people)) in self.text
        return counted and all(
            person.attributes.get(name) in values for name, values in self.requires.items() for person in people
        )

    def for_count(self, num_people: int) -> str:
        """The sentence for so many people.

        Raises:
            KeyError: if there is none.
        """
        if not isinstance(self.text, str):
            return self.text[str(num_people)]
        if COUNT_PLACEHOLDER not in self.text:
            return self.text
        text = self.text.replace(COUNT_PLACEHOLDER, COUNT_WORDS.get(num_people, str(num_people)))
        return text[0].upper() + text[1:]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkCase:
    """One question."""

    id: str
    """Unique in the benchmark."""

    identities: tuple[str, ...]
    """Ids, in the order in which the photos are given."""

    prompt: str
    """Id."""

    seed: int
    """Of the generation."""

    held_out_pair: bool = False
    """Whether its action and background are one of the pairs that training leaves out."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """All of it."""

    info: BenchmarkInfo
    """What it is."""

    identities: tuple[BenchmarkIdentity, ...]
    """The people."""

    prompts: tuple[BenchmarkPrompt, ...]
    """What can be asked of them."""

    cases: tuple[BenchmarkCase, ...] = ()
    """What is asked, of sets of 2 people, of 3 and so on."""

    def cases_of(self, num_people: int) -> list[BenchmarkCase]:
        """The cases of so many people."""
        return [case for case in self.cases if len(case.identities) == num_people]
