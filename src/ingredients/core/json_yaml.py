"""JSON, JSON lines and YAML: read with suspicion, written whole.

This is the one door to every such file, a user's, a stranger's or one that the project itself wrote: what comes
through it is a tree of plain values, neither too large nor too deep, in which each number is finite, each name stands
once and each text can be printed. Whatever else a file holds ends in one sentence that names the file and the place.
`core/config.py` turns the plain values into dataclasses, key by key.
"""

import codecs
import collections
import contextlib
import functools
import json
import math
import re
import reprlib
from collections.abc import Hashable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

from ingredients.core.errors import UserInputError
from ingredients.core.files import atomic_path
from ingredients.core.input_files import open_file, read_bytes, size_in_words
from ingredients.core.printable import printable

MOST_JSON_BYTES = 2**26
"""Largest JSON file, and largest line of JSON lines."""

MOST_YAML_BYTES = 2**18
"""Largest YAML file: the reader is slow, and the longest of ours has 3 kB."""

MOST_LEVELS = 64
"""Lists and objects within each other; Python's own functions for such values give up at about a thousand."""

_MOST_DIGITS = 300  # of a whole number: every one becomes a float without overflow
_MOST_YAML_VALUES = 100_000  # a text of few letters can mean billions of values by naming one of them again and again
_MOST_LETTERS_A_MESSAGE = 400
_HALF_A_LETTER = re.compile(r"\\u[dD][89a-fA-F]|[\ud800-\udfff]")
_YAML_FLOAT = re.compile(
    r"^(?:[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*)(?:[eE][-+]?[0-9]+)?|[-+]?[0-9]+[eE][-+]?[0-9]+"
    r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
)
"""With an exponent and no dot as well, as in YAML 1.2: PyYAML takes 1e-4 for a text."""


class BadFileError(UserInputError):
    """A file that does not hold what it should."""


class MissingFileError(BadFileError):
    """A file that is not there."""


class NotPlainError(ValueError):
    """A text that is no JSON or YAML as this module reads it; the message says why, and where in the text."""


def read_json(path: Path, *, remedy: str) -> Any:
    """Reads a file of one JSON value.

    Args:
        path: the path of the file.
        remedy: what an error tells the user to do, such as "copy it again".

    Raises:
        MissingFileError: if it is not there.
        BadFileError: if it cannot be read, or holds something else.
    """
    return _read(path, parse_json, MOST_JSON_BYTES, remedy)


def read_yaml(path: Path, *, remedy: str) -> Any:
    """Reads a file of one YAML value, which may be JSON.

    Args:
        path: the path of the file.
        remedy: what an error tells the user to do.

    Raises:
        MissingFileError: if it is not there.
        BadFileError: if it cannot be read, or holds something else.
    """
    return _read(path, parse_yaml, MOST_YAML_BYTES, remedy)


def read_json_lines(path: Path, *, remedy: str) -> Iterator[tuple[int, Any | NotPlainError]]:
    """Each line's number, from 1, and its JSON value or what is wrong with it; blank lines are left out.

    Args:
        path: the path of the file, which may be larger than the memory.
        remedy: what an error tells the user to do.

    Raises:
        MissingFileError: if it is not there.
        BadFileError: if it cannot be read at all.
    """
    for number, line in iterate_lines(path, remedy=remedy):
        try:
            yield number, parse_json(line)
        except NotPlainError as error:
            yield number, error


def iterate_lines(path: Path, *, remedy: str) -> Iterator[tuple[int, bytes]]:
    """The lines of a file that are not blank, and their numbers, from 1; one that is too long is cut off.

    Raises:
        MissingFileError: if it is not there.
        BadFileError: if it cannot be read.
    """
    with _explained(path, remedy):
        file = open_file(path)
    with file:
        number = 0
        while True:
            with _explained(path, remedy):
                rest = line = file.readline(MOST_JSON_BYTES + 1)
                while len(rest) > MOST_JSON_BYTES and not rest.endswith(b"\n"):
                    rest = file.readline(MOST_JSON_BYTES + 1)  # of a line of which enough was seen
            if not line:
                return
            number += 1
            if number == 1:
                line = line.removeprefix(codecs.BOM_UTF8)
            if line.strip():
                yield number, line


