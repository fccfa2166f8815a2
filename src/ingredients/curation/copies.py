"""Whether a copy is still that of a file elsewhere: what storages say of their files, and what was written down.

Storages say what they can: a digest of the content, an ETag, or when a file was last written. Of every file that was
copied, either way, a line is written down when it is whole: which version lay there, and what lies here. So a file
that changed is copied again, also where it is as long as it was, and one that did not is left alone.
"""

import base64
import binascii
import contextlib
import datetime
import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ingredients.core.errors import OutputError
from ingredients.core.files import append_line, drop_half_line
from ingredients.core.json_yaml import read_json_lines, to_json

Facts = Mapping[str, Any]
"""What a storage of fsspec says of a file: `size`, and what else it knows, each by names of its own."""

_MD5 = ("md5Hash", "content_md5", "Content-MD5")
"""The MD5 in base 64, as Google's, Azure's and web servers call it."""

_TAGS = ("ETag", "etag")
"""S3's and web servers': the MD5 of some files and something else of others, but another one of another content."""

_TIMES = ("generation", "mtime", "LastModified", "last_modified", "Last-Modified", "updated", "created")

_REMEDY = "delete it, and the files are compared anew"


def size_of(facts: Facts) -> int | None:
    """Bytes of a file; None where a server does not say."""
    size = facts.get("size")
    return None if size is None else int(size)


def version_of(facts: Facts) -> str | None:
    """What tells one content of a file from another; None where a storage says nothing but its size."""
    for name in (*_MD5, *_TAGS, *_TIMES):
        if facts.get(name):
            return f"{name} {_plain(facts[name])}"
    return None


def md5_of(facts: Facts) -> str | None:
    """The MD5 of a file's content, where its storage is sure to know it."""
    for name in _MD5:
        if facts.get(name):
            with contextlib.suppress(ValueError, TypeError, binascii.Error):
                return base64.b64decode(_plain(facts[name]), validate=True).hex()
    return None


def file_md5(path: Path) -> str:
    """The MD5 of a file here."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


class CopyRecord:
    """What was copied, and in which version.

    Args:
        path: JSON lines, which need not be there yet.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines: dict[str, Mapping[str, Any]] = {}
        if path.is_file():
            with contextlib.suppress(OutputError):  # what can only be read is looked at as it is
                drop_half_line(path)
            for _, line in read_json_lines(path, remedy=_REMEDY):
                if isinstance(line, dict):
                    self._lines[str(line.get("address"))] = line

    def is_same(self, address: str, facts: Facts, path: Path) -> bool:
        """Whether a file here and the one at an address are the same.

        They are where their storage says the digest of what is here, or where both are as they were when one was
        copied. Where it says nothing but a size, the size of what was copied decides.
        """
        if not path.is_file():
            return False
        size, state = size_of(facts), path.stat()
        if size is not None and size != state.st_size:
            return False
        copied = self._lines.get(address)
        if copied is not None and size is not None and copied.get("version") == version_of(facts):
            if [state.st_size, state.st_mtime_ns] == [copied.get("size"), copied.get("modified")]:
                return True
            return bool(file_md5(path) == copied.get("md5"))
        said = {md5_of(facts), *(_plain(facts[name]) for name in _TAGS if facts.get(name))}
        return any(each is not None and re.fullmatch("[0-9a-f]{32}", each) for each in said) and file_md5(path) in said

    def add(self, address: str, facts: Facts, path: Path) -> None:
        """Writes down that a file here and the one at an address, of which its storage says so much, are the same.

        Raises:
            OutputError: if it cannot be written.
        """
        state = path.stat()
        line = {
            "address": address,
            "version": version_of(facts),
            "size": state.st_size,
            "modified": state.st_mtime_ns,
            "md5": file_md5(path),
        }
        append_line(self._path, to_json(line))
        self._lines[address] = line


def _plain(value: Any) -> str:
    """What a storage says of a version, without the quotes and the mark of weakness that servers put around it."""
    if isinstance(value, bytes | bytearray):  # Azure's digest
        return base64.b64encode(bytes(value)).decode()
    if isinstance(value, datetime.datetime):  # of one file; where they list a folder, some say it in seconds
        return str(value.timestamp())
    return str(value).removeprefix("W/").strip('"')
