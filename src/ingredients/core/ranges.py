"""Numbers and what they may be: ranges as parts of declarations, such as `Annotated[int, Range(at_least=1)]`.

A number that is declared without one must still be finite. Nothing heavy is imported here, so that options are checked
at once.
"""

import dataclasses
import functools
import math
import operator
import typing
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Protocol, SupportsFloat, SupportsIndex, cast

from ingredients.core.errors import ArgumentError
from ingredients.core.json_yaml import found

Number = int | float


class _DataclassInstance(Protocol):
    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """The numbers that a setting can have; a bound of None is none."""

    at_least: Number | None = None
    """Smallest."""

    above: Number | None = None
    """Every number above this one."""

    at_most: Number | None = None
    """Largest."""

    below: Number | None = None
    """Every number below this one."""

    def __contains__(self, value: Number) -> bool:
        return (
            (isinstance(value, int) or math.isfinite(value))
            and (self.at_least is None or value >= self.at_least)
            and (self.above is None or value > self.above)
            and (self.at_most is None or value <= self.at_most)
            and (self.below is None or value < self.below)
        )

    def __str__(self) -> str:
        bounds = (
            ("at least", self.at_least),
            ("above", self.above),
            ("at most", self.at_most),
            ("below", self.below),
        )
        said = [f"{words} {_said(bound)}" for words, bound in bounds if bound is not None]
        return " and ".join(said) or "a finite number"


FINITE = Range()
"""What every number must be."""

Share = Annotated[float, Range(at_least=0, at_most=1)]
"""A part of something, or a chance."""

Weight = Annotated[float, Range(at_least=0, at_most=1e6)]
"""What a part of a loss is multiplied by."""

Count = Annotated[int, Range(at_least=1, at_most=10**9)]
"""How many there are, or how often: at least one."""

Width = Annotated[int, Range(at_least=1, at_most=65_536)]
"""Channels, rows, layers or samples at once: what takes memory."""

Layers = Annotated[int, Range(at_least=1, at_most=1000)]
"""Layers, or blocks, one after the other."""

LearningRate = Annotated[float, Range(at_least=0, at_most=100)]
"""What an optimiser multiplies its updates by."""

Decay = Annotated[float, Range(at_least=0, below=1)]
"""What a moving average keeps of itself."""

Seed = Annotated[int, Range(at_least=-(2**63), at_most=2**63 - 1)]
"""What PyTorch takes as one."""


def range_problem(annotation: Any, value: Any) -> str | None:
    """What is wrong with a value of the declared type, as `must be ..., not ...`; None if nothing is.

    Args:
        annotation: the annotation of the field, as `typing.get_type_hints` gives it with its extras.
        value: a value of that type.
    """
    for allowed, number in _numbers(annotation, value, FINITE):
        if number not in allowed:
            return f"must be {allowed}, not {found(number)}"
    return None


def declared_range(config_type: type[_DataclassInstance], name: str) -> Range:
    """The range that stands in the declaration of a config's field."""
    return _unwrap(_annotations(config_type)[name], FINITE)[1]


def check_ranges(config: _DataclassInstance) -> None:
    """Checks all numbers of a config against their declarations; for its `__post_init__`.

    Raises:
        ValueError: for the first that does not fit.
    """
    for name, annotation in _annotations(type(config)).items():
        if (problem := range_problem(annotation, getattr(config, name))) is not None:
            raise ValueError(f"{name} {problem}.")


class RangeChecked:
    """Base of dataclasses whose numbers are checked against the ranges that their fields declare."""

    __slots__ = ()

    def __post_init__(self) -> None:
        check_ranges(cast(_DataclassInstance, self))


@functools.cache
def _annotations(config_type: type[Any]) -> Mapping[str, Any]:
    hints = typing.get_type_hints(config_type, include_extras=True)
    return {field.name: hints[field.name] for field in dataclasses.fields(config_type)}


def _numbers(annotation: Any, value: Any, allowed: Range) -> Iterator[tuple[Range, Number]]:
    """All numbers in a value, each with the range that its declaration gives it."""
    annotation, allowed = _unwrap(annotation, allowed)
    if isinstance(value, int | float) and not isinstance(value, bool):
        yield allowed, value
    elif isinstance(value, tuple | list):
        arguments = typing.get_args(annotation)
        is_each = len(arguments) == len(value) and Ellipsis not in arguments
        kinds = arguments if is_each else (*arguments, Any)[:1] * len(value)
        for item_annotation, item in zip(kinds, value, strict=True):
            yield from _numbers(item_annotation, item, allowed)
    elif isinstance(value, Mapping):
        arguments = typing.get_args(annotation)
        for item in value.values():
            yield from _numbers(arguments[1] if len(arguments) == 2 else Any, item, allowed)


def _unwrap(annotation: Any, allowed: Range) -> tuple[Any, Range]:
    """A type without `Annotated` and `| None` around it, and the range that stood there."""
    while True:
        arguments = typing.get_args(annotation)
        if typing.get_origin(annotation) is Annotated:
            annotation = arguments[0]
            allowed = next((extra for extra in arguments[1:] if isinstance(extra, Range)), allowed)
        elif len(present := [each for each in arguments if each is not type(None)]) == 1 < len(arguments):
            annotation = present[0]
        else:
            return annotation, allowed


def _said(bound: Number) -> str:
    if isinstance(bound, float):
        return f"{bound:g}"
    power = abs(bound + (bound > 0)).bit_length() - 1
    if power > 40:
        sign = "-" if bound < 0 else ""
        return f"{sign}2**{power}" + (" - 1" if bound > 0 else "")
    return f"{bound:,}"


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
