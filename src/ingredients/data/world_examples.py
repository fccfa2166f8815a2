"""Training examples drawn on the spot: a scene of the drawn world, its truth, and separate photos of the people.

Legend: F frames, N people.
"""

import dataclasses
import functools
import itertools
import multiprocessing
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path
from typing import Self

import numpy as np

from ingredients.core.protocols import ProgressCallback
from ingredients.data.clip_encoder import ClipEncoder
from ingredients.data.clip_example import ClipExample, ReferencePhoto
from ingredients.data.encode_data_set import encode_data_set
from ingredients.data.encoding_settings import WorldExampleConfig
from ingredients.data.world_folder import person_id
from ingredients.world import (
    Identity,
    phrase_of,
    render_portrait,
    render_scene,
    sample_scene,
)
from ingredients.world.held_out_pairs import seeds_without_held_out_pairs
from ingredients.world.scenes import VISIBLE, face_states
from ingredients.world.styles import STYLES


def draw_example(seed: int, config: WorldExampleConfig) -> ClipExample:
    """Draws example number `seed`. Extras are in the picture alone: they belong to the background."""
    spec = sample_scene(seed, split=config.split, style=STYLES[config.style])
    scene = render_scene(spec, height=config.height, width=config.width, num_frames=config.num_frames)
    rng = np.random.default_rng([abs(seed), int(seed < 0), 23])
    cast = list(spec.cast)
    in_view = (face_states(scene) == VISIBLE)[:, cast]  # (F, N)
    return ClipExample(
        clip_id=f"{config.split}-{seed:08d}",
        caption=scene.caption,
        frames=scene.frames,
        face_masks=scene.face_masks[:, cast],
        person_masks=scene.person_masks[:, cast],
        boxes=np.where(in_view[..., None], scene.boxes[:, cast], np.float32(np.nan)),
        landmarks=np.where(in_view[..., None, None], scene.landmarks[:, cast], np.float32(np.nan)),
        person_ids=tuple(person_id(spec.people[index]) for index in cast),
        references=tuple(
            tuple(_draw_photo(spec.people[index], config, rng) for _ in range(config.num_photos)) for index in cast
        ),
        phrases=tuple(phrase_of(scene.caption, spec.roles[index]) for index in cast) if spec.roles else (),
    )


def _draw_photo(person: Identity, config: WorldExampleConfig, rng: np.random.Generator) -> ReferencePhoto:
    portrait = render_portrait(person, int(rng.integers(2**40)), size=config.portrait_size)
    error = rng.normal(0, config.landmark_jitter * config.portrait_size, (5, 2)).astype(np.float32)
    return ReferencePhoto(image=portrait.image, landmarks=portrait.landmarks + error, kind="photo")


class DrawnAhead:
    """Examples that other processes draw while the one before them is used.

    Nothing is drawn before it is asked for: then the next ones are begun as well.

    Args:
        seeds: the seeds of the examples, in the order in which they are asked for.
        config: what is drawn.
        num_processes: that draw; 0 draws here, each when it is asked for.
    """

    def __init__(self, seeds: Iterable[int], config: WorldExampleConfig, *, num_processes: int) -> None:
        self._coming = iter(seeds)
        self._seeds: list[int] = []
        self._config = config
        self._ahead = 2 * num_processes
        self._begun: dict[int, Future[ClipExample]] = {}
        spawn = multiprocessing.get_context("spawn")  # a fork would take locks of PyTorch's threads along
        self._pool = ProcessPoolExecutor(num_processes, mp_context=spawn) if num_processes else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def draw(self, index: int) -> ClipExample:
        """Example `index`, and those after it are begun."""
        last = index + self._ahead
        self._seeds += itertools.islice(self._coming, max(last + 1 - len(self._seeds), 0))
        if self._pool is None:
            return draw_example(self._seeds[index], self._config)
        for each in range(index, min(last + 1, len(self._seeds))):
            if each not in self._begun:
                self._begun[each] = self._pool.submit(draw_example, self._seeds[each], self._config)
        return self._begun.pop(index).result()


_CLIPS_AT_ONCE = 5  # a single clip takes a path of PyTorch's convolutions that is four times slower


def encode_drawn_clips(
    folder: Path,
    config: WorldExampleConfig,
    encoder: ClipEncoder,
    *,
    parts: Mapping[str, str],
    first_seed: int,
    number: int,
    without_held_out_pairs: bool = True,
    shard_size: int = 50,
    num_processes: int = 0,
    minutes: float | None = None,
    progress: ProgressCallback | None = None,
) -> None:
    """Draws clips and encodes them into a folder; shards that are there are kept.

    Args:
        folder: the folder of the encoded clips.
        config: what is drawn.
        encoder: encodes them.
        parts: digests of the model's parts, by name.
        first_seed: the seed of the first clip; the others have those that follow.
        number: the number of clips.
        without_held_out_pairs: leaves out the seeds whose scenes show a pair that the benchmark keeps for itself.
        shard_size: clips of a shard.
        num_processes: that draw beside this one, which encodes.
        minutes: after which no other shard is begun, if one is there; None draws all.
        progress: told of the clips done.
    """
    of_style = seeds_without_held_out_pairs(first_seed, STYLES[config.style])
    chosen = itertools.islice(of_style if without_held_out_pairs else itertools.count(first_seed), number)
    seeds, to_draw = itertools.tee(chosen)
    began = time.monotonic()

    def in_time(numbered: tuple[int, int]) -> bool:
        index, _ = numbered
        begins_another_shard = index > 0 and index % shard_size == 0
        return minutes is None or not begins_another_shard or time.monotonic() - began < 60 * minutes

    with DrawnAhead(to_draw, config, num_processes=num_processes) as drawn:
        encode_data_set(
            folder,
            (
                (str(seed), functools.partial(drawn.draw, index))
                for index, seed in itertools.takewhile(in_time, enumerate(seeds))
            ),
            encoder,
            parts=parts,
            source=dataclasses.asdict(config) | {"without_held_out_pairs": without_held_out_pairs},
            reading={},
            shard_size=shard_size,
            batch_size=_CLIPS_AT_ONCE,
            num_items=number,
            progress=progress,
        )
