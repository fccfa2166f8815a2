"""Dataclass configs read from and written to YAML or JSON; an unknown key is an error, never ignored."""

import ast
import contextlib
import dataclasses
import functools
import inspect
import itertools
import json
import math
import re
import sys
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Protocol, TypeVar, Union

from ingredients.core.errors import UserInputError
from ingredients.core.files import atomic_path
from ingredients.core.json_yaml import (
    BadFileError,
    NotPlainError,
    found,
    parse_yaml,
    read_json,
    read_yaml,
    shorten,
)
from ingredients.core.paths import parse_path
from ingredients.core.ranges import range_problem


class _DataclassInstance(Protocol):
    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]


ConfigT = TypeVar("ConfigT", bound=_DataclassInstance)

_MOST_PARSES = 10
"""How often a syntax tree is tried to be made."""


def config_to_dict(config: _DataclassInstance) -> dict[str, Any]:
    """Turns a config, and the configs in it, into plain dicts, lists, numbers and strings."""
    return {field.name: _to_plain(getattr(config, field.name)) for field in dataclasses.fields(config)}


def field_docstrings(config_type: type[_DataclassInstance]) -> dict[str, str]:
    """What stands below each field of a config's class, by the field's name, in one line."""
    definition = next(
        node
        for node in ast.walk(_syntax_tree(config_type.__module__))
        if isinstance(node, ast.ClassDef) and node.name == config_type.__name__
    )
    docs: dict[str, str] = {}
    for field, below in itertools.pairwise(definition.body):
        if isinstance(field, ast.AnnAssign) and isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
            docs[ast.unparse(field.target)] = " ".join(str(below.value.value).split())
    return docs


@functools.cache
def _syntax_tree(module: str) -> ast.Module:
    """The syntax tree of a module's source, made once."""
    source = inspect.getsource(sys.modules[module])
    for _ in range(_MOST_PARSES - 1):
        # Some versions of Python (3.11.7 among them) count how deep a tree is for all threads together, and give up
        # where another one, such as Ray's, is at a tree as well.
        with contextlib.suppress(SystemError):
            return ast.parse(source)
    return ast.parse(source)


def config_from_dict(
    config_type: type[ConfigT], values: Mapping[str, Any], *, where: str | None = None, ignore_unknown: bool = False
) -> ConfigT:
    """Builds a config from plain values; what is not named keeps its default.

    Args:
        config_type: dataclass of the config.
        values: the values by name.
        where: what messages call the config, before a dot and the name that is wrong; its type's name, without one.
        ignore_unknown: leaves out names that the config does not know, here and in the configs in it.

    Raises:
        UserInputError: for an unknown key, a missing one, or a value of the wrong type.
    """
    builder = _Builder(ignore_unknown=ignore_unknown)
    return builder.build(config_type, values, where=config_type.__name__ if where is None else where)


def read_record(record_type: type[ConfigT], path: Path, *, remedy: str, ignore_unknown: bool = False) -> ConfigT:
    """Reads a JSON file of one record, a dataclass, with nothing missing, unknown or of another kind.

    Args:
        record_type: dataclass of the record.
        path: the path of the file.
        remedy: what an error tells the user to do, such as "copy it again".
        ignore_unknown: leaves out names that the record does not know: a later version may have written them.

    Raises:
        MissingFileError: if the file is not there.
        BadFileError: if it holds something else; the message names the file and the place.
    """
    return record_from(record_type, read_json(path, remedy=remedy), path, remedy=remedy, ignore_unknown=ignore_unknown)


