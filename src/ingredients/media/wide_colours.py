"""Colours of telephones and televisions that a usual screen cannot show, as it would show them.

A picture with a high dynamic range says how bright each place was to be, up to 10,000 (PQ, SMPTE ST 2084) or 1,000
(HLG, BT.2100) candela a square metre, in BT.2020's primaries. Here white on paper, 203 of them (BT.2408), becomes the
screen's white; what is brighter is pressed together below it, keeping its hue; what has no place among sRGB's colours
is cut off. That is a simple tone mapping: players differ, and none is the right one.

Legend: H/W pixels.
"""

import functools

import numpy as np
from numpy.typing import NDArray

from ingredients.core.arrays import Float32Array, UInt8Array

BT2020_PRIMARIES = 9
PQ, HLG = 16, 18
"""FFmpeg's numbers."""

PAPER_WHITE = 203.0
HLG_PEAK = 1000.0
_HLG_GAMMA = 1.2
"""How a screen of that peak shows HLG (BT.2100)."""

_KNEE = 0.75
"""Light up to here stays as it is."""

_LEVELS = 65536
_SDR_GAMMA = 2.4

TO_BT709 = np.array([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32)
"""From light in BT.2020's primaries to light in BT.709's (BT.2087)."""

_BT2020_LUMA = np.array([0.2627, 0.6780, 0.0593], np.float32)


def is_wide(*, primaries: int, transfer: int) -> bool:
    """Whether colours are others than a usual screen's, by FFmpeg's numbers of what a file says."""
    return primaries == BT2020_PRIMARIES or transfer in (PQ, HLG)


def to_screen_colours(pixels: NDArray[np.uint16], *, transfer: int) -> UInt8Array:
    """Colours (H, W, 3) of sRGB, from those of a picture in BT.2020's primaries.

    Args:
        pixels: (H, W, 3), RGB as coded, of 16 bits.
        transfer: FFmpeg's number of the transfer function; any but PQ and HLG is that of a usual screen.
    """
    light: Float32Array = _light_of_levels(transfer)[pixels]  # (H, W, 3), 1 is paper's white
    if transfer == HLG:
        brightness = (light @ _BT2020_LUMA)[..., None]
        light *= brightness ** (_HLG_GAMMA - 1) * (HLG_PEAK / PAPER_WHITE)
    light = np.matmul(light, TO_BT709.T)
    if transfer in (PQ, HLG):
        light = _pressed_together(light)
    return _to_levels(light, transfer)


@functools.cache
def _light_of_levels(transfer: int) -> Float32Array:
    """The light that each of 65,536 levels means."""
    level = np.linspace(0, 1, _LEVELS)
    if transfer == PQ:
        power = level ** (32 / 2523)
        light = (
            10_000
            / PAPER_WHITE
            * (np.maximum(power - 107 / 128, 0) / (2413 / 128 - 2392 / 128 * power)) ** (8192 / 1305)
        )
    elif transfer == HLG:
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        light = np.where(level <= 0.5, level**2 / 3, (np.exp((level - c) / a) + b) / 12)
    else:
        light = level**_SDR_GAMMA
    return light.astype(np.float32)


def _pressed_together(light: Float32Array) -> Float32Array:
    """Light of which nothing is above 1: by the brightest of its three colours, so that the hue stays."""
    brightest = light.max(axis=-1, keepdims=True)
    above = np.maximum(brightest - _KNEE, 0) / (1 - _KNEE)
    shown = np.where(above > 0, _KNEE + (1 - _KNEE) * above / (1 + above), brightest)
    pressed: Float32Array = light * (shown / np.maximum(brightest, 1e-6))
    return pressed


def _to_levels(light: Float32Array, transfer: int) -> UInt8Array:
    light = np.clip(light, 0, 1)
    if transfer in (PQ, HLG):
        coded = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    else:
        coded = light ** (1 / _SDR_GAMMA)  # other colours, the same screen
    return (coded * 255).round().astype(np.uint8)
