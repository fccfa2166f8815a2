import dataclasses
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingredients.core.config import load_config, read_record
from ingredients.core.errors import UserInputError
from ingredients.core.json_yaml import (
    MOST_JSON_BYTES,
    MOST_LEVELS,
    BadFileError,
    MissingFileError,
    NotPlainError,
    finite_or_none,
    parse_json,
    parse_yaml,
    read_json,
    read_json_lines,
    read_yaml,
    shorten,
    write_json,
    write_json_lines,
)

BOMB = "a: &a [1,1,1,1,1,1,1,1,1,1]\n" + "\n".join(
    f"{name}: &{name} [{','.join([f'*{before}'] * 10)}]" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Person:
    name: str
    scores: tuple[float, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Clip:
    people: tuple[Person, ...]
    seed: int = 0
    marks: dict[str, tuple[int, int]] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ValueError("the seed is below 0")


@pytest.mark.parametrize("parse", [parse_json, parse_yaml])
@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('{"a": 1, "b": 2, "a": 3}', "'a' stands"),
        ('{"a": {"b": 1, "b": 1}}', "'b' stands"),
        ("[" * 100_000, f"more than {MOST_LEVELS}|levels|line 1"),
        ("[" * (MOST_LEVELS + 1) + "1" + "]" * (MOST_LEVELS + 1), f"more than {MOST_LEVELS}"),
        ('{"a":' * (MOST_LEVELS + 1) + "1" + "}" * (MOST_LEVELS + 1), f"more than {MOST_LEVELS}"),
        ("1" * 301, "301 digits|more than 300 digits"),
        ("1" * 5000, "5000 digits|cannot be read"),
        ("[1.0e+999]", "too large|no number"),
        ('["\\ud800"]', "half a letter"),
        (b'{"caf\xe9": 1}', "UTF-8: byte 6 is 0xe9"),
        ("{}".encode("utf-16"), "UTF-8: byte 1 is 0xff"),
        ('{"a": 1', "line 1"),
        ('{"a":\n [1, }', "line 2, column 6"),
    ],
)  # fmt: skip
def test_what_is_not_plain_is_refused_with_its_place(
    parse: Callable[[str | bytes], Any], text: str | bytes, complaint: str
) -> None:
    with pytest.raises(NotPlainError, match=complaint) as refused:
        parse(text)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 500


@pytest.mark.parametrize("text", ["NaN", "[Infinity]", '{"a": -Infinity}'])
def test_json_holds_finite_numbers(text: str) -> None:
    with pytest.raises(NotPlainError, match="no number of JSON"):
        parse_json(text)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a: .nan", "nan"),
        ("a: -.inf", "inf"),
        ("1: a", "1 is no text"),
        ("a: !!binary aGFsbG8=", "kind bytes"),
        ("a: !!timestamp 2024-13-45", "cannot be read"),
        ("a: !!python/object/apply:os.system [ls]", "could not determine a constructor"),
        ("&a [*a]", f"more than {MOST_LEVELS}"),
        (BOMB, "more than 100000 values"),
        ("a: [\n", "line 2"),
        ("a: \x00", "special characters"),
        ("? [1]\n: 2", "unhashable"),
    ],
)
def test_yaml_says_what_json_could_say(text: str, complaint: str) -> None:
    with pytest.raises(NotPlainError, match=complaint):
        parse_yaml(text)


def test_yaml_reads_what_people_mean() -> None:
    text = "rate: 1e-4\nother: -2.5E+3\nwhole: 3\nday: 2024-02-30\nbase: &base {a: 1, b: 2}\nown: {<<: *base, b: 3}"
    assert parse_yaml(text) == {
        "rate": 1e-4,
        "other": -2500.0,
        "whole": 3,
        "day": "2024-02-30",
        "base": {"a": 1, "b": 2},
        "own": {"a": 1, "b": 3},
    }
    assert type(parse_yaml("3")) is int


def test_a_byte_order_mark_is_no_fault(tmp_path: Path) -> None:
    assert parse_json(b'\xef\xbb\xbf{"a": 1}') == {"a": 1}
    assert parse_yaml(b"\xef\xbb\xbfa: 1") == {"a": 1}
    path = tmp_path / "lines.jsonl"
    path.write_bytes(b"\xef\xbb\xbf1\r\n\r\n2")
    assert list(read_json_lines(path, remedy="mend it")) == [(1, 1), (3, 2)]


