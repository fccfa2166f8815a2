"""Clips that show the same footage, within a source and across sources.

A difference hash of a few frames a second finds clips that look alike; whether they are the same footage, and not only
the same place and the same people, is then said by the thumbnails: those of the same footage change alike over time.

Legend: F frames.
"""

import collections
import dataclasses
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from ingredients.core.arrays import BoolArray, Float32Array, UInt8Array
from ingredients.core.optional_dependencies import import_optional
from ingredients.curation.config import DuplicatesConfig
from ingredients.curation.signals import Signals
from ingredients.curation.step import Clip, ClipStep, Crop, Measured, Rejection, Span

STEP = "duplicates"
_HASHES_A_SECOND = 4.0
_BAND_BYTES = 2
"""A hash is found again by any two bytes of it that are the same."""

_CHANGE_SECONDS = 0.25
_LEAST_SPREAD = 2.0
_MOST_GRADED = 2.0
"""How many times more contrast the same footage may have somewhere else."""

_MARKED = 0.2
"""Part of the picture that a mark or a subtitle may cover in one of two clips and not in the other."""

_COARSE = 2
"""Places of a thumbnail, in each direction, that are compared as one."""

_ROUNDED = 0.003
"""Part of the picture by which a place may reach into a bar and counts as free of it: bars are known by the pixel."""

_MOST_ALIKE = 64
"""Clips that are held against one, the most alike first."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ClipThumbs:
    """What a clip looks like over time."""

    frames: Float32Array
    """(F, rows, columns), grey, of places without bars."""

    rows: Float32Array
    """(rows + 1): where each row begins and the last one ends, in parts of the picture without bars."""

    columns: Float32Array
    """(columns + 1): the same of columns."""

    fps: float
    """Frames a second."""


Thumbs: TypeAlias = Callable[[str], ClipThumbs]
"""Gives the thumbnails of a clip by its name."""


class Hashes(ClipStep):
    """Perceptual hashes, by which duplicates are found later."""

    name, cost, title = "hashes", "cheap", "Hashes"

    def measure(self, clip: Clip) -> Measured:
        """Difference hashes as hexadecimal numbers, four a second."""
        return {"hashes": frame_hashes(clip.signals, clip.span, clip.crop, self.config.duplicates)}

    def decide(self, measured: Measured) -> Rejection | None:
        """Hashes decide nothing by themselves."""
        return None


def frame_hashes(signals: Signals, span: Span, crop: Crop, config: DuplicatesConfig) -> list[str]:
    """Difference hashes of frames at even times, without the picture's bars."""
    imagehash = import_optional("imagehash", extra="curate")
    from PIL import Image

    step = max(round(signals.fps / _HASHES_A_SECOND), 1)
    thumbs = _picture_alone(signals.thumbs[span.first : span.end : step], signals, crop)
    return [
        np.packbits(imagehash.dhash(Image.fromarray(thumb), hash_size=config.hash_size).hash).tobytes().hex()
        for thumb in thumbs
    ]


def _picture_alone(thumbs: UInt8Array, signals: Signals, crop: Crop) -> UInt8Array:
    """The part of thumbnails (F, rows, columns) that lies within the crop, in the thumbnails' size."""
    shape = thumbs.shape[1:]
    if (crop.height, crop.width) == (signals.height, signals.width):
        return thumbs
    cv2: Any = import_optional("cv2", extra="curate")
    rows, columns = _picture_edges(signals, crop, shape)
    free_rows, free_columns = _free(rows), _free(columns)
    places = [  # where the middle of each place is taken from, counted in places that no bar reaches into
        ((np.arange(number) + 0.5) / number - edges[free.start]) / (edges[1] - edges[0]) - 0.5
        for number, edges, free in zip(shape, (rows, columns), (free_rows, free_columns), strict=True)
    ]
    down, across = (each.astype(np.float32) for each in np.meshgrid(*places, indexing="ij"))
    free_thumbs = thumbs[:, free_rows, free_columns]
    return np.stack(
        [cv2.remap(thumb, across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE) for thumb in free_thumbs]
    )


def _picture_edges(signals: Signals, crop: Crop, shape: tuple[int, ...]) -> tuple[Float32Array, Float32Array]:
    """Where rows and columns of a thumbnail of a shape begin and end, as `_edges` says it."""
    rows, columns = shape
    return (
        _edges(signals.height, crop.top, crop.height, rows),
        _edges(signals.width, crop.left, crop.width, columns),
    )


