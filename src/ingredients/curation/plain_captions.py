"""A sentence of what was measured: how many people there are and where, what each does, in which place and light.

Its words are those of the drawn world's captions, of which the clip's name chooses one wording, always the same.

Legend: N people.
"""

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ingredients.curation.config import CaptionsConfig
from ingredients.world.captions import EXPRESSIONS, LIGHT_PHRASES, PLACE_PHRASES, ROLE_ACTIONS

_COUNTS = ("Nobody", "One person", "Two people", "Three people", "Four people", "Five people", "Six people")
_SPOTS: Mapping[int, tuple[str, ...]] = {
    2: ("on the left", "on the right"),
    3: ("on the left", "in the middle", "on the right"),
}
"""Words for people from left to right, where no two of them stand behind each other."""

_ROWS = ("behind on the left", "behind on the right", "in front on the left", "in front on the right")
_ROW_GAP = 0.5
"""How far, in heights of a face, the lower one of two faces must lie below the other for rows to be seen."""


SAID_LIGHTS: Mapping[str, tuple[str, ...]] = {name: LIGHT_PHRASES[name] for name in ("sun", "sunset", "night")}
"""Lights that are said. Plain light has no words, and the dual encoder takes it for a cloudy day too often, however
sure it is (docs/curation_people.md)."""

SAID_ACTIONS: Mapping[str, tuple[str, ...]] = {name: words for name, words in ROLE_ACTIONS.items() if name != "stand"}
"""Actions that are said. Somebody of whom nothing is seen, as a head that is turned to another one a little or a mouth
that moves behind a beard, the judge takes for one who stands, however sure it is (docs/curation_people.md)."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PlainCaption:
    """A sentence, and whom its words stand for."""

    text: str
    """The sentence."""

    phrases: tuple[str | None, ...]
    """For each person, from left to right, the words that stand for them; None where there are none."""


def describe_measured(
    spots: Sequence[str | None],
    watched: Mapping[str, Any] | None = None,
    *,
    config: CaptionsConfig | None = None,
    clip_id: str = "",
) -> PlainCaption:
    """A sentence of what was measured, without what was not sure enough.

    Args:
        spots: for each person, from left to right, where, as `spots_of` says it.
        watched: what the step `acting` measured; None says nothing of it.
        config: how sure it must be.
        clip_id: chooses the wording.
    """
    config = config or CaptionsConfig()
    watched = watched or {}
    chosen = np.random.default_rng(list(hashlib.sha256(clip_id.encode()).digest()))
    setting: Mapping[str, Mapping[str, float]] = watched.get("setting", {})
    where = _words(setting.get("place", {}), PLACE_PHRASES, config.min_place, chosen)
    light = _words(setting.get("light", {}), SAID_LIGHTS, config.min_light, chosen)
    around = " ".join(part for part in (where, light) if part) or "in the picture"
    acts = [
        (
            _words(person["actions"], SAID_ACTIONS, config.min_action, None),
            _words(person["expressions"], EXPRESSIONS, config.min_expression, chosen),
        )
        for person in watched.get("people", [])
    ] or [("", "")] * len(spots)
    number = len(spots)
    who = _COUNTS[number] if number < len(_COUNTS) else f"{number} people"
    if number == 1:
        verb, face = acts[0]
        return PlainCaption(
            text=f"{who} {verb or 'is'} {around}" + (f", {face}." if face else "."), phrases=("One person",)
        )
    if not number or None in spots:
        verb = _shared([verb for verb, _ in acts])
        several = next((plural for single, plural in ROLE_ACTIONS.values() if verb and single == verb), "are")
        return PlainCaption(text=f"{who} {several if number else 'is'} {around}.", phrases=(None,) * number)
    phrases = tuple(f"the person {spot}" for spot in spots)
    clauses, others = [], []
    for phrase, (verb, face) in zip(phrases, acts, strict=True):
        if verb or face:
            clauses.append(f"{phrase} {verb or 'is there'}" + (f", {face}" if face else ""))
        else:
            others.append(phrase)
    if not clauses:
        return PlainCaption(text=f"{who} are {around}: {_listed(phrases)}.", phrases=phrases)
    said = clauses[0] if len(clauses) == 1 else f"{', '.join(clauses[:-1])}, and {clauses[-1]}"
    beside = f", beside {_listed(others)}" if others else ""
    return PlainCaption(text=f"{who} are {around}: {said}{beside}.", phrases=phrases)


def spots_of(tracks: Sequence[Mapping[str, Any]]) -> list[str | None]:
    """Where each of some people is, as the words after "the person"; None for all where words do not tell them apart.

    Args:
        tracks: the tracks of the people, from left to right, with `boxes`.
    """
    if len(tracks) in _SPOTS:
        return list(_SPOTS[len(tracks)])
    if len(tracks) != len(_ROWS):
        return [None] * len(tracks)
    boxes = np.array([np.median([box for box in track["boxes"] if box is not None], axis=0) for track in tracks])
    middles, height = (boxes[:, 1] + boxes[:, 3]) / 2, float(np.mean(boxes[:, 3] - boxes[:, 1]))
    behind, front = np.sort(np.argsort(middles)[:2]), np.sort(np.argsort(middles)[2:])
    if middles[front].min() - middles[behind].max() < _ROW_GAP * height:
        return [None] * len(tracks)
    spots: list[str | None] = [None] * len(tracks)
    for index, spot in zip((*behind, *front), _ROWS, strict=True):
        spots[int(index)] = spot
    return spots


def likeliest(shares: Mapping[str, float], least: float) -> str | None:
    """The value with the largest share, if that is large enough to be said."""
    best = max(shares, key=lambda name: shares[name], default=None)
    return best if best is not None and shares[best] >= least else None


def _words(
    shares: Mapping[str, float],
    phrases: Mapping[str, tuple[str, ...]],
    least: float,
    chosen: np.random.Generator | None,
) -> str:
    """Words for what is likeliest: one of its wordings, or the first; none where it is not sure enough."""
    name = likeliest(shares, least)
    if name is None or name not in phrases:
        return ""
    wordings = phrases[name]
    return wordings[0] if chosen is None else wordings[int(chosen.integers(len(wordings)))]


def _shared(verbs: Sequence[str]) -> str:
    """What everybody does, if everybody does the same."""
    return verbs[0] if len(set(verbs)) == 1 else ""


def _listed(phrases: Sequence[str]) -> str:
    return phrases[0] if len(phrases) == 1 else f"{', '.join(phrases[:-1])} and {phrases[-1]}"
