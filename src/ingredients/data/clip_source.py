"""One door to a data set of clips, be it a folder or WebDataset shards."""

import abc
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

from ingredients.core.errors import UserInputError
from ingredients.data.clip_folder import METADATA_NAME, iterate_lines, iterate_records
from ingredients.data.clip_shards import (
    INDEX_NAME,
    SHARD_SUFFIX,
    count_clips,
    counted_clips,
    iterate_shard,
    list_shards,
)
from ingredients.data.record_json import BadRecordError
from ingredients.data.schema import ClipRecord

ClipItem = tuple[str, ClipRecord | BadRecordError]
"""Where something stands (a line, or a shard and its sample), and the record or what is wrong with it."""


class ClipSource(abc.ABC):
    """A data set of clips, read one after the other, as often as wanted.

    Attributes:
        path: the path of the data set.
        keeps_files: whether a record's files outlive its turn. Those of a shard are unpacked for the current item
            only, and gone when the next one is asked for.
    """

    keeps_files: ClassVar[bool]

    def __init__(self, path: Path, *, part: tuple[int, int] = (0, 1)) -> None:
        index, num_parts = part
        if not 0 <= index < num_parts:
            raise ValueError(f"part is {index} of {num_parts}, and should be one of 0 to {num_parts - 1}")
        self.path = path
        self._index, self._num_parts = part

    @abc.abstractmethod
    def __iter__(self) -> Iterator[ClipItem]:
        """Each item of this part. What cannot be read is an item with an error, and the next one follows.

        Raises:
            UserInputError: if the data set is gone.
        """

    @abc.abstractmethod
    def fingerprint(self) -> str:
        """A digest of what the whole data set holds, without opening videos: text, file names and file sizes."""

    @abc.abstractmethod
    def count(self) -> int:
        """The number of items of this part."""


class FolderClipSource(ClipSource):
    """A folder with `metadata.jsonl`; a part of it is every n-th clip."""

    keeps_files = True

    def __iter__(self) -> Iterator[ClipItem]:
        """Each line's record, or what is wrong with it."""
        for position, (number, record) in enumerate(iterate_records(self.path)):
            if position % self._num_parts == self._index:
                yield f"line {number}", record

    def fingerprint(self) -> str:
        """A digest of `metadata.jsonl` and the sizes of the files that it names."""
        digest = hashlib.sha256()
        for _, line in iterate_lines(self.path):
            digest.update(line)
        for _, record in iterate_records(self.path):
            if not isinstance(record, BadRecordError):
                digest.update(repr([_size(path) for path in record.files]).encode())
        return digest.hexdigest()

    def count(self) -> int:
        """The lines of this part."""
        num_lines = sum(1 for _ in iterate_lines(self.path))
        return len(range(self._index, num_lines, self._num_parts))


class ShardClipSource(ClipSource):
    """WebDataset shards, or one of them; a part of them is every n-th shard.

    A part sees the names of its own clips only: two of one name in different parts are found by reading everything,
    as `ingredients data check` does.
    """

    keeps_files = False

    def __iter__(self) -> Iterator[ClipItem]:
        """Each sample's record, or what is wrong with it or with the whole shard."""
        places: dict[str, str] = {}
        for shard in self._shards():
            for where, record in iterate_shard(shard):
                if isinstance(record, BadRecordError):
                    yield where, record
                    continue
                if record.clip_id in places:
                    yield (
                        where,
                        BadRecordError(
                            f"The samples {places[record.clip_id]} and {where} of {self.path} have the same clip_id "
                            f"{record.clip_id!r}; give each clip its own."
                        ),
                    )
                    continue
                places[record.clip_id] = where
                yield where, record

    def fingerprint(self) -> str:
        """A digest of the names and sizes of the shards, and of the index that packing left beside them."""
        shards = list_shards(self.path)
        digest = hashlib.sha256(repr([(shard.name, _size(shard)) for shard in shards]).encode())
        if (index := self._folder / INDEX_NAME).is_file():
            digest.update(index.read_bytes())
        return digest.hexdigest()

    def count(self) -> int:
        """The samples of this part: from the index that packing left, otherwise the shards' tables are read."""
        counted = counted_clips(self._folder)
        return sum(counted.get(shard.name) or count_clips(shard) for shard in self._shards())

    @property
    def _folder(self) -> Path:
        return self.path if self.path.is_dir() else self.path.parent

    def _shards(self) -> Sequence[Path]:
        shards = list_shards(self.path)
        if not shards:
            raise UserInputError(f"The folder {self.path} holds no shards (*{SHARD_SUFFIX}) any more.")
        return shards[self._index :: self._num_parts]


def open_clip_source(path: str | Path, *, part: tuple[int, int] = (0, 1)) -> ClipSource:
    """Opens a data set.

    Args:
        path: a folder with `metadata.jsonl`, a folder of WebDataset shards (`*.tar`), or one shard.
        part: for many machines, which of how many parts to iterate over: (0, 4) to (3, 4). Every n-th clip of a
            folder, every n-th shard.

    Raises:
        UserInputError: if there is no data set, or two.
    """
    path = Path(path)
    if path.is_file() and path.suffix == SHARD_SUFFIX:
        return ShardClipSource(path, part=part)
    has_metadata, has_shards = (path / METADATA_NAME).is_file(), bool(path.is_dir() and list_shards(path))
    if has_metadata and has_shards:
        raise UserInputError(
            f"The folder {path} holds two data sets, {METADATA_NAME} and shards; move one of them to another folder."
        )
    if has_shards:
        return ShardClipSource(path, part=part)
    if has_metadata:
        return FolderClipSource(path, part=part)
    raise UserInputError(
        f"There is no data set at {path}: neither a folder with {METADATA_NAME} nor shards (*{SHARD_SUFFIX}); "
        "`ingredients world clips` makes one to look at."
    )


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None