def parse_json(text: str | bytes) -> Any:
    """The plain value that a JSON text means.

    Raises:
        NotPlainError: if it is none, or one that no file of ours may hold.
    """
    text = _decode(text, MOST_JSON_BYTES)
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        hint = "; write / between folders, for a \\ must stand twice" if "escape" in error.msg else ""
        raise NotPlainError(f"line {error.lineno}, column {error.colno}: {error.msg}{hint}") from error
    except RecursionError as error:
        raise NotPlainError(_TOO_DEEP) from error
    _check_tree(value, most_values=None)
    if _HALF_A_LETTER.search(text):
        _check_letters(value)
    return value


def parse_yaml(text: str | bytes) -> Any:
    """The plain value that a YAML text means: `1e-4` is a number, and a date is a text.

    Raises:
        NotPlainError: if it is none, or one that no file of ours may hold.
    """
    import yaml

    text = _decode(text, MOST_YAML_BYTES)
    try:
        value = yaml.load(text, Loader=_yaml_loader())  # derived from the safe one
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = "" if mark is None else f"line {mark.line + 1}, column {mark.column + 1}: "
        raise NotPlainError(f"{place}{error.problem or error.context}") from error
    except yaml.YAMLError as error:
        raise NotPlainError(shorten(str(error))) from error
    except RecursionError as error:
        raise NotPlainError(_TOO_DEEP) from error
    except ValueError as error:  # numbers that are written in an impossible way
        if "integer string conversion" in str(error):  # Python goes on about a limit of its own
            raise NotPlainError(
                f"it holds a number that cannot be read: it has more than {_MOST_DIGITS} digits"
            ) from error
        raise NotPlainError(f"it holds a value that cannot be read ({shorten(str(error))})") from error
    _check_tree(value, most_values=_MOST_YAML_VALUES)
    if _HALF_A_LETTER.search(text):
        _check_letters(value)
    return value


def write_json(path: Path, values: Any, *, indent: int | None = 1) -> None:
    """Writes a JSON file, whole or not at all.

    Raises:
        OutputError: if it cannot be written.
        ValueError: if a number is not finite, which JSON cannot say; `finite_or_none` says None in its place.
    """
    with atomic_path(path) as temporary:
        temporary.write_text(to_json(values, indent=indent) + "\n", encoding="utf-8")


def write_json_lines(path: Path, records: Iterable[Any]) -> None:
    """Writes a file of one JSON value a line, whole or not at all.

    Raises:
        OutputError: if it cannot be written.
        ValueError: as `write_json`.
    """
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        for record in records:
            file.write(to_json(record, indent=None) + "\n")


def to_json(values: Any, *, indent: int | None = None) -> str:
    """The JSON text of plain values, letters as they are.

    Raises:
        ValueError: if a number is not finite.
    """
    return json.dumps(values, indent=indent, ensure_ascii=False, allow_nan=False)


def finite_or_none(values: Any) -> Any:
    """The same plain values with None in the place of each number that is not finite."""
    if isinstance(values, float):
        return values if math.isfinite(values) else None
    if isinstance(values, Mapping):
        return {name: finite_or_none(value) for name, value in values.items()}
    return [finite_or_none(value) for value in values] if isinstance(values, list | tuple) else values


def read_bounded(path: Path, *, most_bytes: int, remedy: str) -> bytes:
    """The content of a plain file.

    Raises:
        MissingFileError: if it is not there.
        BadFileError: if it cannot be read, or is larger than `most_bytes`.
    """
    with _explained(path, remedy):
        return read_bytes(path, most_bytes=most_bytes)


@contextlib.contextmanager
def _explained(path: Path, remedy: str) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, NotADirectoryError) as error:
        raise MissingFileError(
            f"The file {shorten(str(path))} cannot be read (it does not exist); {remedy}."
        ) from error
    except OSError as error:  # a pipe or a device, a name that is too long or holds a NUL, a file that is too large
        raise BadFileError(
            f"The file {shorten(str(path))} cannot be read ({error.strerror or error}); {remedy}."
        ) from error


def shorten(text: str) -> str:
    """Text of a stranger's for one line of a message: control characters are escaped, and not too much of it."""
    return printable(" ".join(text.split()), most=_MOST_LETTERS_A_MESSAGE)


