"""Keys that callers of the server have: made by a command, kept as hashes, compared in constant time.

A key is 32 random bytes, so a plain SHA-256 of it cannot be turned back, as that of a password could.
"""

import dataclasses
import hashlib
import hmac
import secrets
import threading
import time
from pathlib import Path

from ingredients.core.config import read_record
from ingredients.core.errors import UserInputError
from ingredients.core.json_yaml import write_json
from ingredients.core.printable import check_letters, printable

_PREFIX = "ingredients-"
_REMEDY = "make it anew with `ingredients keys add`"
_SECONDS_BETWEEN_LOOKS = 1.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """What is known of a key."""

    name: str
    """The caller whose it is; jobs belong to the name."""

    sha256: str
    """Hash of the key, in hexadecimal digits."""

    created_at: int
    """Seconds since 1970."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class KeyFile:
    """All keys of a server."""

    keys: tuple[Key, ...] = ()
    """The keys, in the order in which they were made; a name may stand twice, while one key replaces another."""


def load_keys(path: Path) -> KeyFile:
    """Reads the keys of a file.

    Raises:
        UserInputError: if it is missing or damaged.
    """
    return read_record(KeyFile, path, remedy=_REMEDY)


def make_key(path: Path, name: str) -> str:
    """Adds a key to a file, which need not exist, and returns it: nobody can read it there later.

    Raises:
        UserInputError: if the name is none.
    """
    name = name.strip()
    check_letters(name, "The name of the key", kind=UserInputError)
    if not name or printable(name, most=80) != name:
        raise UserInputError("The name of a key must have 1 to 80 letters, on one line, such as: ana-laptop")
    known = load_keys(path).keys if path.exists() else ()
    key = _PREFIX + secrets.token_urlsafe(32)
    _save(path, KeyFile(keys=(*known, Key(name=name, sha256=_hash(key), created_at=int(time.time())))))
    return key


def remove_keys(path: Path, name: str) -> int:
    """Removes the keys of a name from a file, and returns how many there were.

    Raises:
        UserInputError: if there is none.
    """
    known = load_keys(path).keys
    left = tuple(key for key in known if key.name != name)
    if len(left) == len(known):
        raise UserInputError(f"The file {path} has no key named {name}; `ingredients keys list` shows those it has.")
    _save(path, KeyFile(keys=left))
    return len(known) - len(left)


class KeyRing:
    """Tells whose key a caller has; a change of the file holds from the next second on."""

    def __init__(self, path: Path) -> None:
        """Reads the file.

        Raises:
            UserInputError: if it is missing, damaged, or holds no key.
        """
        self._path = path
        self._lock = threading.Lock()
        self._keys = load_keys(path).keys
        self._stamp = _stamp(path)
        self._looked = time.monotonic()
        if not self._keys:
            raise UserInputError(
                f"The file {path} holds no key; make one with: ingredients keys add NAME --keys {path}"
            )

    def owner(self, key: str) -> str | None:
        """The name of whoever has this key; None if nobody has."""
        self._look()
        hashed, owner = _hash(key).encode(), None
        for each in self._keys:  # all of them, so that the time says nothing
            if hmac.compare_digest(each.sha256.encode(), hashed):
                owner = each.name
        return owner

    def _look(self) -> None:
        """Reads the file again if it has changed; while it cannot be read, nobody new is let in."""
        with self._lock:
            if time.monotonic() - self._looked < _SECONDS_BETWEEN_LOOKS:
                return
            self._looked = time.monotonic()
            stamp = _stamp(self._path)
            if stamp == self._stamp:
                return
            try:
                self._keys = load_keys(self._path).keys
                self._stamp = stamp
            except UserInputError:
                self._keys = ()


def _save(path: Path, keys: KeyFile) -> None:
    write_json(path, dataclasses.asdict(keys))
    path.chmod(0o600)


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
