"""Encodes a data set into a folder: shard by shard, so that a stopped run goes on and many machines share it."""

import itertools
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ingredients.core.errors import UserInputError
from ingredients.core.protocols import OnBadInput, ProgressCallback
from ingredients.data.clip_check import OnBadClip
from ingredients.data.clip_encoder import ClipEncoder, describe, encode_all
from ingredients.data.clip_example import ClipExample, ReadExample
from ingredients.data.encoded_clips import claim_folder, read_shard_size, write_shard


def encode_data_set(
    folder: Path,
    items: Iterable[tuple[str, ReadExample]],
    encoder: ClipEncoder,
    *,
    parts: Mapping[str, str],
    source: Mapping[str, Any],
    reading: Mapping[str, Any],
    **settings: Any,
) -> int:
    """Claims a folder for the clips of a data set, and encodes them into it.

    Args:
        folder: the folder of the encoded clips.
        items: as `encode_into`.
        encoder: encodes them.
        parts: digests of the model's parts, by name.
        source: the data set, as the folder remembers it.
        reading: how its clips are read.
        settings: as `encode_into`.

    Returns:
        Clips that were left out.

    Raises:
        UserInputError: if the folder holds other clips, or as `encode_into`.
        OutputError: if it holds something else, or cannot be written to.
    """
    description = describe(encoder, parts=parts, source=source, reading=reading)
    claim_folder(folder, description, encoder.encode_captions([""])[0])
    return encode_into(folder, items, encoder, **settings)


def encode_into(
    folder: Path,
    items: Iterable[tuple[str, ReadExample]],
    encoder: ClipEncoder,
    *,
    shard_size: int = 50,
    batch_size: int = 1,
    part: tuple[int, int] = (0, 1),
    on_bad: OnBadClip = "skip",
    on_bad_input: OnBadInput | None = None,
    num_items: int | None = None,
    progress: ProgressCallback | None = None,
) -> int:
    """Encodes clips into the shards of a folder that `claim_folder` has claimed; shards that are there are kept.

    Args:
        folder: the folder of the encoded clips.
        items: each clip's name, and what reads it; read in order, each before the next is asked for.
        encoder: encodes them.
        shard_size: clips of a shard.
        batch_size: clips encoded at once, where they follow each other in one size.
        part: (i, n) does every n-th shard from shard i on, for n machines on one disk.
        on_bad: whether a clip that cannot be used is left out, or ends the run.
        on_bad_input: told the name of each that is left out, and why, also of those that an earlier run left out.
        num_items: how many clips there are, for the progress.
        progress: told of the clips done.

    Returns:
        Clips that were left out.

    Raises:
        UserInputError: for a clip that cannot be used, if `on_bad` is `stop`.
        OutputError: if the folder cannot be written to.
    """
    num_bad = 0
    done = 0
    iterator = iter(items)
    for number in itertools.count():
        first = next(iterator, None)
        if first is None:
            return num_bad
        shard: Iterable[tuple[str, ReadExample]] = itertools.chain([first], itertools.islice(iterator, shard_size - 1))
        path = folder / f"shard-{number * shard_size:08d}.safetensors"
        skipped: dict[str, str] = {}
        is_ours, num_held, num_there = number % part[1] == part[0], 0, 0
        if path.exists():
            num_held, skipped = read_shard_size(path)
        if path.exists() or not is_ours:
            shard = list(shard)  # of which nothing is read
            num_there = len(shard)
        if is_ours and (not path.exists() or num_there > num_held + len(skipped)):  # a last shard that may grow now
            skipped, clips = {}, []
            examples = _readable(shard, encoder, skipped, on_bad)
            for clip in encode_all(encoder, examples, batch_size=batch_size):
                clips.append(clip)
                if progress is not None and num_items is not None:
                    progress(done + len(clips) + len(skipped), num_items)
            write_shard(path, clips, skipped=skipped)
            num_there = len(clips) + len(skipped)
        done += num_there
        for name, problem in skipped.items():
            if on_bad_input is not None:
                on_bad_input(name, problem)
        num_bad += len(skipped)
        if progress is not None and num_items is not None:
            progress(done, num_items)
    raise AssertionError("an endless loop has ended")


def _readable(
    items: Iterable[tuple[str, ReadExample]], encoder: ClipEncoder, skipped: dict[str, str], on_bad: OnBadClip
) -> Iterator[ClipExample]:
    for name, read in items:
        try:
            example = read()
            encoder.check(example)
        except UserInputError as error:
            if on_bad == "stop":
                raise UserInputError(f"The clip {name} cannot be used: {error}") from error
            skipped[name] = str(error)
            continue
        yield example
