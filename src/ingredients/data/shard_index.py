"""`shards.json` beside shards: what they were packed from, and how many clips each holds."""

import dataclasses
from pathlib import Path

from ingredients.core.config import read_record
from ingredients.core.json_yaml import BadFileError, write_json

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
