"""The first step: what a raw video is, and whether it can be decoded at all."""

import dataclasses
import hashlib
from pathlib import Path

from ingredients.core.config import config_from_dict
from ingredients.core.errors import UserInputError
from ingredients.core.input_files import open_input
from ingredients.curation.config import ProbeConfig
from ingredients.curation.sources import name_of
from ingredients.curation.step import Rejection
from ingredients.media.film import FilmFacts, describe_film

STEP = "probe"
_BLOCK = 2**22


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FileState:
    """By what a file is known to be the same without being read again."""

    path: str
    """Where it is."""

    num_bytes: int
    """Its size."""

    changed_at: int
    """Nanoseconds of its last change."""


def file_state(path: Path) -> FileState | Rejection:
    """The state of a regular file that can be opened; of anything else, why it is none."""
    try:
        with open_input(path, "video") as file:
            found = path.stat()
            is_empty = not file.read(1)
    except (UserInputError, OSError) as error:  # OSError: of a disk that gives nothing back
        return Rejection(step=STEP, reason="cannot be opened", value=str(error))
    if is_empty:
        return Rejection(step=STEP, reason="the file is empty", value=0, threshold=1)
    return FileState(path=name_of(path.absolute()), num_bytes=found.st_size, changed_at=found.st_mtime_ns)


def file_digest(path: Path) -> str:
    """A digest of a file's whole content, by which measurements are kept: files may be moved and renamed.

    Raises:
        UserInputError: if it cannot be read.
    """
    digest = hashlib.blake2b(digest_size=16)
    with open_input(path, "video") as file:
        try:
            while block := file.read(_BLOCK):
                digest.update(block)
        except OSError as error:
            raise UserInputError(f"The video {path} cannot be read ({error.strerror}); copy it again.") from error
    return digest.hexdigest()


def probe(path: Path) -> FilmFacts | Rejection:
    """What a video is; why, if it is none."""
    try:
        return describe_film(path)
    except UserInputError as error:
        return Rejection(step=STEP, reason="cannot be decoded", value=str(error))


def look(path: Path) -> tuple[FileState, FilmFacts] | Rejection:
    """The state of a file and what it is as a video; why, if it cannot be opened or is none."""
    state = file_state(path)
    if isinstance(state, Rejection):
        return state
    facts = probe(path)
    return facts if isinstance(facts, Rejection) else (state, facts)


def problem_in_words(path: Path, rejection: Rejection) -> str:
    """Why a file cannot be read, in a sentence that names it."""
    if isinstance(rejection.value, str):  # what reading it raised
        return rejection.value
    return f"The video {path} cannot be read: {rejection.reason}; name one that plays."


def decide(facts: FilmFacts, num_bytes: int, config: ProbeConfig) -> Rejection | None:
    """Why a video is not worth decoding; None if it is."""
    short_side = min(facts.height, facts.width)
    if num_bytes > config.max_bytes:
        return Rejection(step=STEP, reason="file too large", value=num_bytes, threshold=config.max_bytes)
    if short_side < config.min_short_side:
        return Rejection(step=STEP, reason="picture too small", value=short_side, threshold=config.min_short_side)
    if facts.duration is not None and facts.duration < config.min_seconds:
        return Rejection(step=STEP, reason="too short", value=facts.duration, threshold=config.min_seconds)
    return None


def facts_from(values: object) -> FilmFacts:
    """The facts that the store kept as plain values."""
    return config_from_dict(FilmFacts, values, ignore_unknown=True)  # type: ignore[arg-type]