def _edges(size: int, start: int, length: int, number: int) -> Float32Array:
    """Where places of a thumbnail begin, and the last one ends (number + 1), in parts of the picture without bars.

    Args:
        size: pixels of the whole picture in this direction.
        start: first pixel without a bar.
        length: pixels without a bar.
        number: the number of places.
    """
    edges: Float32Array = ((np.linspace(0, size, number + 1) - start) / length).astype(np.float32)
    return edges


def _free(edges: Float32Array) -> slice:
    """The places that no bar reaches into; of a picture that is hardly more than bars, the one in its middle."""
    is_free = (edges[:-1] >= -_ROUNDED) & (edges[1:] <= 1 + _ROUNDED)
    if not is_free.any():
        is_free[np.abs((edges[:-1] + edges[1:]) / 2 - 0.5).argmin()] = True
    [found] = np.nonzero(is_free)
    return slice(int(found[0]), int(found[-1]) + 1)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class HashedClip:
    """A clip among those that are compared."""

    clip_id: str
    """Its name."""

    shot: str
    """Names its shot: parts of one shot are no duplicates of each other."""

    num_pixels: int
    """Pixels of a frame: of two that show the same, the larger one stays."""

    hashes: Sequence[str]
    """Hexadecimal numbers."""


def find_duplicates(clips: Sequence[HashedClip], thumbs: Thumbs, config: DuplicatesConfig) -> dict[str, Rejection]:
    """Clips that show what another one does, by name.

    Args:
        clips: in the order of the data set; of the same footage the largest stays, and of the same size the first.
        thumbs: gives the thumbnails of a clip.
        config: what counts as the same.
    """
    order = sorted(range(len(clips)), key=lambda index: (-clips[index].num_pixels, index))
    kept: dict[bytes, list[int]] = collections.defaultdict(list)
    packed = [np.array([list(bytes.fromhex(each)) for each in clip.hashes], np.uint8) for clip in clips]
    rejections: dict[str, Rejection] = {}
    for index in order:
        clip, best = clips[index], np.inf
        for other in _alike(index, packed, kept, config):
            if clips[other].shot == clip.shot:
                continue
            difference, limit = _difference(thumbs(clip.clip_id), thumbs(clips[other].clip_id), config)
            if difference <= limit and difference / limit < best:
                best = difference / limit
                rejections[clip.clip_id] = Rejection(
                    step=STEP,
                    reason="shows the same as another clip",
                    value=f"{clips[other].clip_id}, {difference:.2g} grey levels apart",
                    threshold=round(limit, 2),
                )
        if clip.clip_id not in rejections:
            for band in _bands(packed[index]):
                kept[band].append(index)
    return rejections


def _bands(hashes: UInt8Array) -> set[bytes]:
    """What is looked up of hashes (number, bytes): each pair of bytes, with its place."""
    return {
        bytes([place]) + row[place : place + _BAND_BYTES].tobytes()
        for row in hashes
        for place in range(0, hashes.shape[1], _BAND_BYTES)
    }


def _alike(
    index: int, packed: Sequence[UInt8Array], kept: Mapping[bytes, Sequence[int]], config: DuplicatesConfig
) -> list[int]:
    """Clips of which enough frames look like one of this clip's, the most alike first."""
    votes = collections.Counter(itertools.chain.from_iterable(kept.get(band, ()) for band in _bands(packed[index])))
    found: list[tuple[float, int]] = []
    mine = packed[index]
    for other, _ in votes.most_common(_MOST_ALIKE):
        theirs = packed[other]
        bits = np.bitwise_count(mine[:, None] ^ theirs[None]).sum(axis=-1, dtype=int)  # (mine, theirs)
        is_same = bits <= config.max_distance * mine.shape[1] * 8
        overlap = max(is_same.any(axis=1).mean(), is_same.any(axis=0).mean())
        if overlap >= config.min_overlap:
            found.append((-float(overlap), other))
    return [other for _, other in sorted(found)]


