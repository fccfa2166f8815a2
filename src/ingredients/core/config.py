"""Dataclass configs read from and written to YAML or JSON; an unknown key is an error, never ignored."""

import contextlib
import dataclasses
import json
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, TypeVar, Union

from ingredients.core.errors import UserInputError
from ingredients.core.files import atomic_path


class _DataclassInstance(Protocol):
    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]


ConfigT = TypeVar("ConfigT", bound=_DataclassInstance)


def config_to_dict(config: _DataclassInstance) -> dict[str, Any]:
    """Turns a config, and the configs in it, into plain dicts, lists, numbers and strings."""
    return {field.name: _to_plain(getattr(config, field.name)) for field in dataclasses.fields(config)}


def config_from_dict(config_type: type[ConfigT], values: Mapping[str, Any]) -> ConfigT:
    """Builds a config from plain values; what is not named keeps its default.

    Raises:
        UserInputError: for an unknown key, a missing one, or a value of the wrong type.
    """
    return _build(config_type, values, where=config_type.__name__)


def load_config(
    config_type: type[ConfigT],
    paths: str | Path | Sequence[str | Path] | None = None,
    *,
    overrides: Sequence[str] = (),
    defaults: ConfigT | None = None,
) -> ConfigT:
    """Reads a config from YAML or JSON files, then applies overrides of the form `key=value` or `part.key=value`.

    Args:
        config_type: dataclass of the config.
        paths: file or files to read, each changing what those before it say; without one, the defaults are taken.
        overrides: read as YAML, so `1e-4`, `[1, 2]`, `true` and `null` mean what they say.
        defaults: where what neither file nor overrides name comes from, also inside a group of settings; without it,
            the types' own defaults.

    Raises:
        UserInputError: if the file cannot be read, or as `config_from_dict` raises it.
    """
    import yaml

    values: dict[str, Any] = {} if defaults is None else config_to_dict(defaults)
    for path in [paths] if isinstance(paths, str | Path) else paths or ():
        try:
            loaded = yaml.safe_load(Path(path).read_text(encoding="utf-8"))  # JSON is YAML
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise UserInputError(f"The config file {path} cannot be read: {' '.join(str(error).split())}.") from error
        if loaded is not None and not isinstance(loaded, dict):
            raise UserInputError(f"The config file {path} must hold keys and values, not {type(loaded).__name__}.")
        _merge(values, loaded or {})
    for override in overrides:
        key, separator, text = override.partition("=")
        if not separator or not key:
            raise UserInputError(f"The setting {override!r} must have the form key=value.")
        *parents, name = key.split(".")
        target = values
        for parent in parents:
            target = target.setdefault(parent, {})
            if not isinstance(target, dict):
                raise UserInputError(f"The setting {override!r} goes into {parent!r}, which is no group of settings.")
        try:
            target[name] = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise UserInputError(f"The value in the setting {override!r} cannot be read.") from error
    return config_from_dict(config_type, values)


def save_config(config: _DataclassInstance, path: str | Path) -> None:
    """Writes a config as YAML, or as JSON if the name ends in `.json`."""
    import yaml

    values = config_to_dict(config)
    text = json.dumps(values, indent=2) if Path(path).suffix == ".json" else yaml.safe_dump(values, sort_keys=False)
    with atomic_path(path) as temporary:
        temporary.write_text(text.rstrip("\n") + "\n", encoding="utf-8")


def _merge(values: dict[str, Any], update: Mapping[str, Any]) -> None:
    for key, value in update.items():
        if isinstance(value, Mapping) and isinstance(values.get(key), dict):
            _merge(values[key], value)
        else:
            values[key] = value


def _to_plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return config_to_dict(value)
    if isinstance(value, Mapping):
        return {key: _to_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_to_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def _build(config_type: type[ConfigT], values: Mapping[str, Any], *, where: str) -> ConfigT:
    types_by_name = typing.get_type_hints(config_type)
    fields = {field.name: field for field in dataclasses.fields(config_type) if field.init}
    unknown = [key for key in values if key not in fields]
    if unknown:
        raise UserInputError(f"{where} has no setting {unknown[0]!r}; it knows {', '.join(fields)}.")
    missing = [
        name
        for name, field in fields.items()
        if name not in values and field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise UserInputError(f"{where} needs the setting {missing[0]!r}.")
    arguments = {name: _convert(types_by_name[name], value, where=f"{where}.{name}") for name, value in values.items()}
    try:
        return config_type(**arguments)
    except ValueError as error:  # a config's own check of its values
        raise UserInputError(f"{where}: {error}") from error


def _convert(expected: Any, value: Any, *, where: str) -> Any:
    origin, arguments = typing.get_origin(expected), typing.get_args(expected)
    if expected is Any:
        return value
    if origin is Literal:
        if value in arguments:
            return value
        raise UserInputError(f"{where} must be one of {', '.join(map(repr, arguments))}, not {value!r}.")
    if origin in (Union, types.UnionType):
        return _convert_union(arguments, value, where=where)
    if isinstance(expected, type) and dataclasses.is_dataclass(expected) and isinstance(value, Mapping):
        return _build(expected, value, where=where)
    if origin is tuple and isinstance(value, list | tuple):
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return tuple(_convert(arguments[0], item, where=where) for item in value)
        if len(arguments) == len(value):
            return tuple(_convert(kind, item, where=where) for kind, item in zip(arguments, value, strict=True))
    if origin is list and isinstance(value, list | tuple):
        return [_convert(arguments[0], item, where=where) for item in value]
    if origin is dict and isinstance(value, Mapping):
        return {key: _convert(arguments[1], item, where=where) for key, item in value.items()}
    if expected is Path and isinstance(value, str):
        return Path(value)
    if expected is float and isinstance(value, str | int) and not isinstance(value, bool):
        with contextlib.suppress(ValueError):
            return float(value)  # YAML reads 1e-4, which has no dot, as a string
    elif (
        isinstance(expected, type)
        and isinstance(value, expected)
        and (expected is bool or not isinstance(value, bool))
    ):
        return value
    expected_name = getattr(expected, "__name__", None) if origin is None else str(expected)
    raise UserInputError(f"{where} must be of type {expected_name}, not {value!r}.")


def _convert_union(options: tuple[Any, ...], value: Any, *, where: str) -> Any:
    if value is None and type(None) in options:
        return None
    failure: UserInputError | None = None
    for option in options:
        if option is not type(None):
            try:
                return _convert(option, value, where=where)
            except UserInputError as error:
                failure = failure or error
    raise failure or UserInputError(f"{where} must be None, not {value!r}.")
