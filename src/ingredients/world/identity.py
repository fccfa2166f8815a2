"""Who a drawn person is: the features that a photo must carry into the video.

Splits are disjoint by construction: the discrete features of an identity are hashed, and each split owns some of the
hash's values. A person of the evaluation split therefore differs from every training person in at least one of
them, whatever the seeds.
"""

import hashlib
from dataclasses import dataclass, fields
from typing import Literal

import numpy as np

from ingredients.world.shapes import Colour

Split = Literal["train", "judge", "eval"]

SKINS: dict[str, Colour] = {
    "pale": (0.98, 0.87, 0.79),
    "fair": (0.95, 0.78, 0.66),
    "rosy": (0.93, 0.69, 0.60),
    "olive": (0.80, 0.65, 0.44),
    "tan": (0.78, 0.55, 0.38),
    "brown": (0.60, 0.40, 0.26),
    "dark": (0.44, 0.28, 0.19),
    "deep": (0.30, 0.19, 0.14),
}
HAIR_COLOURS: dict[str, Colour] = {
    "black": (0.09, 0.08, 0.09),
    "brown": (0.36, 0.21, 0.12),
    "auburn": (0.55, 0.20, 0.10),
    "ginger": (0.85, 0.42, 0.12),
    "blond": (0.93, 0.79, 0.40),
    "grey": (0.62, 0.62, 0.64),
    "white": (0.94, 0.94, 0.92),
    "blue": (0.20, 0.36, 0.80),
    "pink": (0.93, 0.42, 0.66),
}
CLOTH_COLOURS: dict[str, Colour] = {
    "red": (0.82, 0.15, 0.17),
    "orange": (0.95, 0.55, 0.13),
    "yellow": (0.96, 0.84, 0.22),
    "green": (0.18, 0.56, 0.28),
    "teal": (0.10, 0.62, 0.64),
    "blue": (0.16, 0.33, 0.75),
    "purple": (0.50, 0.24, 0.66),
    "white": (0.94, 0.94, 0.94),
    "black": (0.13, 0.13, 0.15),
}
IRISES: dict[str, Colour] = {
    "brown": (0.30, 0.17, 0.08),
    "blue": (0.22, 0.45, 0.80),
    "green": (0.20, 0.52, 0.28),
    "black": (0.06, 0.05, 0.05),
}
HAIR_STYLES = ("bald", "short", "side", "long", "bob", "curly", "bun", "spiky")
HATS = ("none", "none", "none", "beanie", "cap", "brim", "band")
GLASSES = ("none", "none", "none", "round", "square", "dark")
BEARDS = ("none", "none", "none", "full", "goatee", "moustache")
NOSES = ("button", "long", "wide")
BROWS = ("thin", "thick", "slanted", "arched")
SHIRTS = ("plain", "stripes", "collar")

ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "hat": tuple(dict.fromkeys(HATS)),
    "hat_colour": tuple(CLOTH_COLOURS),
    "hair_style": HAIR_STYLES,
    "hair_colour": tuple(HAIR_COLOURS),
    "glasses": tuple(dict.fromkeys(GLASSES)),
    "beard": tuple(dict.fromkeys(BEARDS)),
    "shirt_colour": tuple(CLOTH_COLOURS),
}
"""What a picture shows of a person beside the face itself, and the values of each."""

_DOMES = ("beanie", "cap", "brim")
"""Hats under which hair is hidden, but for what hangs behind the face."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """One drawn person. Lengths are in units of the face's height.

    Attributes:
        skin, hair_style, hair_colour, hat, hat_colour, glasses, beard, nose, brow, iris, shirt, shirt_colour: names
            from this module's tables.
        face_width: half width of the face.
        jaw: 0 pointed to 1 square.
        eye_spacing: half distance between the eyes.
        eye_size: half width of an eye.
        eye_height: how high the eyes sit above the middle.
        nose_length: length of the nose.
        mouth_width: half width of the mouth.
        lip: thickness of the lips.
        ear: radius of the ears.
        freckles: whether the cheeks have freckles.
        tint: small deviation of skin and hair brightness.
    """

    skin: str
    hair_style: str
    hair_colour: str
    hat: str
    hat_colour: str
    glasses: str
    beard: str
    nose: str
    brow: str
    iris: str
    shirt: str
    shirt_colour: str
    freckles: bool
    face_width: float
    jaw: float
    eye_spacing: float
    eye_size: float
    eye_height: float
    nose_length: float
    mouth_width: float
    lip: float
    ear: float
    tint: float

    @property
    def split(self) -> Split:
        """The split that owns this combination of discrete features."""
        code = "|".join(str(getattr(self, field.name)) for field in fields(self) if field.type is not float)
        bucket = hashlib.sha256(code.encode()).digest()[0] % 20
        return "train" if bucket < 14 else "judge" if bucket < 18 else "eval"

    @property
    def visible_attributes(self) -> dict[str, str]:
        """Those of `ATTRIBUTES` that a picture of head and shoulders shows, without what is covered or not there."""
        hidden = set()
        if self.hat == "none":
            hidden.add("hat_colour")
        if self.hat in _DOMES:
            hidden.add("hair_style")
        if self.hair_style == "bald" or (self.hat in _DOMES and self.hair_style not in ("long", "bob", "curly")):
            hidden.add("hair_colour")
        return {name: getattr(self, name) for name in ATTRIBUTES if name not in hidden}


def sample_identity(seed: int, split: Split = "train", *, like: Identity | None = None) -> Identity:
    """Draws the person number `seed` of a split.

    Args:
        seed: any integer; the same seed and split give the same person.
        split: "train" and "eval" for the model, "judge" for the recogniser that measures it.
        like: a person whose skin, hair colour and hat the new one shares (a hard distractor).
    """
    rng = np.random.default_rng([abs(seed), int(seed < 0), ("train", "judge", "eval").index(split)])
    while True:
        identity = _draw(rng, like)
        if identity.split == split:
            return identity


def _draw(rng: np.random.Generator, like: Identity | None) -> Identity:
    def pick(names: tuple[str, ...] | dict[str, Colour]) -> str:
        return str(rng.choice(tuple(names)))

    skin, hair_colour, hat, hat_colour = pick(SKINS), pick(HAIR_COLOURS), pick(HATS), pick(CLOTH_COLOURS)
    if like is not None:
        skin, hair_colour, hat, hat_colour = like.skin, like.hair_colour, like.hat, like.hat_colour
    return Identity(
        skin=skin,
        hair_style=pick(HAIR_STYLES),
        hair_colour=hair_colour,
        hat=hat,
        hat_colour=hat_colour if hat != "none" else "none",
        glasses=pick(GLASSES),
        beard=pick(BEARDS),
        nose=pick(NOSES),
        brow=pick(BROWS),
        iris=pick(IRISES),
        shirt=pick(SHIRTS),
        shirt_colour=pick(CLOTH_COLOURS),
        freckles=bool(rng.random() < 0.2),
        face_width=float(rng.uniform(0.38, 0.48)),
        jaw=float(rng.uniform(0.0, 1.0)),
        eye_spacing=float(rng.uniform(0.155, 0.225)),
        eye_size=float(rng.uniform(0.07, 0.11)),
        eye_height=float(rng.uniform(0.02, 0.12)),
        nose_length=float(rng.uniform(0.10, 0.20)),
        mouth_width=float(rng.uniform(0.12, 0.22)),
        lip=float(rng.uniform(0.014, 0.034)),
        ear=float(rng.uniform(0.06, 0.11)),
        tint=float(rng.uniform(-0.05, 0.05)),
    )
