"""A case: who is to be seen doing what, whoever makes the video; and the fixed cases of an evaluation.

Case number i is the same whatever the number of cases, so that a short evaluation is the beginning of a long one.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from ingredients.core.arrays import UInt8Array
from ingredients.core.errors import UserInputError
from ingredients.pipelines.places import PlacePath
from ingredients.world.captions import (
    ACTIONS,
    ADDRESSED,
    COUNTS,
    EXPRESSIONS,
    LIGHT_PHRASES,
    NAMES,
    PLACE_PHRASES,
    Manner,
    Role,
    SceneAttributes,
    describe_roles,
    describe_scene,
)
from ingredients.world.identity import ATTRIBUTES, Identity, sample_identity
from ingredients.world.portraits import Portrait, render_portrait
from ingredients.world.scenes import PLACES_ACROSS, SceneSpec
from ingredients.world.styles import EACH_OWN, STYLES, TOGETHER

CASES_VERSION = 2
"""Raised whenever a case changes: numbers of different versions cannot be compared."""

MAX_PEOPLE = max(COUNTS)

PHOTOS_PER_PERSON = 3
"""Photos by which the judge knows a person: the one that the generator gets, and two more."""

PHOTO_STRIDE = 2**32

PHOTO_SIZE = 128
"""Side of the photos that the generator is given, in pixels."""

# Ranges of seeds in the evaluation split that never meet.
FIRST_CASE_SEED = 1_000_000
FIRST_DISTRACTOR_SEED = 2_000_000
FIRST_CALIBRATION_SEED = 3_000_000
_SEEDS_PER_CASE = 16


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody whom a video is asked for with."""

    name: str
    """Unique in the case. In other cases of one manifest the same name is taken for the same person."""

    photos: tuple[str, ...] = ()
    """Files that show the person as their largest face, relative to the folder of the videos; none for a person of the
    drawn world whose photos are drawn when they are needed."""

    identity_seed: int | None = None
    """Seed of a person of the drawn world's evaluation split, and of their photos."""

    def __post_init__(self) -> None:
        """Checks that there is something to know the person by."""
        if not self.name.strip():
            raise ValueError("a person has no name")
        if not self.photos and self.identity_seed is None:
            raise ValueError(f"{self.name} has no photos")
        for photo in self.photos:
            _check_inside(photo, "a photo")

    @property
    def identity(self) -> Identity:
        """The person of the drawn world."""
        assert self.identity_seed is not None  # asked only of such people
        return sample_identity(self.identity_seed, "eval")

    def portrait(self, *, size: int = PHOTO_SIZE) -> Portrait:
        """The photo of a person of the drawn world that the generator is given."""
        assert self.identity_seed is not None
        return render_portrait(self.identity, self.identity_seed, size=size)

    def known_by(self) -> list[Portrait]:
        """The photos of a person of the drawn world by which the judge knows them; the first is `portrait`."""
        assert self.identity_seed is not None
        return person_photos(self.identity, self.identity_seed, size=PHOTO_SIZE)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One question: people with photos, and what is to be seen of them; and what else is known of the answer."""

    index: int = 0
    """Number of the case."""

    case_id: str | None = None
    """Name of the case in reports; the video's file name, without the ending, or else the number otherwise."""

    prompt: str
    """The sentence."""

    people: tuple[Person, ...]
    """Who is asked for, in the order of the photos."""

    other_people: tuple[Person, ...] = ()
    """Whom the model's local branch alone is given, where these are others than the canvas shows."""

    seed: int = 0
    """Seed of the generation, and of the real clip of a case of the drawn world."""

    ordered: bool = False
    """Whether the people are asked for from left to right in this order."""

    places: tuple[PlacePath, ...] = dataclasses.field(default=(), hash=False)
    """Where each person is asked to stand; none where nobody is told a place."""

    attributes: SceneAttributes | None = None
    """What the prompt of a case of the drawn world says; such a case has a real clip, with the truth about it."""

    roles: tuple[Role, ...] = ()
    """What each person is asked to do, in the order of `people`, then what the extras do; none where all do what
    `attributes` say."""

    extra_seeds: tuple[int, ...] = ()
    """Seeds of the strangers of the evaluation split whom the prompt asks for beside the people, without photos."""

    manner: Manner = "all"
    """How the prompt says who does what: of all together, by place, or by name."""

    style: str = TOGETHER.name
    """How the real clip of a case of the drawn world is framed and played; a key of `STYLES`."""

    file_name: str | None = None
    """The video, relative to its folder; None where it is yet to be made."""

    real_video: str | None = None
    """A real video of the same people and prompt, relative to the folder."""

    temporal_ratio: int | None = None
    """Frames in each latent frame of the video's VAE but the first, which holds one; with it, motion is told by where
    it happens."""

    def __post_init__(self) -> None:
        """Checks that a question is asked."""
        for name in ("file_name", "real_video"):
            if (file := getattr(self, name)) is not None:
                _check_inside(file, name)
        if not self.prompt.strip():
            raise ValueError("the prompt is empty")
        if self.case_id is not None and not self.case_id.strip():
            raise ValueError("case_id is empty")
        if self.temporal_ratio is not None and self.temporal_ratio < 1:
            raise ValueError(f"temporal_ratio must be at least 1, not {self.temporal_ratio}")
        if not self.people:
            raise ValueError("nobody is asked for")
        names = [person.name for person in self.people]
        if len(set(names)) < len(names):
            raise ValueError(f"two people have one name: {', '.join(names)}")

    @property
    def name(self) -> str | None:
        """The name that the case was given, or that of its video."""
        return PurePosixPath(self.file_name).stem if self.case_id is None and self.file_name else self.case_id

    @property
    def label(self) -> str:
        """What the case is called in reports."""
        return self.name or str(self.index)

    @property
    def has_real_video(self) -> bool:
        """Whether there is a real video of the same people and prompt."""
        return self.real_video is not None or self.attributes is not None

    @property
    def identity_seeds(self) -> tuple[int, ...]:
        """The seeds of the people of a case of the drawn world."""
        return tuple(person.identity_seed for person in self.people if person.identity_seed is not None)

    @property
    def identities(self) -> tuple[Identity, ...]:
        """The people of a case of the drawn world."""
        return tuple(person.identity for person in self.people)

    def portraits(self, *, size: int = PHOTO_SIZE) -> list[Portrait]:
        """The photos of drawn people that the generator is given, one a person."""
        return [person.portrait(size=size) for person in self.people]

    def named_photos(self) -> dict[str, UInt8Array]:
        """The same by the people's names, by which the prompt may call them, as a pipeline takes them."""
        return {person.name: portrait.image for person, portrait in zip(self.people, self.portraits(), strict=True)}

    def photos(self) -> dict[str, UInt8Array]:
        """The same by the people's numbers, for pictures that tell who is who."""
        return {str(number): portrait.image for number, portrait in enumerate(self.portraits(), start=1)}

    def scene(self) -> SceneSpec:
        """The real clip that shows what a case of the drawn world asks for."""
        assert self.attributes is not None
        extras = tuple(sample_identity(seed, "eval") for seed in self.extra_seeds)
        return SceneSpec(
            people=self.identities + extras,
            attributes=self.attributes,
            caption=self.prompt,
            seed=self.seed,
            roles=self.roles,
            style=STYLES[self.style],
        )

    @property
    def traits(self) -> tuple[dict[str, str], ...]:
        """What each person of a case of the drawn world is to do and to look like, as far as a picture shows it."""
        return tuple(
            {"action": act.action, "expression": act.expression, **identity.visible_attributes}
            for act, identity in zip(self.scene().acts, self.identities, strict=False)  # the extras come last
        )

    @property
    def trait_values(self) -> dict[str, tuple[str, ...]]:
        """What each of `traits` can be in clips of the case's style."""
        return {"action": STYLES[self.style].actions, "expression": tuple(EXPRESSIONS), **ATTRIBUTES}


