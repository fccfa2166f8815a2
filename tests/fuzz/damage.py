"""Damage to files and options, drawn by hypothesis: what people, disks and other programs do to them."""

import copy
import json
import struct
import zlib
from typing import Any

from hypothesis import strategies as st

ODD_VALUES: list[Any] = [
    None, True, False, 0, -1, 1, 7, 2**31, 2**63, 10**18, 10**30, 0.5, -0.5, 1e308, 1e-308, "", " ", "a", "1", "nan",
    "\x1b[31mred", "two\nlines", "a\u202eb", "a" * 300, "../../outside", "/dev/zero", "~", "://x",
    [], {}, [[]], [None],
    {"": None}, {"a": {"b": []}}, [0] * 50, ["a", "a"],
]  # fmt: skip

JUNK = [
    b"", b" ", b"\n", b"null", b"true", b"7", b'"text"', b"[]", b"{}", b"[[]]", b"{", b"[1,", b'{"a": 1, "a": 2}',
    b"NaN", b"[Infinity]", b"1e999", b"1" * 5000, b"[" * 5000, b'{"a":' * 5000, b"\xff\xfe{\x00}\x00", b"\x00" * 64,
    b'{"a": "\\ud800"}', b"\xef\xbb\xbf{}", b"a: &a [*a]", b"a: [b", b"- {a: .nan}", b"<html><body>404</body></html>",
    b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n", b"\x80\x04N.", b"PK\x03\x04",
]  # fmt: skip


@st.composite
def damaged_bytes(draw: st.DrawFn, whole: bytes) -> bytes:
    """The bytes of a file with a few of them changed, cut off, doubled, or others in their place."""
    kind = draw(st.sampled_from(["flip", "cut", "junk", "insert", "double", "empty middle"]))
    if kind == "junk" or not whole:
        return draw(st.sampled_from(JUNK))
    place = draw(st.integers(0, len(whole) - 1))
    if kind == "flip":
        return whole[:place] + bytes([whole[place] ^ (1 << draw(st.integers(0, 7)))]) + whole[place + 1 :]
    if kind == "cut":
        return whole[:place]
    if kind == "insert":
        return whole[:place] + draw(st.binary(min_size=1, max_size=6)) + whole[place:]
    return whole + whole if kind == "double" else whole[:place] + whole[place + draw(st.integers(1, 40)) :]


@st.composite
def damaged_values(draw: st.DrawFn, values: Any) -> Any:
    """Plain values of which one is another, one is missing, or one is too many."""
    damaged = copy.deepcopy(values)
    places = list(_places(damaged))
    if not places:
        return draw(st.sampled_from(ODD_VALUES))
    holder, key = draw(st.sampled_from(places))
    kind = draw(st.sampled_from(["replace", "replace", "replace", "remove", "add"]))
    if kind == "replace":
        holder[key] = draw(st.sampled_from(ODD_VALUES))
    elif kind == "remove":
        del holder[key]
    elif isinstance(holder, dict):
        holder[draw(st.sampled_from(["", "unknown", "\x1b[2J", "a" * 300]))] = draw(st.sampled_from(ODD_VALUES))
    else:
        holder.insert(key, draw(st.sampled_from(ODD_VALUES)))
    return damaged


@st.composite
def damaged_json(draw: st.DrawFn, whole: bytes) -> bytes:
    """A JSON file, or one of its lines, with another value in it; or its bytes damaged."""
    if draw(st.integers(0, 3)) == 0:
        return draw(damaged_bytes(whole))
    lines = whole.splitlines() if _is_lines(whole) else [whole]
    number = draw(st.integers(0, len(lines) - 1))
    lines[number] = json.dumps(draw(damaged_values(json.loads(lines[number])))).encode()
    return b"\n".join(lines)


def _is_lines(whole: bytes) -> bool:
    try:
        json.loads(whole)
    except ValueError:
        return True
    return False


def _places(values: Any) -> list[tuple[Any, Any]]:
    """Every container of a tree, with each of its keys."""
    found: list[tuple[Any, Any]] = []
    waiting = [values]
    while waiting:
        holder = waiting.pop()
        if isinstance(holder, dict | list):
            items = list(holder.items() if isinstance(holder, dict) else enumerate(holder))[:30]
            found += [(holder, key) for key, _ in items]
            waiting += [value for _, value in items]
    return found


def huge_png(width: int, height: int) -> bytes:
    """A picture of a few bytes that says that it is large."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
