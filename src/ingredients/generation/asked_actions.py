"""What a sentence asks each person to do, to be compared with what a judge sees; nothing here needs PyTorch."""

import re
from collections.abc import Sequence

from ingredients.core.errors import PromptError
from ingredients.pipelines.names import find_mentions
from ingredients.world.captions import ACTIONS

_SPOTS = {"on the left": 0, "on the right": -1}


def asked_actions(prompt: str, names: Sequence[str]) -> list[tuple[str, ...]]:
    """The actions that a sentence asks of each person, by their names in the drawn world; empty where it asks none.

    A verb is asked of those who are named, or placed on the left or right, between the verb before it and itself; of
    the same people as the verb before it where nobody is; and of everybody where nobody is named at all.

    Args:
        prompt: the sentence.
        names: the names of the people, from left to right.
    """
    verbs = sorted(
        (match.start(), match.end(), action)
        for action, forms in ACTIONS.items()
        for match in re.finditer(rf"\b(?:{'|'.join(_forms(forms))})\b", prompt, flags=re.IGNORECASE)
    )
    try:
        told = [(mention.start, mention.person) for mention in find_mentions(prompt, names)]
    except PromptError:  # of an @ that is nobody's, which is said elsewhere
        return [()] * len(names)
    for words, person in _SPOTS.items():
        told += [(match.start(), person % len(names)) for match in re.finditer(words, prompt, re.IGNORECASE)]
    told = [(at, person) for at, person in told if not re.search(r"\bto\s+@?$", prompt[:at])]  # whom it is meant for
    asked: list[list[str]] = [[] for _ in names]
    everybody = set(range(len(names)))
    subjects, behind = everybody, 0
    for start, end, action in verbs:
        subjects = {person for at, person in told if behind <= at < start} or subjects
        behind = end
        for person in subjects:
            if action not in asked[person]:
                asked[person].append(action)
    return [tuple(actions) for actions in asked]


def _forms(forms: tuple[str, str]) -> list[str]:
    """Both forms of a verb, and the one that ends in -ing."""
    first, *rest = forms[1].split()
    base = first + first[-1] if first == "nod" else first.removesuffix("e")
    return [*forms, " ".join([base + "ing", *rest])]
