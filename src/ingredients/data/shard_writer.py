"""Packs a data set into WebDataset shards (`data/clip_shards.py` reads them), for training from many machines."""

import hashlib
import itertools
import re
import types
from collections.abc import Iterator
from pathlib import Path

from ingredients.core.errors import OutputError, UserInputError
from ingredients.core.files import atomic_path
from ingredients.core.json_yaml import to_json
from ingredients.core.optional_dependencies import import_optional
from ingredients.core.output_folders import fills_folder
from ingredients.core.protocols import OnBadInput, ProgressCallback
from ingredients.data.clip_check import OnBadClip, select_usable
from ingredients.data.clip_shards import (
    RECORD_SUFFIX,
    SHARD_SUFFIX,
    ShardIndex,
    count_clips,
    list_shards,
    read_index,
    write_index,
)
from ingredients.data.clip_source import ClipItem, ClipSource
from ingredients.data.record_json import record_to_json
from ingredients.data.schema import ClipRecord

_PLAIN_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,79}")
_PLAIN_SUFFIX = re.compile(r"[a-z0-9]{1,8}")


@fills_folder("shards of clips", "folder")
def pack_clips(
    source: ClipSource,
    folder: Path,
    *,
    clips_per_shard: int,
    on_bad: OnBadClip,
    on_bad_input: OnBadInput,
    progress: ProgressCallback | None = None,
) -> list[Path]:
    """Packs a data set into `clips-000000.tar` and so on; complete shards are kept, so that a stopped run goes on.

    Args:
        source: the data set, all of it.
        folder: the folder of the shards; made if it is not there.
        clips_per_shard: clips of the data set for each shard. One that is skipped leaves its shard smaller, so that
            the other clips stand in the same shards whatever is skipped.
        on_bad: what to do about a clip that cannot be used.
        on_bad_input: told of those that are skipped.
        progress: told of the clips done.

    Returns:
        The shards.

    Raises:
        UserInputError: if no clip can be used, or under "stop" for one that cannot.
        OutputError: if the folder cannot be written to, or holds shards of something else.
    """
    webdataset = import_optional("webdataset", extra="train")
    made_from = source.fingerprint()
    _start(source, folder, made_from, clips_per_shard)
    num_clips = source.count()
    items = _told(source, num_clips, progress)
    shards = []
    for number in range(-(-num_clips // clips_per_shard)):
        shard = folder / f"clips-{number:06d}{SHARD_SUFFIX}"
        block = itertools.islice(items, clips_per_shard)
        if not shard.is_file():
            _write_shard(webdataset, shard, select_usable(source, block, on_bad, on_bad_input))
        for _ in block:
            pass
        if shard.is_file():
            shards.append(shard)
    if not shards:
        raise UserInputError(f"The data set {source.path} holds no clip that can be packed.")
    sizes = {shard.name: (count_clips(shard), shard.stat().st_size) for shard in shards}
    write_index(folder, ShardIndex(made_from=made_from, clips_per_shard=clips_per_shard, shards=sizes))
    return shards


def _start(source: ClipSource, folder: Path, made_from: str, clips_per_shard: int) -> None:
    there = read_index(folder)
    if list_shards(folder) and (
        there is None or (there.made_from, there.clips_per_shard) != (made_from, clips_per_shard)
    ):
        raise OutputError(
            f"The folder {folder} holds shards that were not packed from {source.path} as it is now, "
            f"{clips_per_shard} clips each; delete it, or choose another one."
        )
    if there is None or not list_shards(folder):
        write_index(folder, ShardIndex(made_from=made_from, clips_per_shard=clips_per_shard, shards={}))


def _told(source: ClipSource, num_clips: int, progress: ProgressCallback | None) -> Iterator[ClipItem]:
    for done, item in enumerate(source, start=1):
        yield item
        if progress is not None:
            progress(done, num_clips)


def _write_shard(webdataset: types.ModuleType, shard: Path, records: Iterator[ClipRecord]) -> None:
    """Writes a shard; none if there are no records, as one without clips is taken for a damaged one."""
    first = next(records, None)
    if first is None:
        return
    with (
        atomic_path(shard) as temporary,
        temporary.open("wb") as file,
        webdataset.TarWriter(file, encoder=False, compress=False, mtime=0, user="", group="") as tar,
    ):
        for record in itertools.chain([first], records):
            tar.write(_to_sample(record))


def _to_sample(record: ClipRecord) -> dict[str, str | bytes]:
    """The files of a clip as webdataset takes them: by what follows the key and a dot."""
    names = {record.video: _suffix(record.video, otherwise="video")}
    for index, person in enumerate(record.people):
        names.setdefault(person.face_masks, f"{index}.mask.png")
        if person.person_masks is not None:
            names.setdefault(person.person_masks, f"{index}.person.png")
        for number, photo in enumerate(person.references):
            names.setdefault(photo, f"{index}.{number}.{_suffix(photo, otherwise='photo')}")
    values = record_to_json(record, names.__getitem__)
    return {
        "__key__": clip_key(record.clip_id),
        RECORD_SUFFIX: to_json(values).encode(),
        **{name: path.read_bytes() for path, name in names.items()},
    }


def clip_key(clip_id: str) -> str:
    """The clip's name where it can be a key or a file's name, without dots; else something like it and its digest."""
    if _PLAIN_KEY.fullmatch(clip_id):
        return clip_id
    return f"{re.sub('[^A-Za-z0-9_-]', '_', clip_id)[:60]}-{hashlib.sha256(clip_id.encode()).hexdigest()[:12]}"


def _suffix(path: Path, *, otherwise: str) -> str:
    suffix = path.suffix[1:].lower()
    return suffix if _PLAIN_SUFFIX.fullmatch(suffix) and suffix != RECORD_SUFFIX else otherwise