def record_from(
    record_type: type[ConfigT], values: Any, path: Path, *, remedy: str, ignore_unknown: bool = False
) -> ConfigT:
    """The record that plain values of a file mean.

    Raises:
        BadFileError: as `read_record`.
    """
    try:
        return config_from_dict(record_type, values, where="", ignore_unknown=ignore_unknown)
    except UserInputError as error:
        raise BadFileError(f"The file {path} is damaged ({str(error).rstrip('.')}); {remedy}.") from error


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
        UserInputError: if the file cannot be read, or as `config_from_dict` raises it; it names the file, or the
            override, that said what does not fit.
    """
    values: dict[str, Any] = {} if defaults is None else config_to_dict(defaults)
    origins = _read_settings(values, paths, overrides)
    try:
        return config_from_dict(config_type, values, where="")
    except _UnfitError as error:
        origin = _find_origin(origins, error)
        raise UserInputError(f"{origin or config_type.__name__}: {error}") from error


def _read_settings(
    values: dict[str, Any], paths: str | Path | Sequence[str | Path] | None, overrides: Sequence[str]
) -> dict[str, str]:
    """Changes values by files and overrides, as `load_config` does; returns what said what."""
    origins: dict[str, str] = {}
    for path in [paths] if isinstance(paths, str | Path) else paths or ():
        loaded = read_yaml(Path(path), remedy="check the name, or mend the config file")  # JSON is YAML
        if loaded is not None and not isinstance(loaded, dict):
            raise BadFileError(f"The config file {path} must hold keys and values, not {found(loaded)}.")
        _merge(values, loaded or {})
        _note_origins(origins, "", loaded or {}, f"The config file {path}")
    for override in overrides:
        key, separator, text = override.partition("=")
        if not separator or not key:
            raise UserInputError(f"The setting {shorten(repr(override))} must have the form key=value.")
        *parents, name = key.split(".")
        target = values
        for parent in parents:
            target = target.setdefault(parent, {})
            if not isinstance(target, dict):
                raise UserInputError(
                    f"The setting {shorten(repr(override))} goes into {parent!r}, which is no group of settings."
                )
        try:
            target[name] = parse_yaml(text)
        except NotPlainError as error:
            raise UserInputError(
                f"The value in the setting {shorten(repr(override))} cannot be read ({error})."
            ) from error
        _note_origins(origins, ".".join(parents), {name: target[name]}, f"The setting {shorten(override)}")
    return origins


class _UnfitError(UserInputError):
    """A value that does not fit a config."""

    def __init__(self, where: str, problem: str) -> None:
        super().__init__(problem)
        self.where = where


def _note_origins(origins: dict[str, str], parent: str, values: Mapping[str, Any], origin: str) -> None:
    """Notes what said what: of each setting, and of each group that it lies in."""
    origins[parent] = origin
    for key, value in values.items():
        where = f"{parent}.{key}" if parent else key
        origins[where] = origin
        if isinstance(value, Mapping):
            _note_origins(origins, where, value, origin)


def _find_origin(origins: Mapping[str, str], error: _UnfitError) -> str | None:
    """What said what does not fit: one of a group's settings that the problem names, or the setting, or its group."""
    where = re.sub(r"\[\d+\]", "", error.where)
    names = re.findall(r"\w+", str(error))
    inside = [f"{where}.{name}" if where else name for name in names]
    around = [where.rsplit(".", number)[0] for number in range(where.count(".") + 1)]
    return next((origins[each] for each in (*inside, *around, "") if each in origins), None)


