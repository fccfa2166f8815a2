"""Reads WebDataset shards: tar files in which the files of one clip, its sample, stand together and share a key.

KEY.json          the record; it calls the sample's other files by what follows the key and a dot
KEY.mp4           the video
KEY.0.mask.png    the visible face of person 0 in each frame (`data/mask_files.py`)
KEY.0.person.png  everything visible of person 0, where somebody cut it out
KEY.0.1.png       photo 1 of person 0, where there are any

The key ends at the first dot of the base name, as in the webdataset library, which reads the same shards. Its reader
is not used here: it takes a shard that was cut off between two files for a whole one, and its decoders unpickle some
endings. A shard is a stranger's file, and nothing in it is trusted: files are written only to a temporary folder,
under names of our own, and only those that a valid record names.
"""

import contextlib
import dataclasses
import re
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from ingredients.core.config import read_record
from ingredients.core.errors import OutputError
from ingredients.core.json_yaml import MOST_JSON_BYTES, BadFileError, parse_json, write_json
from ingredients.core.printable import printable
from ingredients.data.record_json import BadRecordError, parse_record
from ingredients.data.schema import ClipRecord

INDEX_NAME = "shards.json"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ShardIndex:
    """What packing leaves beside the shards."""

    made_from: str
    """Fingerprint of the data set."""

    clips_per_shard: int
    """Clips of the data set for each shard; those that were skipped count."""

    shards: dict[str, tuple[int, int]]
    """Clips and bytes of each complete shard, by name."""


def write_index(folder: Path, index: ShardIndex) -> None:
    """Writes the index, whole or not at all.

    Raises:
        OutputError: if it cannot be written.
    """
    write_json(folder / INDEX_NAME, dataclasses.asdict(index))


def read_index(folder: Path) -> ShardIndex | None:
    """The index of a folder; None if there is none that can be read: nothing depends on it but speed."""
    try:
        return read_record(ShardIndex, folder / INDEX_NAME, remedy="pack the clips again")
    except BadFileError:
        return None


def counted_clips(folder: Path) -> dict[str, int]:
    """Clips of those shards that are still as the index says."""
    index = read_index(folder)
    if index is None:
        return {}
    return {
        name: num_clips
        for name, (num_clips, size) in index.shards.items()
        if (folder / name).is_file() and (folder / name).stat().st_size == size
    }


SHARD_SUFFIX = ".tar"
RECORD_SUFFIX = "json"

_KEY_AND_SUFFIX = re.compile(r"^((?:.*/|)[^.]+)[.]([^/]*)$", re.DOTALL)
_LIBRARY_FILE = re.compile(r"__[^/]*__($|/)")
"""Names that webdataset keeps for itself."""

_MOST_RECORD_BYTES = MOST_JSON_BYTES
_MOST_SUFFIX_BYTES = 128
_CHUNK_BYTES = 2**20

