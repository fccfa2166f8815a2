"""Numbers that a person gives: are they any? Nothing heavy is imported here, so that options are checked at once."""

import math
import operator
from typing import SupportsFloat, SupportsIndex

from ingredients.core.errors import ArgumentError

LARGEST_NUMBER = 3.4028234663852886e38
"""In single precision, in which models compute."""


def check_number(name: str, value: SupportsFloat) -> float:
    """A number that is finite, also in single precision.

    Raises:
        ArgumentError: if it is none.
    """
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if math.isnan(number) or isinstance(value, bool | str):
        raise ArgumentError(f"{name} must be a number, not {str(value)[:40]}.")
    if abs(number) > LARGEST_NUMBER:
        raise ArgumentError(f"{name} is {str(value)[:40]}, which is more than a model can count to; make it smaller.")
    return number


def whole_number(name: str, value: SupportsIndex, *, least: int) -> int:
    """A whole number, also one of numpy's or PyTorch's.

    Raises:
        ArgumentError: if it is none, or smaller than `least`.
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if number < least or isinstance(value, bool):
        raise ArgumentError(f"{name} must be a whole number, {least} or more, not {str(value)[:40]}.")
    return number