def save_config(config: _DataclassInstance, path: str | Path) -> None:
    """Writes a config as YAML, or as JSON if the name ends in `.json`."""
    import yaml

    values = config_to_dict(config)
    text = (
        json.dumps(values, indent=2, allow_nan=False)
        if Path(path).suffix == ".json"
        else yaml.safe_dump(values, sort_keys=False)
    )
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


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Builder:
    """Turns plain values into dataclasses, and says where a value is that does not fit."""

    ignore_unknown: bool
    """Whether names that a dataclass does not know are left out."""

    def build(self, config_type: type[ConfigT], values: Any, *, where: str) -> ConfigT:
        if not isinstance(values, Mapping):
            raise _UnfitError(where, f"{where or 'it'} must hold names and values, not {found(values)}.")
        types_by_name, needed = _fields_of(config_type)
        unknown = [key for key in values if key not in types_by_name]
        if unknown and not self.ignore_unknown:
            name, known = shorten(repr(unknown[0])), ", ".join(types_by_name)
            raise _UnfitError(_join(where, unknown[0]), f"{where or 'it'} has no setting {name}; it knows {known}.")
        if missing := [name for name in needed if name not in values]:
            raise _UnfitError(where, f"{where or 'it'} needs the setting {missing[0]!r}.")
        arguments = {
            name: self.convert(types_by_name[name], value, where=_join(where, name))
            for name, value in values.items()
            if name in types_by_name
        }
        try:
            return config_type(**arguments)
        except ValueError as error:  # a config's own check of its values
            raise _UnfitError(where, f"{where}: {error}" if where else str(error)) from error

    def convert(self, expected: Any, value: Any, *, where: str) -> Any:
        origin, arguments = typing.get_origin(expected), typing.get_args(expected)
        if expected is Any:
            return value
        if origin is Annotated:
            converted = self.convert(arguments[0], value, where=where)
            if (problem := range_problem(expected, converted)) is not None:
                raise _UnfitError(where, f"{where} {problem}.")
            return converted
        if origin is Literal:
            if any(value == each and type(value) is type(each) for each in arguments):
                return value
            raise _UnfitError(where, f"{where} must be one of {', '.join(map(repr, arguments))}, not {found(value)}.")
        if origin in (Union, types.UnionType):
            return self._convert_union(arguments, value, where=where)
        if isinstance(expected, type) and dataclasses.is_dataclass(expected) and not isinstance(value, expected):
            return self.build(expected, value, where=where)
        if origin is tuple and isinstance(value, list | tuple):
            if len(arguments) == 2 and arguments[1] is Ellipsis:
                return tuple(self._convert_items(arguments[0], value, where=where))
            if len(arguments) == len(value):
                pairs = zip(arguments, value, strict=True)
                return tuple(
                    self.convert(kind, item, where=f"{where}[{index}]") for index, (kind, item) in enumerate(pairs)
                )
        if origin is list and isinstance(value, list | tuple):
            return self._convert_items(arguments[0], value, where=where)
        if origin in (dict, Mapping) and isinstance(value, Mapping):
            return {
                key: self.convert(arguments[1], item, where=f"{where}.{shorten(str(key))}")
                for key, item in value.items()
            }
        if expected is Path and isinstance(value, str):
            return _path(value, where)
        if expected is float and isinstance(value, int | float) and not isinstance(value, bool):
            with contextlib.suppress(OverflowError):
                if math.isfinite(number := float(value)):
                    return number
            raise _UnfitError(where, f"{where} must be a finite number, not {found(value)}.")
        if (
            isinstance(expected, type)
            and isinstance(value, expected)
            and (expected is bool or not isinstance(value, bool))
        ):
            return value
        expected_name = getattr(expected, "__name__", None) if origin is None else _type_name(expected)
        raise _UnfitError(where, f"{where} must be of type {expected_name}, not {found(value)}.")

    def _convert_items(self, kind: Any, values: Sequence[Any], *, where: str) -> list[Any]:
        if kind is float and all(type(value) is float and math.isfinite(value) for value in values):
            return list(values)  # embeddings are long
        return [self.convert(kind, value, where=f"{where}[{index}]") for index, value in enumerate(values)]

    def _convert_union(self, options: tuple[Any, ...], value: Any, *, where: str) -> Any:
        if value is None and type(None) in options:
            return None
        failure: _UnfitError | None = None
        for option in options:
            if option is not type(None):
                try:
                    return self.convert(option, value, where=where)
                except _UnfitError as error:
                    failure = failure or error
        raise failure or _UnfitError(where, f"{where} must be None, not {found(value)}.")


def _join(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


def _type_name(expected: Any) -> str:
    """A type as it is written, without the ranges of its numbers."""
    origin, arguments = typing.get_origin(expected), typing.get_args(expected)
    if origin is Annotated:
        return _type_name(arguments[0])
    if origin in (tuple, list, dict):
        items = ("..." if each is Ellipsis else _type_name(each) for each in arguments)
        return f"{origin.__name__}[{', '.join(items)}]"
    return str(expected) if origin is not None else str(getattr(expected, "__name__", expected))


@functools.cache
def _fields_of(config_type: type[Any]) -> tuple[dict[str, Any], list[str]]:
    """The types of a config's fields by name, and the names of those without a default."""
    types_by_name = typing.get_type_hints(config_type, include_extras=True)
    fields = [field for field in dataclasses.fields(config_type) if field.init]
    needed = [
        field.name
        for field in fields
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    ]
    return {field.name: types_by_name[field.name] for field in fields}, needed


def _path(text: str, where: str) -> Path:
    if "\0" in text:
        raise _UnfitError(where, f"{where} must name a file, not {found(text)}.")
    try:
        return parse_path(text)
    except UserInputError as error:
        raise _UnfitError(where, f"{where}: {error}") from error
