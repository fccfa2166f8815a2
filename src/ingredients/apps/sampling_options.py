"""Options that every command which makes videos has.

The sampling options are made from the fields of `SamplingSettings`: of one that is not given the model's own
`sampling_defaults` hold. The speed options are off by default, but for a precision that a model has of its own.
"""

import functools
import inspect
import typing
from collections.abc import Callable, Mapping
from typing import Annotated, Any, TypeVar, cast

import typer

from ingredients.core.config import field_docstrings
from ingredients.core.errors import ArgumentError
from ingredients.core.ranges import check_number, declared_range
from ingredients.model_folders.sampling_settings import SamplingSettings

_CommandT = TypeVar("_CommandT", bound=Callable[..., None])


def finite(option: typer.CallbackParam, value: float | None) -> float | None:
    """An option's number, which must be one.

    Raises:
        UserInputError: if it is NaN or too large.
    """
    return None if value is None else check_number(f"--{(option.name or '').replace('_', '-')}", value)


def _in_range(option: typer.CallbackParam, value: float | None) -> float | None:
    """A sampling option's number, which must be one, and in the range of its setting."""
    if value is None:
        return None
    finite(option, value)
    name = option.name or ""
    if value not in (allowed := declared_range(SamplingSettings, name)):
        raise ArgumentError(
            f"--{name.replace('_', '-')} must lie in [{allowed.at_least}, {allowed.at_most}], not {value}."
        )
    return value


def takes_sampling(command: _CommandT) -> _CommandT:
    """Gives a command the sampling options; its parameter `sampling` gets those that were given, by name."""
    docs = field_docstrings(SamplingSettings)
    options: dict[str, inspect.Parameter] = {}
    for name, kind in typing.get_type_hints(SamplingSettings).items():
        allowed, doc = declared_range(SamplingSettings, name), docs[name]
        option = typer.Option(
            metavar=f"{allowed.at_least} to {allowed.at_most}",
            callback=_in_range,
            help=doc if options else f"{doc} Default, here and below: the model's own.",
        )
        options[name] = inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, option]
        )
    return _with_options_for(command, "sampling", options)


def takes_speed(command: _CommandT) -> _CommandT:
    """Gives a command the speed options; its parameter `speed` gets those that were given, for `SpeedOptions`."""
    return _with_options_for(command, "speed", inspect.signature(_speed_options).parameters)


def _with_options_for(command: _CommandT, parameter: str, options: Mapping[str, inspect.Parameter]) -> _CommandT:
    """A command with options in the place of one of its parameters, which gets those that were given."""

    @functools.wraps(command)
    def with_options(**values: Any) -> None:
        given = {name: values.pop(name) for name in options}
        command(**values, **{parameter: {name: value for name, value in given.items() if value is not None}})

    signature = inspect.signature(command)
    parameters: list[inspect.Parameter] = []
    for name, each in signature.parameters.items():
        parameters += options.values() if name == parameter else [each.replace(kind=inspect.Parameter.KEYWORD_ONLY)]
    with_options.__dict__["__signature__"] = signature.replace(parameters=parameters)
    with_options.__annotations__ = {each.name: each.annotation for each in parameters}
    return cast(_CommandT, with_options)


def _speed_options(
    *,
    compile: Annotated[  # noqa: A002 - the option's name
        bool, typer.Option("--compile", help="Compile the transformer's blocks first: for many videos, or long ones.")
    ] = False,
    attention_backend: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Kernel for attention, such as native, flash or sage. Default: PyTorch's choice."
        ),
    ] = None,
    step_cache: Annotated[
        str | None,
        typer.Option(
            metavar="first-block|mag|pab|taylor|faster",
            help="Take over in a step what earlier ones computed: faster, and a slightly other video.",
        ),
    ] = None,
    fuse_qkv: Annotated[
        bool, typer.Option("--fuse-qkv", help="One matrix for query, key and value of self-attention.")
    ] = False,
    split_guidance: Annotated[
        bool,
        typer.Option(
            "--split-guidance",
            help="Run the guidance passes one after the other instead of as one batch: less memory.",
        ),
    ] = False,
    precision: Annotated[
        str | None,
        typer.Option(
            metavar="auto|bfloat16|float32",
            help="Arithmetic of a model in float32; auto: bfloat16 where the processor is faster in it. "
            "Default: the model's own.",
        ),
    ] = None,
) -> None:
    """The speed options, as parameters."""