_TAR_ERRORS = (tarfile.TarError, OSError, ValueError, LookupError, ArithmeticError, RecursionError)
"""What the standard library's reader raises for a damaged file."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Sample:
    """The files of one key, still packed."""

    tar: tarfile.TarFile
    key: str
    members: dict[str, tarfile.TarInfo]
    """The entries of its files, by suffix."""
    problems: list[str]


def list_shards(path: Path) -> list[Path]:
    """The shards of a folder in the order of their names, or the one that is named."""
    if path.is_file():
        return [path]
    return sorted(shard for shard in path.glob(f"*{SHARD_SUFFIX}") if not shard.name.startswith("."))


def count_clips(shard: Path) -> int:
    """How many items `iterate_shard` will give, without reading what the shard holds."""
    return sum(1 for _ in _scan(shard))


def iterate_shard(shard: Path) -> Iterator[tuple[str, ClipRecord | BadRecordError]]:
    """Each sample's place and its record, unpacked until the next one is asked for, or what is wrong with it.

    A shard that cannot be read to its end gives what stands before the damage, then one error.

    Raises:
        OutputError: if there is no room for the files of one clip.
    """
    for sample in _scan(shard):
        if isinstance(sample, BadRecordError):
            yield shard.name, sample
            continue
        where = f"{shard.name}:{printable(sample.key)}"
        with _temporary_folder() as folder:
            item: ClipRecord | BadRecordError
            try:
                item = _unpack(f"{shard.parent / where}", sample, folder)
            except BadRecordError as error:
                item = error
            yield where, item


def _scan(shard: Path) -> Iterator[_Sample | BadRecordError]:
    is_empty = True
    if not shard.is_file():
        yield BadRecordError(f"The shard {shard} is no file; remove it, or pack it again.")
        return
    try:
        with tarfile.open(shard, mode="r:") as tar:
            for sample in _samples(shard, tar):
                is_empty = False
                yield sample
    except _TAR_ERRORS as error:
        yield BadRecordError(
            f"The shard {shard} is damaged or cut off ({printable(str(error))}); pack or copy it again."
        )
    else:
        if is_empty:
            yield BadRecordError(f"The shard {shard} holds no clips; delete it, or pack it again.")


def _samples(shard: Path, tar: tarfile.TarFile) -> Iterator[_Sample]:
    sample = None
    for member in _members(shard, tar):
        is_outside = PurePosixPath(member.name).is_absolute() or ".." in PurePosixPath(member.name).parts
        match = _KEY_AND_SUFFIX.match(member.name)
        if member.isdir() or _LIBRARY_FILE.match(member.name) or not (match or is_outside):
            continue
        key, suffix = (match[1], match[2].lower()) if match else (member.name, "")
        if sample is None or sample.key != key:
            if sample is not None:
                yield sample
            sample = _Sample(tar=tar, key=key, members={}, problems=[])
        if is_outside:
            sample.problems.append("has a name that leads out of its folder")
        elif not member.isreg() or member.issparse():
            sample.problems.append(f"has something that is no plain file at {suffix!r}")
        elif suffix in sample.members:
            sample.problems.append(f"has {suffix!r} twice")
        sample.members[suffix] = member
    if sample is not None:
        yield sample


def _members(shard: Path, tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """The files of a tar up to its end mark; the standard library takes a damaged header for the end as well."""
    offset = 0
    while (member := tar.next()) is not None:
        if member.size < 0 or tar.offset <= offset:
            raise tarfile.ReadError("a file of negative length")
        offset = tar.offset
        yield member
    with shard.open("rb") as file:
        file.seek(tar.offset)
        if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise tarfile.ReadError("its end mark is missing")


def _unpack(where: str, sample: _Sample, folder: Path) -> ClipRecord:
    if sample.problems:
        raise BadRecordError(f"The sample {where} {printable(sample.problems[0])}; pack it again.")
    if RECORD_SUFFIX not in sample.members:
        raise BadRecordError(f"The sample {where} lacks its record, the file that ends in .{RECORD_SUFFIX}.")
    if sample.members[RECORD_SUFFIX].size > _MOST_RECORD_BYTES:
        raise BadRecordError(f"The record of the sample {where} is larger than {_MOST_RECORD_BYTES >> 20} MB.")
    text = b"".join(_read(where, sample, RECORD_SUFFIX))
    stem = re.sub(r"[^A-Za-z0-9_-]", "_", PurePosixPath(sample.key).name)[:64]
    try:
        record = parse_record(parse_json(text), lambda name: folder / f"{stem}.{name}")
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise BadRecordError(f"The sample {where} is no record of a clip: {printable(str(error))}.") from error
    for path in record.files:
        suffix = path.relative_to(folder).as_posix().removeprefix(f"{stem}.")
        if suffix.lower() not in sample.members or len(suffix.encode()) > _MOST_SUFFIX_BYTES:
            raise BadRecordError(f"The sample {where} lacks the file that its record calls {printable(suffix)}.")
        try:
            with path.open("wb") as file:
                for chunk in _read(where, sample, suffix.lower()):
                    file.write(chunk)
        except OSError as error:
            raise _no_room(folder.parent, error) from error
    return record


def _read(where: str, sample: _Sample, suffix: str) -> Iterator[bytes]:
    try:
        file = sample.tar.extractfile(sample.members[suffix])
        assert file is not None
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk
    except _TAR_ERRORS as error:
        raise BadRecordError(
            f"The file {printable(suffix)} of the sample {where} cannot be read ({printable(str(error))}); "
            "pack or copy its shard again."
        ) from error


@contextlib.contextmanager
def _temporary_folder() -> Iterator[Path]:
    try:
        folder = tempfile.TemporaryDirectory(prefix="ingredients-clip-", ignore_cleanup_errors=True)
    except OSError as error:
        raise _no_room(Path(tempfile.gettempdir()), error) from error
    with folder as name:
        yield Path(name)


def _no_room(folder: Path, error: OSError) -> OutputError:
    return OutputError(
        f"A clip cannot be unpacked into {folder} ({error.strerror or error}); free some space there, or name another "
        "folder in the environment variable TMPDIR."
    )
