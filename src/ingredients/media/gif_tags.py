"""What a GIF says about itself, and how long it shows each frame; FFmpeg writes neither words nor exact delays.

A comment goes into GIF's own comment extension, where viewers look for it. Everything else goes as JSON into an
application extension, which others pass over. Both stand before the first frame.
"""

import io
import json
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import BinaryIO

from ingredients.core.json_yaml import parse_json

FASTEST_RATE = 50
"""Frames a second: browsers and viewers show anything faster at a tenth of its speed."""

_APPLICATION = b"INGREDIENTS"  # the eleven bytes that name an application and its version
_EXTENSION, _IMAGE, _TRAILER = 0x21, 0x2C, 0x3B
_COMMENT, _APPLICATION_LABEL, _CONTROL = 0xFE, 0xFF, 0xF9
_HEAD_BYTES = 13  # of the signature and the screen's description
_MOST_TAG_BYTES = 2**24
_UNHURRIED = 10  # hundredths of a second that viewers make of a delay of none or one


def with_tags(gif: bytes, tags: Mapping[str, str], *, fps: Fraction) -> bytes:
    """A GIF that carries tags and shows each of its frames as long as its rate says, in whole hundredths of a second.

    Args:
        gif: as FFmpeg wrote it.
        tags: such as title and comment.
        fps: frames a second.
    """
    changed = bytearray(gif)
    frame = 0
    for label, place in _blocks(gif):
        if label == _CONTROL:
            ends = [round(100 * number / fps) for number in (frame, frame + 1)]  # whole hundredths, without drifting
            changed[place + 4 : place + 6] = min(ends[1] - ends[0], 0xFFFF).to_bytes(2, "little")
            frame += 1
    start = _start_of_blocks(gif)
    said = {name: text for name, text in tags.items() if name != "comment"}
    record = json.dumps({"fps": [fps.numerator, fps.denominator], "tags": said}, allow_nan=False).encode()
    blocks = bytes([_EXTENSION, _APPLICATION_LABEL, len(_APPLICATION)]) + _APPLICATION + _in_pieces(record)
    if "comment" in tags:
        blocks += bytes([_EXTENSION, _COMMENT]) + _in_pieces(tags["comment"].encode())
    # After FFmpeg's first extension, which says that the video loops: some players look for it in that place alone.
    place = next((place for label, place in _blocks(gif) if label == _CONTROL), start)
    return bytes(changed[:place]) + blocks + bytes(changed[place:])


def read_tags(file: BinaryIO) -> tuple[dict[str, str], Fraction | None]:
    """The tags of a GIF and its rate: the one that it names, or else as its delays are in the mean.

    What cannot be read is left out.
    """
    head = file.read(_HEAD_BYTES)
    if len(head) < _HEAD_BYTES:
        return {}, None
    file.read(_table_bytes(head[10]))
    tags: dict[str, str] = {}
    delays: list[int] = []
    while kind := file.read(1):
        if kind[0] == _IMAGE:
            description = file.read(9)
            if len(description) < 9:
                break
            file.read(_table_bytes(description[8]) + 1)
            _skip_pieces(file)
            continue
        label = file.read(1)
        if kind[0] != _EXTENSION or not label:
            break
        if label[0] not in (_COMMENT, _APPLICATION_LABEL, _CONTROL):
            _skip_pieces(file)
            continue
        pieces = list(_read_pieces(file))
        if label[0] == _COMMENT:
            tags.setdefault("comment", b"".join(pieces).decode("utf-8", "replace"))
        elif label[0] == _CONTROL and pieces and len(pieces[0]) >= 3:
            delays.append(int.from_bytes(pieces[0][1:3], "little"))
        elif pieces[:1] == [_APPLICATION]:
            fps, said = _parse(b"".join(pieces[1:]))
            tags |= said
            if fps is not None:
                tags |= _comment_after(file) if "comment" not in tags else {}
                return tags, fps
    shown = [delay if delay > 1 else _UNHURRIED for delay in delays]
    return tags, Fraction(100 * len(shown), sum(shown)) if shown else None


def _comment_after(file: BinaryIO) -> dict[str, str]:
    """The comment, where it stands next, as `with_tags` puts it."""
    if file.read(2) != bytes([_EXTENSION, _COMMENT]):
        return {}
    return {"comment": b"".join(_read_pieces(file)).decode("utf-8", "replace")}


def _parse(record: bytes) -> tuple[Fraction | None, dict[str, str]]:
    try:
        values = parse_json(record)
        numerator, denominator = values["fps"]
        fps = Fraction(int(numerator), int(denominator))
        tags = {str(name): str(text) for name, text in values["tags"].items()}
    except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError, RecursionError):
        return None, {}
    return (fps if fps > 0 else None), tags


def _read_pieces(file: BinaryIO) -> Iterator[bytes]:
    num_bytes = 0
    while (size := file.read(1)) not in (b"", b"\0") and num_bytes < _MOST_TAG_BYTES:
        num_bytes += size[0]
        yield file.read(size[0])


def _skip_pieces(file: BinaryIO) -> None:
    while (size := file.read(1)) not in (b"", b"\0"):
        file.seek(size[0], io.SEEK_CUR)


def _in_pieces(content: bytes) -> bytes:
    """Content as GIF holds it: pieces of at most 255 bytes, each after its length, and an empty one at the end."""
    pieces = [content[first : first + 255] for first in range(0, len(content), 255)]
    return b"".join(bytes([len(piece)]) + piece for piece in pieces) + b"\0"


def _blocks(gif: bytes) -> Iterator[tuple[int, int]]:
    """Label and place of each extension, and of each image (`_IMAGE`)."""
    place = _start_of_blocks(gif)
    while gif[place] != _TRAILER:
        if gif[place] == _EXTENSION:
            yield gif[place + 1], place
            pieces = place + 2
        else:
            yield _IMAGE, place
            pieces = place + 10 + _table_bytes(gif[place + 9]) + 1
        while gif[pieces]:
            pieces += gif[pieces] + 1
        place = pieces + 1


def _start_of_blocks(gif: bytes) -> int:
    return _HEAD_BYTES + _table_bytes(gif[10])


def _table_bytes(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0