def found(value: Any) -> str:
    """A value as a message names it: a few words, whatever it is."""
    if isinstance(value, Mapping):
        return "an object" if value else "an empty object"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}" if value else "an empty list"
    return shorten(reprlib.repr(value))


def _read(path: Path, parse: Any, most_bytes: int, remedy: str) -> Any:
    try:
        return parse(read_bounded(path, most_bytes=most_bytes, remedy=remedy))
    except NotPlainError as error:
        raise BadFileError(f"The file {path} is damaged ({error}); {remedy}.") from error


def _decode(text: str | bytes, most_bytes: int) -> str:
    if len(text) > most_bytes:
        raise NotPlainError(f"it is larger than {size_in_words(most_bytes)}")
    if isinstance(text, str):
        return text
    try:
        return text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise NotPlainError(f"it is no text in UTF-8: byte {error.start + 1} is {text[error.start]:#04x}") from error


_TOO_DEEP = f"it holds more than {MOST_LEVELS} lists and objects within each other"


def _check_tree(value: Any, *, most_values: int | None) -> None:
    """Refuses what is too deep; and for YAML, with a bound on the number of values, what JSON could not say."""
    num_values, level = 0, [value]
    for _ in range(MOST_LEVELS if most_values is None else MOST_LEVELS + 1):  # YAML's plain values are a level, too
        if most_values is not None:
            num_values += len(level)
            if num_values > most_values:
                raise NotPlainError(f"it means more than {most_values} values")
            _check_plain(level)
            level = [child for each in level for child in _children(each)]
        else:  # long lists of numbers, of which JSON files mostly consist, are not looked at one by one
            level = [child for each in level for child in _children(each) if type(child) in (list, dict)]
        if not level:
            return
    raise NotPlainError(_TOO_DEEP)


def _children(value: Any) -> Iterable[Any]:
    if type(value) is dict:
        return value.values()
    return value if type(value) is list else ()


def _check_plain(values: Iterable[Any]) -> None:
    for value in values:
        if type(value) is dict:
            if odd := [key for key in value if type(key) is not str]:
                raise NotPlainError(f"the name {found(odd[0])} is no text; put it in quotes")
        elif type(value) is float:
            if not math.isfinite(value):
                raise NotPlainError(f"it holds {value}, which is no number")
        elif type(value) is int:
            if abs(value) >= 10**_MOST_DIGITS:
                raise NotPlainError(f"it holds a number of more than {_MOST_DIGITS} digits")
        elif value is not None and type(value) not in (str, bool, list):
            raise NotPlainError(f"it holds {found(value)} of the kind {type(value).__name__}")


def _check_letters(value: Any) -> None:
    """Refuses halves of letters, which no terminal and no file can take."""
    try:
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError as error:
        raise NotPlainError("it holds half a letter (a lone surrogate), which no text can hold") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        raise NotPlainError(_stands_twice([name for name, _ in pairs]))
    return values


def _stands_twice(names: Iterable[str]) -> str:
    name, _ = collections.Counter(names).most_common(1)[0]
    return f"the name {found(name)} stands there more than once"


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise NotPlainError(f"the number {text[:40]} is too large")
    return value


def _int(text: str) -> int:
    if len(text) > _MOST_DIGITS:
        raise NotPlainError(f"it holds a number of {len(text)} digits, which is too large")
    return int(text)


def _constant(name: str) -> NoReturn:
    raise NotPlainError(f"it holds {name}, which is no number of JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_float=_float, parse_int=_int, parse_constant=_constant)


@functools.cache
def _yaml_loader() -> Any:
    import yaml

    class Loader(yaml.SafeLoader):
        """PyYAML's safe loader, without dates, with YAML 1.2's floats, and with each name once."""

        yaml_implicit_resolvers = {  # noqa: RUF012 - as the base class has it
            first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith((":timestamp", ":float"))]
            for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
        }

        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
            if isinstance(node, yaml.MappingNode):
                names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
                if len(set(names)) < len(names):
                    raise yaml.constructor.ConstructorError(None, None, _stands_twice(names), node.start_mark)
            return super().construct_mapping(node, deep=deep)

    Loader.add_implicit_resolver("tag:yaml.org,2002:float", _YAML_FLOAT, list("-+0123456789."))
    return Loader
