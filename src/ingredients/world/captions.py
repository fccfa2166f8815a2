"""Sentences about scenes, and (for the dual encoder alone) about portraits.

A scene's sentence states count, action, expression, place and light, never a feature of identity: who is in the video
must come from the photos.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ingredients.world.identity import Identity

COUNTS: dict[int, tuple[str, ...]] = {
    1: ("one person", "a person"),
    2: ("two people", "two friends", "a couple"),
    3: ("three people", "three friends"),
    4: ("four people", "four friends"),
}
ACTIONS: dict[str, tuple[str, str]] = {
    "stand": ("stands", "stand"),
    "wave": ("waves", "wave"),
    "nod": ("nods", "nod"),
    "sway": ("sways", "sway"),
    "turn": ("looks around", "look around"),
    "walk": ("walks", "walk"),
    "talk": ("talks", "talk"),
}
EXPRESSIONS: dict[str, tuple[str, ...]] = {
    "smile": ("smiling", "with a happy face"),
    "serious": ("with a serious face", "looking calm"),
    "sad": ("looking sad", "with a sad face"),
    "surprised": ("looking surprised", "with a surprised face"),
}
PLACE_PHRASES: dict[str, tuple[str, ...]] = {
    "beach": ("on a beach", "by the sea"),
    "park": ("in a park", "in a garden"),
    "city": ("in a city", "on a street"),
    "forest": ("in a forest", "among trees"),
    "desert": ("in a desert",),
    "snow": ("in the snow", "on a snowy mountain"),
    "room": ("in a room", "at home"),
    "library": ("in a library",),
}
LIGHT_PHRASES: dict[str, tuple[str, ...]] = {
    "plain": ("",),
    "sun": ("in bright sunlight", "on a sunny day"),
    "sunset": ("at sunset",),
    "night": ("at night",),
    "cloudy": ("on a cloudy day", "under a grey sky"),
}
_FRAMES = (
    "{who} {does} {where} {light}, {face}",
    "{light}, {who} {does} {where}, {face}",
    "a video of {who}, {face}: {who} {does} {where} {light}",
    "{where} {light}, {who} {does}, {face}",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneAttributes:
    """What a prompt can ask for.

    Attributes:
        count: people in the scene, 1 to 4.
        action: a key of `ACTIONS`.
        expression: a key of `EXPRESSIONS`.
        place: a key of `PLACE_PHRASES`.
        light: a key of `LIGHT_PHRASES`.
    """

    count: int
    action: str
    expression: str
    place: str
    light: str

    def __post_init__(self) -> None:
        tables: dict[str, Iterable[str]] = {
            "action": ACTIONS,
            "expression": EXPRESSIONS,
            "place": PLACE_PHRASES,
            "light": LIGHT_PHRASES,
        }
        for name, table in tables.items():
            if getattr(self, name) not in table:
                raise ValueError(f"unknown {name} {getattr(self, name)!r}; known: {', '.join(table)}")
        if self.count not in COUNTS:
            raise ValueError(f"a scene holds 1 to {max(COUNTS)} people, not {self.count}")


def describe_scene(attributes: SceneAttributes, rng: np.random.Generator, *, complete: bool = False) -> str:
    """Writes one of many sentences for a scene.

    Args:
        attributes: what happens.
        rng: chooses the wording and, unless `complete`, leaves out expression or light now and then, as people do.
        complete: whether every attribute must be named.
    """
    who = str(rng.choice(COUNTS[attributes.count]))
    face = str(rng.choice(EXPRESSIONS[attributes.expression]))
    light = str(rng.choice(LIGHT_PHRASES[attributes.light]))
    if not complete:
        face, light = ("" if rng.random() < 0.25 else part for part in (face, light))
    sentence = str(rng.choice(_FRAMES)).format(
        who=who,
        does=ACTIONS[attributes.action][0 if attributes.count == 1 else 1],
        where=str(rng.choice(PLACE_PHRASES[attributes.place])),
        light=light,
        face=face,
    )
    sentence = re.sub(r"\s+", " ", sentence).strip(" ,")
    sentence = re.sub(r" ?, ?(?=[,:]|$)", "", sentence).replace(" ,", ",")
    return sentence[0].upper() + sentence[1:] + "."


def describe_portrait(identity: Identity, rng: np.random.Generator) -> str:
    """Writes a sentence that tells one person from another, for training the dual encoder's image half."""
    hair = "a bald head" if identity.hair_style == "bald" else f"{identity.hair_style} {identity.hair_colour} hair"
    parts = [f"{identity.skin} skin", hair, f"{identity.iris} eyes", f"a {identity.shirt_colour} shirt"]
    if identity.hat != "none":
        parts.append(f"a {identity.hat_colour} {identity.hat} hat")
    if identity.glasses != "none":
        parts.append(f"{identity.glasses} glasses")
    if identity.beard != "none":
        parts.append(f"a {identity.beard} beard" if identity.beard != "moustache" else "a moustache")
    parts.append(f"a {identity.nose} nose" if rng.random() < 0.5 else f"{identity.brow} brows")
    order = rng.permutation(len(parts))
    return "A portrait of a person with " + ", ".join(parts[index] for index in order) + "."


def words(text: str) -> list[str]:
    """The lower-case words of a sentence, punctuation left out."""
    return re.findall(r"[a-z]+", text.lower())


def vocabulary() -> list[str]:
    """Every word that a scene's sentence can hold, sorted."""
    phrases = [*_FRAMES, *(phrase for table in (COUNTS, EXPRESSIONS, PLACE_PHRASES, LIGHT_PHRASES, ACTIONS)
                           for phrases in table.values() for phrase in phrases)]  # fmt: skip
    found = {word for phrase in phrases for word in words(re.sub(r"\{\w+\}", " ", phrase))}
    return sorted(found | {"and", "the", "are", "is"})
