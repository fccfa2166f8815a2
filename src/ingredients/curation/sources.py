"""Raw videos to curate: files, folders, lists and manifests, and what each says of its licence, creator and consent.

A list is a text file with a path a line. A manifest is a CSV file with a header, or JSON lines, with a column `path`;
every other column is carried on to each clip. So is what a JSON file beside a video says, `film.json` or
`film.mp4.json` for `film.mp4`. Paths are relative to the file that names them. In place of a path there may be an
address such as `s3://bucket/films`, of a video or a folder of them, which `curation/fetch.py` brings to the disk.
"""

import csv
import dataclasses
import hashlib
import io
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from ingredients.core.errors import UserInputError
from ingredients.core.input_files import read_text
from ingredients.core.json_yaml import BadFileError, NotPlainError, read_json, read_json_lines, to_json
from ingredients.core.paths import is_address, without_secrets

VIDEO_NAMES = (
    ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts", ".flv", ".wmv", ".asf",
    ".ogv", ".ogg", ".gif", ".mxf", ".3gp", ".dv", ".vob", ".y4m", ".h264", ".hevc", ".ivf",
)  # fmt: skip
"""Endings by which files of a folder are taken for videos; a file that is named itself may have any."""

LIST_NAME, MANIFEST_NAMES = ".txt", (".csv", ".tsv", ".jsonl", ".ndjson")

PATH_COLUMN = "path"
_MOST_LETTERS = 4000
"""Letters that are kept of each thing that is said of a video."""

_MOST_LETTERS_OF_FOLDER = 60

_REMEDY = "mend it, or name the videos themselves"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A raw video."""

    path: Path
    """The file; of an address that was not copied yet, where a copy will lie."""

    provenance: Mapping[str, str]
    """What was said of it beside: licence, creator, consent and whatever else, by name."""

    problem: str | None = None
    """What is wrong with what was said beside it."""

    address: str | None = None
    """The place of a video, or of a folder of them, in object storage, as long as it is not copied."""

    copied_from: str | None = None
    """The address that the file is a copy of, as it may be shown; what was said of the video may name another one."""


def name_of(path: Path) -> str:
    """A path as a text that any file can hold: bytes of a name that are no letters are written as codes."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def find_sources(raws: Sequence[Path | str]) -> list[Source]:
    """All videos that files, folders, lists and manifests name, each once, in order.

    Args:
        raws: what the user named; texts are addresses. Folders are gone through in the order of their names, links to
            folders left alone.

    Raises:
        UserInputError: if one of them is not there, a list cannot be read, or there is no video at all.
    """
    found: dict[str, Source] = {}
    for raw in raws:
        for source in _sources_of(raw):
            found.setdefault(source.address or os.path.realpath(source.path), source)
    if not found:
        raise UserInputError(
            f"There is no video in {', '.join(map(str, raws))}; files of a folder are found by endings such as "
            f"{', '.join(VIDEO_NAMES[:5])}."
        )
    return list(found.values())


def _sources_of(raw: Path | str) -> Iterator[Source]:
    if isinstance(raw, str):
        yield _named(Path(), raw)
    elif raw.is_dir():
        for path in _walk(raw):
            yield with_sidecar(path)
    elif raw.suffix.lower() == LIST_NAME:
        for line in _text_of(raw).splitlines():
            if line.strip() and not line.lstrip().startswith("#"):
                yield _named(raw.parent, line.strip())
    elif raw.suffix.lower() in MANIFEST_NAMES:
        for number, row in _rows(raw):
            name = row.pop(PATH_COLUMN, "")
            if not name:
                raise UserInputError(f"Line {number} of the manifest {raw} has no {PATH_COLUMN!r}; give one.")
            source = _named(raw.parent, name)
            yield dataclasses.replace(source, provenance={**source.provenance, **row})
    elif not os.path.lexists(raw):
        raise UserInputError(f"The video, folder or list {raw} does not exist; check the name.")
    else:
        yield with_sidecar(raw)


def _named(folder: Path, name: str) -> Source:
    """What a name says, relative to a folder, or an address."""
    if is_address(name):
        return Source(path=copy_of(name), provenance={}, address=name)
    return with_sidecar(folder / Path(name).expanduser())


def copy_of(address: str) -> Path:
    """Name of the folder of copies of what lies at an address: the same for each signature, and with a last slash."""
    shown = without_secrets(address).rstrip("/")
    name = re.sub(r"[^A-Za-z0-9]+", "-", shown.partition("://")[2]).strip("-")[-_MOST_LETTERS_OF_FOLDER:].strip("-")
    return Path(f"{name or 'videos'}-{hashlib.sha256(shown.encode()).hexdigest()[:8]}")


def _walk(folder: Path) -> Iterator[Path]:
    """Files with a video's ending, and folders that cannot be looked into."""
    problems: list[Path] = []
    for parent, folders, names in os.walk(folder, onerror=lambda error: problems.append(Path(error.filename))):
        folders.sort()
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in sorted(names):
            if Path(name).suffix.lower() in VIDEO_NAMES and not name.startswith("."):
                yield Path(parent) / name
    yield from sorted(problems)


def with_sidecar(path: Path) -> Source:
    """A video with what a JSON file beside it says."""
    for sidecar in (path.with_name(f"{path.name}.json"), path.with_suffix(".json")):
        try:
            if not sidecar.is_file():
                continue
            values = read_json(sidecar, remedy=_REMEDY)
        except (BadFileError, OSError, ValueError) as error:
            return Source(path=path, provenance={}, problem=str(error))
        if not isinstance(values, dict):
            return Source(path=path, provenance={}, problem=f"The file {sidecar} must hold names and values.")
        return Source(path=path, provenance=_plain(values.items()))
    return Source(path=path, provenance={})


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    if path.suffix.lower() in (".jsonl", ".ndjson"):
        for number, values in read_json_lines(path, remedy=_REMEDY):
            if isinstance(values, NotPlainError) or not isinstance(values, dict):
                said = values if isinstance(values, NotPlainError) else "it is no object"
                raise UserInputError(f"Line {number} of the manifest {path} cannot be read ({said}); {_REMEDY}.")
            yield number, _plain(values.items())
        return
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    try:
        reader = csv.DictReader(io.StringIO(_text_of(path), newline=""), delimiter=delimiter)
        if PATH_COLUMN not in (reader.fieldnames or ()):
            raise UserInputError(
                f"The manifest {path} has no column {PATH_COLUMN!r}; its first line names the columns."
            )
        for row in reader:
            yield reader.line_num, _plain((name, value) for name, value in row.items() if name is not None)
    except csv.Error as error:
        raise UserInputError(f"The manifest {path} cannot be read ({error}); {_REMEDY}.") from error


def _plain(items: Iterable[tuple[object, object]]) -> dict[str, str]:
    """Names and texts, each of bounded length; lists and objects as JSON."""
    plain: dict[str, str] = {}
    for name, value in items:
        if value is None or value == "":
            continue
        text = value if isinstance(value, str) else to_json(value)
        plain[re.sub(r"\s+", "_", str(name).strip())[:100]] = text[:_MOST_LETTERS]
    return plain


def _text_of(path: Path) -> str:
    try:
        return read_text(path).removeprefix("\ufeff")
    except (OSError, UnicodeDecodeError) as error:
        raise UserInputError(f"The list {path} cannot be read ({error}); {_REMEDY}.") from error