def test_a_line_that_is_wrong_leaves_the_others(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_bytes(b'{"a": 1}\n{"a": \n\xff\n' + b"[" * 5000 + b"\n7")
    (first, one), (second, two), (third, three), (fourth, four), last = read_json_lines(path, remedy="mend it")
    assert (first, one, last) == (1, {"a": 1}, (5, 7))
    assert [second, third, fourth] == [2, 3, 4]
    assert all(isinstance(each, NotPlainError) for each in (two, three, four))


def read_lines(path: Path, *, remedy: str) -> list[Any]:
    return list(read_json_lines(path, remedy=remedy))


@pytest.mark.parametrize("read", [read_json, read_yaml, read_lines])
def test_only_plain_files_are_read(read: Callable[..., Any], tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.json"
    os.mkfifo(pipe)
    for path in (pipe, tmp_path, Path("/dev/zero")):
        started = time.monotonic()
        with pytest.raises(BadFileError, match=f"{path.name}.*it is a (folder|pipe or a device).*mend it"):
            read(path, remedy="mend it")
        assert time.monotonic() - started < 1
    for path in (tmp_path / "missing", tmp_path / "here" / "missing"):
        with pytest.raises(MissingFileError, match=r"missing.*does not exist"):
            read(path, remedy="mend it")
    for name in ("a" * 300, "nul\0byte"):
        with pytest.raises(BadFileError, match="cannot be read"):
            read(tmp_path / name, remedy="mend it")


def test_a_file_that_is_far_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large.json"
    with path.open("wb") as file:
        file.truncate(2**36)  # sparse: it takes no room on the disk
    for read in (read_json, read_yaml):
        with pytest.raises(BadFileError, match="larger than"):
            read(path, remedy="mend it")
    with path.open("wb") as file:
        file.write(b"1\n2" + b" " * (2 * MOST_JSON_BYTES) + b"\n3\n")
    (_, one), (_, two), (_, three) = read_json_lines(path, remedy="mend it")
    assert (one, three) == (1, 3)
    assert isinstance(two, NotPlainError)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[]", "it must hold names and values, not an empty list"),
        ("null", "it must hold names and values, not None"),
        ('{"people": [], "x": 1}', "it has no setting 'x'"),
        ("{}", "it needs the setting 'people'"),
        ('{"people": 3}', "people must be of type .*, not 3"),
        ('{"people": [{"name": "ana"}, {"name": 5}]}', r"people\[1\]\.name must be of type str, not 5"),
        ('{"people": [{"name": "ana", "scores": [1.0, "x"]}]}', r"people\[0\]\.scores\[1\] must be of type float"),
        ('{"people": [{"name": "ana", "scores": [1, true]}]}', r"people\[0\]\.scores\[1\] must be"),
        ('{"people": [], "seed": 1.5}', "seed must be of type int, not 1.5"),
        ('{"people": [], "seed": true}', "seed must be of type int, not True"),
        ('{"people": [], "seed": -1}', "the seed is below 0"),
        ('{"people": [], "marks": {"left": [1, 2, 3]}}', r"marks\.left must be of type .*, not a list of 3"),
        ('{"people": [], "marks": {"\\u001b[31m": 5}}', r"marks\.\\x1b\[31m must be"),
        ("{", "line 1, column 2"),
    ],
)
def test_a_record_is_read_key_by_key(text: str, complaint: str, tmp_path: Path) -> None:
    path = tmp_path / "clip.json"
    path.write_text(text)
    with pytest.raises(BadFileError, match=rf"{path.name} is damaged \(.*{complaint}.*\); copy it again\.$"):
        read_record(Clip, path, remedy="copy it again")


def test_a_record_of_a_later_version_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "clip.json"
    path.write_text('{"people": [{"name": "ana", "scores": [1, 2.5], "age": 3}], "place": {"x": 1}}')
    clip = read_record(Clip, path, remedy="copy it again", ignore_unknown=True)
    assert clip == Clip(people=(Person(name="ana", scores=(1.0, 2.5)),))


def test_a_config_file_is_no_device_and_says_its_place(tmp_path: Path) -> None:
    with pytest.raises(UserInputError, match=r"/dev/zero.*it is a pipe or a device"):
        load_config(Clip, "/dev/zero")
    path = tmp_path / "clip.yaml"
    path.write_text("people: []\nseed: 1\nseed: 2\n")
    with pytest.raises(UserInputError, match=r"clip\.yaml.*'seed' stands"):
        load_config(Clip, path)
    with pytest.raises(UserInputError, match=r"seed=nope: .*cannot be read"):
        load_config(Clip, overrides=["people=[]", "seed=nope: ["])


def test_numbers_that_are_none_are_not_written(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, {"loss": float("nan")})
    assert not path.exists()
    write_json(path, finite_or_none({"loss": float("nan"), "all": (1.0, float("-inf"))}))
    assert read_json(path, remedy="") == {"loss": None, "all": [1.0, None]}


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=100, deadline=None)
@given(records=st.lists(plain, max_size=3))
def test_what_is_written_is_read(records: list[Any], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("plain") / "a.json"
    write_json(path, records)
    assert read_json(path, remedy="") == records
    write_json_lines(path, records)
    assert [value for _, value in read_json_lines(path, remedy="")] == records


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60) | st.text('{}[]":,-&*!|>#\n 1e.n\\u\ud800', max_size=40))
def test_any_bytes_give_a_value_or_a_sentence(text: bytes | str) -> None:
    for parse in (parse_json, parse_yaml):
        try:
            parse(text)
        except NotPlainError as error:
            str(error).encode()


def test_a_message_shows_a_few_letters_and_no_control_characters() -> None:
    assert shorten("a\x1b[31m\nb\ud800") == "a\\x1b[31m b\\ud800"
    assert len(shorten("long " * 1000)) < 500
