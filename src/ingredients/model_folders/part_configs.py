"""The `config.json` of a part: its values have the types that the part's class says, before a library sees them.

Libraries fail on wrong values late and in their own words, or not at all. Here the file and the key are named.
"""

import inspect
import math
import types
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, Union

from ingredients.core.errors import IngredientsError, ModelFolderError
from ingredients.core.model_files import read_json
from ingredients.core.out_of_memory import is_out_of_memory
from ingredients.model_folders.weight_files import first_line

_PartT = TypeVar("_PartT")

_MOST_NUMBER = 2**31
"""The largest size that anything can have: a config cannot ask for more than its weights hold."""

_MOST = {
    "num_layers": 1000,
    "layers_per_block": 1000,
    "num_decoder_layers": 1000,
    "cross_attn_interval": 1000,
    "id_qformer_depth": 1000,
    "id_num_scales": 1000,
    "num_train_timesteps": 100_000,
}
"""What is built one by one, whatever the weights hold."""

_CHOICES: dict[str, tuple[str, ...]] = {
    "prediction_type": ("epsilon", "sample", "v_prediction"),
    "timestep_spacing": ("linspace", "leading", "trailing"),
    "beta_schedule": ("linear", "scaled_linear", "squaredcos_cap_v2"),
}
"""Fields of schedulers, which look at them only when they sample."""


def checked_config(part_type: type, path: Path) -> dict[str, Any]:
    """The values of a part's config, of the types that the part's constructor names.

    Raises:
        ModelFolderError: if the file is missing or damaged, or a value is of another type.
    """
    config = read_json(path)
    constructor = inspect.unwrap(vars(part_type)["__init__"])
    annotations = typing.get_type_hints(constructor)
    parameters = inspect.signature(constructor).parameters
    for key, value in config.items():
        if key in annotations and type(value) is not type(parameters[key].default):  # annotations are not always right
            _check_value(path, key, value, annotations[key])
        elif key in _CHOICES:
            _check_value(path, key, value, str)
    return config


def build_part(part_type: type[_PartT], path: Path, config: Mapping[str, Any], *, drop_unknown: bool = True) -> _PartT:
    """What a class of diffusers makes of a config.

    Args:
        part_type: the class.
        path: the config's file, for errors.
        config: its values.
        drop_unknown: whether fields that the class does not know are left out, as diffusers does with a warning.

    Raises:
        ModelFolderError: if it makes nothing of it; the message names the key where one alone is to blame.
    """
    parameters = inspect.signature(inspect.unwrap(part_type.__init__)).parameters
    fields = {
        name: value
        for name, value in config.items()
        if name in parameters or not (drop_unknown or name.startswith("_"))
    }
    defaults = {name: parameter.default for name, parameter in parameters.items()}
    return build_from(lambda each: part_type(**each), path, fields, defaults=defaults)


def build_from(
    build: Callable[[dict[str, Any]], _PartT], path: Path, config: Mapping[str, Any], *, defaults: Mapping[str, Any]
) -> _PartT:
    """What a library makes of a config.

    Args:
        build: makes it; it is tried again with single values at their defaults, to find the one that is to blame.
        path: the config's file, for errors.
        config: its values.
        defaults: what a part has where nothing is said.

    Raises:
        ModelFolderError: as `build_part`.
    """
    for key, value in config.items():
        _check_size(path, key, value, defaults.get(key))
    try:
        return build(dict(config))
    except IngredientsError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise
        culprit = _culprit(build, config, defaults)
        named = f"{culprit}={_shown(config[culprit])} in {path.name}" if culprit else path.name
        raise ModelFolderError(
            f"The part {path.parent} cannot be read ({named}: {first_line(error)}); copy the folder again."
        ) from error


def _culprit(
    build: Callable[[dict[str, Any]], object], config: Mapping[str, Any], defaults: Mapping[str, Any]
) -> str | None:
    """The key without whose value the rest can be built."""
    for key, value in config.items():
        default = defaults.get(key)
        if isinstance(value, list) and isinstance(default, list | tuple) and default:
            default = [default[0]] * len(value)  # as many as other values count
        if value == default:
            continue
        try:
            build(dict(config) | {key: default})
        except Exception:  # another key is to blame, or several
            continue
        return key
    return None


def _check_value(path: Path, key: str, value: Any, annotation: Any) -> None:
    choices = _CHOICES.get(key)
    if choices and not (isinstance(value, str) and value in choices):
        raise ModelFolderError(
            f"The file {path} has {key}={_shown(value)}; it must be one of {', '.join(choices)}: copy the folder "
            "again."
        )
    if not _fits(value, annotation):
        raise ModelFolderError(
            f"The file {path} has {key}={_shown(value)}; it must be {_expected(annotation)}: copy the folder again."
        )


def _check_size(path: Path, key: str, value: Any, default: Any) -> None:
    """Refuses numbers that no library refuses, or none before it has filled the memory."""
    counts = type(default) is int and default > 0 and not key.endswith("_id")
    least = 1 if counts else -_MOST_NUMBER
    for number in value if isinstance(value, list | tuple) else [value]:
        if isinstance(number, int | float) and not least <= number <= _MOST.get(key, _MOST_NUMBER):  # NaN neither
            raise ModelFolderError(
                f"The part {path.parent} cannot be read ({key}={_shown(value)} in {path.name} is no size of a model); "
                "copy the folder again."
            )


def _fits(value: Any, annotation: Any) -> bool:
    """Whether a value of a JSON file is what a parameter is annotated with; unknown annotations take anything."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Literal:
        return any(type(value) is type(each) and value == each for each in arguments)
    if origin in (Union, types.UnionType):
        return any(_fits(value, each) for each in arguments)
    if annotation is type(None):
        return value is None
    if annotation is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if annotation in (int, str, bool):
        return type(value) is annotation
    if origin in (list, tuple) or annotation in (list, tuple):
        items = [each for each in arguments if each is not Ellipsis]
        return isinstance(value, list) and all(not items or any(_fits(one, each) for each in items) for one in value)
    return True


def _expected(annotation: Any) -> str:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Literal:
        return "one of " + ", ".join(map(repr, arguments))
    if origin in (Union, types.UnionType):
        return " or ".join(_expected(each) for each in arguments)
    if origin in (list, tuple):
        return "a list of " + " or ".join(dict.fromkeys(_expected(each) for each in arguments if each is not Ellipsis))
    names = {int: "a whole number", float: "a number", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(annotation, "another value")


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
