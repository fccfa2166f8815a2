"""Sentences about scenes, and (for the dual encoder alone) about portraits.

A scene's sentence states count, action, expression, place and light, of all together or of each person by place or by
name, and never a feature of identity: who is in the video must come from the photos.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ingredients.world.identity import Identity

NAMES: tuple[str, ...] = (
    *("Ada", "Adam", "Alma", "Amir", "Ana", "Anton", "Arne", "Asha", "Aya", "Basil"),
    *("Bea", "Ben", "Bodo", "Boris", "Carla", "Cleo", "Cora", "Cyrus", "Dana", "Dario"),
    *("Demi", "Dora", "Edda", "Eli", "Elsa", "Emil", "Enzo", "Erik", "Esra", "Eva"),
    *("Fay", "Felix", "Finn", "Flora", "Frida", "Gala", "Georg", "Gina", "Greta", "Hana"),
    *("Hasan", "Hugo", "Ida", "Igor", "Ilse", "Ines", "Iris", "Ivan", "Jana", "Jasper"),
    *("Joel", "Jonas", "Juno", "Kai", "Karl", "Kenji", "Kira", "Lars", "Lea", "Leo"),
    *("Lena", "Lina", "Luca", "Luis", "Maja", "Malik", "Mara", "Mei", "Mila", "Milo"),
    *("Nadia", "Nils", "Nina", "Noah", "Nora", "Olga", "Omar", "Oskar", "Otto", "Paul"),
    *("Petra", "Pia", "Quinn", "Rafi", "Rosa", "Ruben", "Sami", "Sara", "Sven", "Tara"),
    *("Theo", "Tilda", "Timo", "Uma", "Vera", "Viktor", "Wanda", "Xenia", "Yara", "Zoe"),
)
"""A hundred short names, all of one word."""


Spot = Literal[
    "alone", "left", "middle", "right", "front", "behind", "back left", "back right", "front left", "front right"
]
Manner = Literal["all", "place", "name"]
"""How a sentence tells people apart: not at all, by where they are, or by what they are called."""

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
"""What people do, whether all together or each for themselves: as one person's verb, and as several people's."""

ROLE_ACTIONS: dict[str, tuple[str, str]] = {
    **ACTIONS,
    "face": ("turns around", "turn to each other"),
    "come": ("comes in", "come in"),
    "leave": ("leaves", "leave"),
}
"""What people with roles of their own do."""

ADDRESSED: dict[str, str] = {"wave": "waves to", "nod": "nods to", "talk": "talks to", "face": "turns to"}
"""Actions that can be meant for somebody, as the verb before that person."""

SPOTS: dict[Spot, tuple[str, ...]] = {
    "alone": ("",),
    "left": ("on the left",),
    "middle": ("in the middle",),
    "right": ("on the right",),
    "front": ("in front",),
    "behind": ("behind", "at the back"),
    "back left": ("behind on the left", "at the back on the left"),
    "back right": ("behind on the right", "at the back on the right"),
    "front left": ("in front on the left",),
    "front right": ("in front on the right",),
}
"""Where a person stands, as the words after "the person"."""

_EXTRAS = {0: ("",), 1: ("with a stranger", "beside a stranger"), 2: ("with two strangers", "among strangers")}
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
_OWN_FRAMES = (
    "{where} {light}, {clauses}",
    "{clauses}, {where} {light}",
    "{light} {where}: {clauses}",
)
_FRAMES = (
    "{who} {does} {where} {light}, {face}",
    "{light}, {who} {does} {where}, {face}",
    "a video of {who}, {face}: {who} {does} {where} {light}",
    "{where} {light}, {who} {does}, {face}",
)

AttributeName = Literal["count", "action", "expression", "place", "light"]
"""What a sentence states."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneAttributes:
    """What a prompt can ask for.

    Attributes:
        count: people in the scene, 1 to 4.
        action: a key of `ACTIONS`; where people have roles of their own, what the first of them does, a key of
            `ROLE_ACTIONS`.
        expression: a key of `EXPRESSIONS`; likewise.
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
            "action": ROLE_ACTIONS,
            "expression": EXPRESSIONS,
            "place": PLACE_PHRASES,
            "light": LIGHT_PHRASES,
        }
        for name, table in tables.items():
            if getattr(self, name) not in table:
                raise ValueError(f"unknown {name} {getattr(self, name)!r}; known: {', '.join(table)}")
        if self.count not in COUNTS:
            raise ValueError(f"a scene holds 1 to {max(COUNTS)} people, not {self.count}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """What one person of a scene is there for.

    Attributes:
        name: what the person is called.
        spot: where the person stands.
        action: a key of `ROLE_ACTIONS`.
        expression: a key of `EXPRESSIONS`.
        to: index of the person whom the action is meant for; None if it is for nobody.
        is_extra: whether no photo shows this person: a stranger.
    """

    name: str
    spot: Spot
    action: str
    expression: str
    to: int | None = None
    is_extra: bool = False


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
    return _compose(
        str(rng.choice(_FRAMES)),
        who=who,
        does=ACTIONS[attributes.action][0 if attributes.count == 1 else 1],
        where=str(rng.choice(PLACE_PHRASES[attributes.place])),
        light=light,
        face=face,
    )


def other_sentences(sentence: str) -> dict[AttributeName, dict[str, tuple[str, ...]]]:
    """The sentences that differ from one of `describe_scene` in a single attribute, and in nothing else.

    Returns:
        By attribute, then by its value, every wording of the sentence with that value; the sentence's own value comes
        first. An attribute that the sentence leaves open is left out, but light: to say nothing of it is one of its
        values. Empty for a sentence that `describe_scene` does not write.
    """
    text = sentence.lower()
    found = {
        "who": _phrase_in(text, (phrase for phrases in COUNTS.values() for phrase in phrases)),
        "does": _phrase_in(text, (form for forms in ACTIONS.values() for form in forms)),
        "where": _phrase_in(text, (phrase for phrases in PLACE_PHRASES.values() for phrase in phrases)),
        "light": _phrase_in(text, (phrase for phrases in LIGHT_PHRASES.values() for phrase in phrases)),
        "face": _phrase_in(text, (phrase for phrases in EXPRESSIONS.values() for phrase in phrases)),
    }
    is_stated = bool(found["who"] and found["does"] and found["where"])
    frames = [frame for frame in _FRAMES if is_stated and _compose(frame, **found) == sentence]
    if not frames:
        return {}
    frame = frames[0]
    action = next(name for name, forms in ACTIONS.items() if found["does"] in forms)
    counts = {str(count): phrases for count, phrases in COUNTS.items()}
    forms = 0 if found["who"] in COUNTS[1] else 1
    wordings: dict[AttributeName, tuple[str, Mapping[str, tuple[str, ...]]]] = {
        "action": ("does", {name: (each[forms],) for name, each in ACTIONS.items()}),
        "expression": ("face", EXPRESSIONS),
        "place": ("where", PLACE_PHRASES),
        "light": ("light", LIGHT_PHRASES),
    }
    sentences: dict[AttributeName, dict[str, tuple[str, ...]]] = {
        "count": {
            count: tuple(
                _compose(frame, **found | {"who": who, "does": ACTIONS[action][0 if count == "1" else 1]})
                for who in phrases
            )
            for count, phrases in counts.items()
        }
    }
    for attribute, (slot, table) in wordings.items():
        if found[slot] or attribute == "light":
            sentences[attribute] = {
                value: tuple(_compose(frame, **found | {slot: phrase}) for phrase in phrases)
                for value, phrases in table.items()
            }
    return {
        attribute: dict(sorted(by_value.items(), key=lambda item: sentence not in item[1]))
        for attribute, by_value in sentences.items()
    }


def _phrase_in(text: str, phrases: Iterable[str]) -> str:
    """The longest of the phrases that stands in a text as whole words; an empty one if none does."""
    said = [phrase for phrase in phrases if phrase and re.search(rf"\b{re.escape(phrase)}\b", text)]
    return max(said, key=len, default="")


def _compose(frame: str, *, who: str, does: str, where: str, light: str, face: str) -> str:
    """Fills a frame, without what is left empty."""
    return _punctuated(frame.format(who=who, does=does, where=where, light=light, face=face))


def describe_roles(
    attributes: SceneAttributes,
    roles: Sequence[Role],
    rng: np.random.Generator,
    *,
    manner: Manner,
    complete: bool = False,
) -> str:
    """Writes one of many sentences for a scene in which people have roles.

    Args:
        attributes: place and light.
        roles: what each person does, in any order; extras are mentioned together.
        rng: chooses the wording, the order in which people are named and, unless `complete`, leaves out expressions
            or light now and then.
        manner: how people are told apart.
        complete: whether every attribute must be named.

    Raises:
        ValueError: the people do different things, and `manner` is "all".
    """
    cast = [index for index, role in enumerate(roles) if not role.is_extra]
    order = [cast[index] for index in rng.permutation(len(cast))]
    light = str(rng.choice(LIGHT_PHRASES[attributes.light]))
    if not complete and rng.random() < 0.25:
        light = ""
    shares_face = len({roles[index].expression for index in cast}) == 1
    shares_action = len({(roles[index].action, roles[index].to is None) for index in cast}) == 1
    called = {index: _called(roles[index], manner, rng) for index in cast}
    skip_faces = not complete and rng.random() < 0.2
    if manner == "all" or (shares_action and shares_face and len(cast) > 1 and roles[cast[0]].to is None):
        if not (shares_action and shares_face):
            raise ValueError("the people of a scene do different things, so that no sentence says it of all")
        who = str(rng.choice(COUNTS[len(cast)])) if manner == "all" else _listed([called[index] for index in order])
        clauses = [
            _clause(
                who, ROLE_ACTIONS[roles[cast[0]].action][len(cast) > 1], roles[cast[0]].expression, skip_faces, rng
            )
        ]
    else:
        clauses = []
        for index in order:
            role = roles[index]
            verb = ROLE_ACTIONS[role.action][0]
            if role.to is not None:
                whom = called.get(role.to, "a stranger")
                verb = f"{ADDRESSED[role.action]} {whom}"
            skip = skip_faces or (not complete and rng.random() < 0.15)
            clauses.append(_clause(called[index], verb, role.expression, skip, rng))
    extras = str(rng.choice(_EXTRAS[min(len(roles) - len(cast), 2)]))
    return _punctuated(
        str(rng.choice(_OWN_FRAMES)).format(
            where=f"{rng.choice(PLACE_PHRASES[attributes.place])} {extras}", light=light, clauses=_joined(clauses)
        )
    )


def phrase_of(sentence: str, role: Role) -> str | None:
    """The words by which a sentence of `describe_roles` calls a person, as they stand in it.

    Args:
        sentence: the sentence of a scene.
        role: the role of one of its people.

    Returns:
        The name, or words of place such as "the person on the left"; None where the sentence speaks of all together,
        or of strangers.
    """
    places = [f"the person {where}".strip() for where in SPOTS[role.spot]]
    for phrase in (role.name, *sorted(places, key=len, reverse=True)):
        if found := re.search(rf"\b{re.escape(phrase)}\b", sentence, flags=re.IGNORECASE):
            return found.group()
    return None


def _called(role: Role, manner: Manner, rng: np.random.Generator) -> str:
    where = str(rng.choice(SPOTS[role.spot]))
    if manner == "name":
        return f"{role.name} {where}".strip() if rng.random() < 0.2 else role.name
    return f"the person {where}" if where else "the person"


def _clause(who: str, verb: str, expression: str, skip_face: bool, rng: np.random.Generator) -> str:
    face = "" if skip_face else f", {rng.choice(EXPRESSIONS[expression])}"
    return f"{who} {verb}{face}"


def _joined(clauses: Sequence[str]) -> str:
    return clauses[0] if len(clauses) == 1 else f"{', '.join(clauses[:-1])}, and {clauses[-1]}"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _punctuated(sentence: str) -> str:
    """The sentence with single spaces, no comma beside another mark, a capital and a full stop."""
    sentence = re.sub(r"\s+", " ", sentence).strip(" ,:")
    sentence = re.sub(r" ([,:])", r"\1", sentence)
    sentence = re.sub(r"[,:]+(?=[,:]|$)", "", sentence)
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
    """Every word that the sentence of a scene can hold in which everybody does the same, sorted."""
    tables = (COUNTS, EXPRESSIONS, PLACE_PHRASES, LIGHT_PHRASES, ACTIONS)
    return sorted({*_words_of(_FRAMES, *_phrases(tables)), "and", "the", "are", "is"})


def role_vocabulary() -> list[str]:
    """Every word that any scene's sentence can hold, names included, sorted."""
    phrases = [*_phrases((ROLE_ACTIONS, SPOTS, _EXTRAS)), *ADDRESSED.values(), *NAMES, "the person", "a stranger"]
    return sorted({*vocabulary(), *_words_of(_OWN_FRAMES, *phrases)})


def _phrases(tables: Iterable[Mapping[Any, tuple[str, ...]]]) -> list[str]:
    return [phrase for table in tables for phrases in table.values() for phrase in phrases]


def _words_of(frames: Iterable[str], *phrases: str) -> set[str]:
    return {word for phrase in (*frames, *phrases) for word in words(re.sub(r"\{\w+\}", " ", phrase))}
