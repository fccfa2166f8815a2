"""What can be set by hand of a drawn person; nothing here needs PyTorch."""

import dataclasses
from collections.abc import Mapping

from ingredients.core.errors import UserInputError
from ingredients.world.identity import (
    BEARDS,
    BROWS,
    CLOTH_COLOURS,
    GLASSES,
    HAIR_COLOURS,
    HAIR_STYLES,
    HATS,
    IRISES,
    NOSES,
    SHIRTS,
    SKINS,
    Identity,
)

FEATURES: Mapping[str, tuple[str, ...]] = {
    "skin": tuple(SKINS),
    "hair_style": HAIR_STYLES,
    "hair_colour": tuple(HAIR_COLOURS),
    "hat": tuple(dict.fromkeys(HATS)),
    "hat_colour": ("none", *CLOTH_COLOURS),
    "glasses": tuple(dict.fromkeys(GLASSES)),
    "beard": tuple(dict.fromkeys(BEARDS)),
    "nose": NOSES,
    "brow": BROWS,
    "iris": tuple(IRISES),
    "shirt": SHIRTS,
    "shirt_colour": tuple(CLOTH_COLOURS),
}
"""What can be set by hand, and what each can be."""


def check_features(features: Mapping[str, str]) -> None:
    """Checks features that are set by hand.

    Raises:
        UserInputError: for one, or a value of one, that the drawn world does not know.
    """
    for name, value in features.items():
        if name not in FEATURES:
            raise UserInputError(f"A drawing has no feature {name!r}; choose among {', '.join(FEATURES)}.")
        if value not in FEATURES[name]:
            raise UserInputError(f"The feature {name} cannot be {value!r}; choose among {', '.join(FEATURES[name])}.")


def with_features(identity: Identity, features: Mapping[str, str]) -> Identity:
    """A person of whom some features are others; a hat has a colour, and no hat has none."""
    changed = dataclasses.replace(identity, **dict(features))  # type: ignore[arg-type]
    if changed.hat == "none":
        return dataclasses.replace(changed, hat_colour="none")
    return dataclasses.replace(changed, hat_colour="black") if changed.hat_colour == "none" else changed
