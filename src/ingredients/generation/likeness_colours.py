"""Colours of photographs, and which of the drawn world's own is most like one."""

from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ingredients.core.arrays import Float32Array, UInt8Array

Rgb: TypeAlias = tuple[int, int, int]

# How the world's colours look in photographs: paler or darker than the flat ones that it paints with.
_PHOTOGRAPHED_SKINS: dict[str, Rgb] = {
    "pale": (240, 212, 196),
    "fair": (224, 180, 154),
    "rosy": (222, 142, 124),
    "olive": (192, 152, 108),
    "tan": (178, 126, 92),
    "brown": (142, 96, 70),
    "dark": (98, 66, 50),
    "deep": (60, 42, 36),
}
_PHOTOGRAPHED_HAIR: dict[str, Rgb] = {
    "black": (34, 30, 30),
    "brown": (84, 60, 44),
    "auburn": (120, 58, 38),
    "ginger": (176, 96, 46),
    "blond": (188, 150, 96),
    "grey": (132, 128, 126),
    "white": (208, 204, 200),
    "blue": (50, 80, 170),
    "pink": (214, 110, 160),
}
_PHOTOGRAPHED_CLOTHS: dict[str, Rgb] = {
    "red": (160, 36, 42),
    "orange": (214, 118, 44),
    "yellow": (206, 172, 56),
    "green": (58, 112, 66),
    "teal": (32, 124, 130),
    "blue": (44, 70, 150),
    "purple": (112, 64, 140),
    "white": (214, 214, 214),
    "black": (36, 36, 42),
}

Kind: TypeAlias = Literal["skin", "hair", "cloth"]
_PALETTES: dict[Kind, dict[str, Rgb]] = {
    "skin": _PHOTOGRAPHED_SKINS,
    "hair": _PHOTOGRAPHED_HAIR,
    "cloth": _PHOTOGRAPHED_CLOTHS,
}


def nearest(lab: Float32Array, kind: Kind, *, among: Sequence[str] | None = None) -> str:
    """The name of the colour that is most like another (3,), of some names or of all."""
    [distances] = _distances(lab[None], kind)
    return min(_PALETTES[kind] if among is None else among, key=lambda name: distances[_number(kind, name)])


def shares(lab: Float32Array, kind: Kind) -> dict[str, float]:
    """How many of some colours (N, 3) each name of a kind is most like, as parts of 1, the most common first."""
    palette = _PALETTES[kind]
    counts = np.bincount(_most_like(lab, kind), minlength=len(palette)) / len(lab)
    return dict(sorted(zip(palette, counts.tolist(), strict=True), key=lambda pair: -pair[1]))


def which_are(lab: Float32Array, kind: Kind, name: str) -> NDArray[np.bool_]:
    """Which of some colours (N, 3) are most like that of a name."""
    return np.asarray(_most_like(lab, kind) == _number(kind, name))


def _most_like(lab: Float32Array, kind: Kind) -> NDArray[np.int64]:
    """The number (N,) of the colour of a kind that each of some colours (N, 3) is most like."""
    return np.asarray(_distances(lab, kind).argmin(axis=-1))


def _number(kind: Kind, name: str) -> int:
    return list(_PALETTES[kind]).index(name)


def _distances(lab: Float32Array, kind: Kind) -> Float32Array:
    """How far some colours (N, 3) are from each of a kind's (N, names).

    What skin and hair are, the light may have changed: they are as red and as yellow for their lightness still.
    """
    colours = to_lab(np.array([list(_PALETTES[kind].values())], np.uint8))[0]  # (names, 3)
    if kind == "cloth":
        return np.stack([distance(lab, colour, lightness=0.7) for colour in colours], axis=-1)
    hues = np.linalg.norm(per_light(lab)[:, None] - per_light(colours), axis=-1)
    distances = np.hypot(_HUE * hues, _LIGHTNESS * (lab[:, None, 0] - colours[:, 0]))
    if kind == "hair":
        distances = distances + np.array([_RARE * (name in DYED) for name in _PALETTES[kind]], np.float32)
    return np.asarray(distances, np.float32)


DYED, _RARE = ("blue", "pink"), 20.0
_HUE, _LIGHTNESS = 65.0, 0.5
"""What a difference counts of how red and yellow a skin or hair is for its lightness, and of the lightness itself."""


def per_light(lab: Float32Array) -> Float32Array:
    """How red and how yellow colours (..., 3) are for their lightness (..., 2), which is the same in any light.

    Less light makes all three of L + 16, a and b smaller by the same part, as long as they are no near-blacks.
    """
    return np.asarray(lab[..., 1:] / (lab[..., :1] + 16), dtype=np.float32)


def distance(lab: Float32Array, colour: Float32Array, *, lightness: float = 1.0) -> Float32Array:
    """How far colours (..., 3) in Lab lie from one (3,)."""
    difference = (lab - colour) * np.array([lightness, 1.0, 1.0], np.float32)
    return np.asarray(np.linalg.norm(difference, axis=-1), dtype=np.float32)


_TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]], np.float32)
_WHITE = np.array([0.9505, 1.0, 1.089], np.float32)


def to_lab(pixels: UInt8Array) -> Float32Array:
    """SRGB (..., 3) as CIE 1976 L*a*b* (..., 3)."""
    values = pixels.astype(np.float32) / 255
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    xyz = linear @ _TO_XYZ.T / _WHITE
    curved = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    x, y, z = np.moveaxis(curved, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1).astype(np.float32)


def to_rgb(lab: Float32Array) -> tuple[int, int, int]:
    """A colour (3,) in Lab as sRGB."""
    lightness, a, b = (float(number) for number in lab)
    y = (lightness + 16) / 116
    curved = np.array([y + a / 500, y, y - b / 200])
    xyz = np.where(curved**3 > 0.008856, curved**3, (curved - 16 / 116) / 7.787) * _WHITE
    linear = np.clip(np.linalg.solve(_TO_XYZ.astype(np.float64), xyz), 0, 1)
    values = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    red, green, blue = np.round(values * 255).astype(int).tolist()
    return red, green, blue