def style_for(config: Mapping[str, Any]) -> str:
    """The style of cases that asks of a model what it was made for.

    Args:
        config: of its transformer. One whose words hear of the photos (`id_phrases`) is asked for something else of
            each person; any other one cannot tell whom a word is about, and is asked for the same of all.
    """
    return EACH_OWN.name if config.get("id_phrases") else TOGETHER.name


def drawn_person(number: int, seed: int) -> Person:
    """The person of the drawn world whom a case asks for in place `number`, from 1 on."""
    return Person(name=f"person {number}", identity_seed=seed)


def person_photos(person: Identity, portrait_seed: int, *, size: int) -> list[Portrait]:
    """The photos by which the judge knows a person; the first is the one that the generator gets."""
    return [
        render_portrait(person, portrait_seed + PHOTO_STRIDE * index, size=size) for index in range(PHOTOS_PER_PERSON)
    ]


def make_case(
    index: int,
    *,
    num_people: int = 2,
    num_extras: int = 0,
    first_seed: int = FIRST_CASE_SEED,
    style: str = TOGETHER.name,
) -> Case:
    """Makes case number `index`: people of the evaluation split, a prompt whose attributes are balanced over cases.

    Args:
        index: the index of the case.
        num_people: who are asked for.
        num_extras: strangers who are asked for beside them, whom no photo shows; with `each-own` only.
        first_seed: the seed of the people of case 0.
        style: `together` asks all to do the same; `each-own` asks each person for an action and an expression of the
            own, by name and by place in turn, the people standing from left to right in their order.

    Raises:
        UserInputError: for a number of people that prompts cannot state.
    """
    if not 1 <= num_people <= MAX_PEOPLE:
        raise UserInputError(f"A case holds 1 to {MAX_PEOPLE} people, not {num_people}; choose another number.")
    if num_extras and (num_people + num_extras > MAX_PEOPLE or style == TOGETHER.name):
        raise UserInputError(
            f"A case holds at most {MAX_PEOPLE} people with its extras, of whom prompts of the style {EACH_OWN.name} "
            f"alone speak, not {num_people} and {num_extras} in the style {style}; choose other ones."
        )
    seed = first_seed + _SEEDS_PER_CASE * index
    rng = np.random.default_rng([CASES_VERSION, seed])
    attributes = SceneAttributes(
        count=num_people,
        action=_balanced(tuple(ACTIONS), index, first_seed, 1),
        expression=_balanced(tuple(EXPRESSIONS), index, first_seed, 2),
        place=_balanced(tuple(PLACE_PHRASES), index, first_seed, 3),
        light=_balanced(tuple(LIGHT_PHRASES), index, first_seed, 4),
    )
    people = tuple(drawn_person(person + 1, seed + person) for person in range(num_people))
    if style == TOGETHER.name:
        prompt = describe_scene(attributes, rng, complete=True)
        return Case(index=index, people=people, attributes=attributes, prompt=prompt, seed=seed)
    roles = _deal_roles(index, num_people, num_extras, first_seed)
    manner: Manner = "name" if index % 2 == 0 else "place"
    if manner == "name":
        people = tuple(
            dataclasses.replace(person, name=role.name) for person, role in zip(people, roles, strict=False)
        )
    return Case(
        index=index,
        people=people,
        attributes=dataclasses.replace(attributes, action=roles[0].action, expression=roles[0].expression),
        prompt=describe_roles(attributes, roles, rng, manner=manner, complete=True),
        seed=seed,
        roles=roles,
        extra_seeds=tuple(seed + num_people + extra for extra in range(num_extras)),
        manner=manner,
        style=style,
    )