def _difference(mine: ClipThumbs, theirs: ClipThumbs, config: DuplicatesConfig) -> tuple[float, float]:
    """How many grey levels clips differ by, and up to how many they are the same footage.

    Both are laid over each other at each offset in time that leaves enough of the shorter one. The same footage
    differs by less than a part of how much it changes itself within a quarter of a second.
    """
    (first, second), rate = _on_one_grid(mine, theirs), mine.fps
    places = np.arange(int(len(second) * rate / theirs.fps)) * theirs.fps / rate
    second = second[np.minimum(places.round().astype(int), len(second) - 1)]
    least = max(int(min(len(first), len(second)) * config.min_overlap), 2)
    best, best_change = np.inf, 0.0
    step = max(round(rate * _CHANGE_SECONDS), 1)
    for offset in range(least - len(second), len(first) - least + 1):
        start, end = max(offset, 0), min(len(first), offset + len(second))
        mine_now, theirs_now = first[start:end], second[start - offset : end - offset]
        apart = _apart(mine_now, theirs_now, np.ones(first.shape[1], dtype=bool))
        is_clear = apart <= np.quantile(apart, 1 - _MARKED)  # without the places of a mark or a subtitle
        difference = float(_apart(mine_now, theirs_now, is_clear)[is_clear].mean())
        if difference < best:
            best = difference
            moved = np.abs(mine_now[step:] - mine_now[:-step])[:, is_clear]
            best_change = float(moved.mean()) if len(moved) else 0.0
    is_seen_alike = all(np.array_equal(getattr(mine, axis), getattr(theirs, axis)) for axis in ("rows", "columns"))
    noise = config.noise if is_seen_alike else config.noise_of_bars
    return best, min(config.max_difference, max(config.max_changed * best_change, noise))


def _on_one_grid(mine: ClipThumbs, theirs: ClipThumbs) -> tuple[Float32Array, Float32Array]:
    """Thumbnails (F, places) of two clips, averaged over the same coarse parts of the picture that both show.

    Where bars were cut off, places are larger parts of the picture than without them; coarse ones hold two of the
    larger kind in each direction.
    """
    seen = [_coarse_shares(getattr(mine, axis), getattr(theirs, axis)) for axis in ("rows", "columns")]
    on_grid = [
        np.einsum("ir,frc,jc->fij", down, clip.frames, across, optimize=True).reshape(len(clip.frames), -1)
        for clip, down, across in zip((mine, theirs), *seen, strict=True)
    ]
    return on_grid[0], on_grid[1]


def _coarse_shares(mine: Float32Array, theirs: Float32Array) -> tuple[Float32Array, Float32Array]:
    """Which part each place of two thumbnails is of coarse places, by where theirs begin, in one direction."""
    first, last = max(mine[0], theirs[0]), min(mine[-1], theirs[-1])
    coarse = np.linspace(first, last, max((min(len(mine), len(theirs)) - 1) // _COARSE, 1) + 1)
    shares = []
    for edges in (mine, theirs):
        shared = np.minimum(coarse[1:, None], edges[None, 1:]) - np.maximum(coarse[:-1, None], edges[None, :-1])
        shared = np.maximum(shared, 0)
        shares.append((shared / shared.sum(axis=1, keepdims=True)).astype(np.float32))
    return shares[0], shares[1]


def _apart(mine: Float32Array, theirs: Float32Array, is_seen: BoolArray) -> Float32Array:
    """Mean difference of each place, with the brightness and contrast of one clip as the other one has them."""
    one, other = mine[:, is_seen], theirs[:, is_seen]
    centred = other - other.mean()
    contrast = float((centred * (one - one.mean())).mean() / max(float((centred**2).mean()), _LEAST_SPREAD**2))
    contrast = min(max(contrast, 1 / _MOST_GRADED), _MOST_GRADED)
    apart: Float32Array = np.abs(mine - one.mean() - contrast * (theirs - other.mean())).mean(axis=0)
    return apart


def clip_thumbs(signals: Signals, span: Span, crop: Crop) -> ClipThumbs:
    """What `find_duplicates` looks at of a clip."""
    thumbs = signals.thumbs[span.first : span.end]
    rows, columns = _picture_edges(signals, crop, thumbs.shape[1:])
    free_rows, free_columns = _free(rows), _free(columns)
    return ClipThumbs(
        frames=thumbs[:, free_rows, free_columns].astype(np.float32),
        rows=rows[free_rows.start : free_rows.stop + 1],
        columns=columns[free_columns.start : free_columns.stop + 1],
        fps=signals.fps,
    )