_STAYING = tuple(action for action in EACH_OWN.actions if action not in ("come", "leave"))


def _deal_roles(index: int, num_people: int, num_extras: int, first_seed: int) -> tuple[Role, ...]:
    """What each person of a case does, the extras last: no two the same, so that exchanged actions show.

    Nobody comes or leaves, or "everyone present" would say nothing. The people stand from left to right in their
    order, extras anywhere between them.
    """
    number = num_people + num_extras
    rng = np.random.default_rng([CASES_VERSION, first_seed, 5, index])
    names = rng.choice(NAMES, number, replace=False)
    strangers = rng.choice(number, num_extras, replace=False).tolist()
    places = [*(place for place in range(number) if place not in strangers), *strangers]
    spots = [PLACES_ACROSS[number][place] for place in places]
    possible = [action for action in _STAYING if num_people > 1 or action != "face"]
    roles: list[Role] = []
    for person, spot in enumerate(spots):
        taken = {role.action for role in roles}
        action = _balanced(tuple(action for action in possible if action not in taken), index, first_seed, 6 + person)
        roles.append(
            Role(
                name=str(names[person]),
                spot=spot,
                action=action,
                expression=_balanced(tuple(EXPRESSIONS), index, first_seed, 16 + person),
                to=(person + 1) % num_people if action in ADDRESSED and num_people > 1 else None,
                is_extra=person >= num_people,
            )
        )
    return tuple(roles)


def make_cases(num_cases: int, *, num_people: int = 2, num_extras: int = 0, style: str = TOGETHER.name) -> list[Case]:
    """The first `num_cases` cases.

    Raises:
        UserInputError: for no case at all, or a number of people that prompts cannot state.
    """
    if num_cases < 1:
        raise UserInputError(f"An evaluation needs at least one case, not {num_cases}.")
    return [make_case(index, num_people=num_people, num_extras=num_extras, style=style) for index in range(num_cases)]


def _balanced(values: tuple[str, ...], index: int, first_seed: int, salt: int) -> str:
    """Deals all values in a new order each round, so that the cases of a round hold each of them once."""
    dealt, position = divmod(index, len(values))
    order = np.random.default_rng([CASES_VERSION, first_seed, salt, dealt]).permutation(len(values))
    return values[int(order[position])]


def _check_inside(name: str, what: str) -> None:
    relative = PurePosixPath(name)
    if not name.strip() or relative.is_absolute() or ".." in relative.parts:
        raise ValueError(f"{what} must be a file in the folder, not {name!r}")
