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

_MOST_ALIKE = 64
"""Clips that are held against one, the most alike first."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ClipThumbs:
    """What a clip looks like over time."""

    frames: Float32Array
    """(F, rows, columns), grey, without bars."""

    fps: float
    """Frames a second."""

    had_bars: bool
    """Whether bars were cut off, so that the picture is seen less finely than without them."""


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
    thumbs = without_bars(signals.thumbs[span.first : span.end : step], signals, crop)
    return [
        np.packbits(imagehash.dhash(Image.fromarray(thumb), hash_size=config.hash_size).hash).tobytes().hex()
        for thumb in thumbs
    ]


def without_bars(thumbs: UInt8Array, signals: Signals, crop: Crop) -> UInt8Array:
    """The part of thumbnails (F, rows, columns) that lies within the crop, in the thumbnails' size."""
    rows, columns = thumbs.shape[1:]
    if (crop.height, crop.width) == (signals.height, signals.width):
        return thumbs
    cv2: Any = import_optional("cv2", extra="curate")
    down, across = crop.height / signals.height, crop.width / signals.width
    # From the middle of a place to the middle of the one that it is taken from.
    place = np.array(
        [
            [across, 0, crop.left / signals.width * columns + across / 2 - 0.5],
            [0, down, crop.top / signals.height * rows + down / 2 - 0.5],
        ]
    )
    how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.stack(
        [cv2.warpAffine(thumb, place, (columns, rows), flags=how, borderMode=cv2.BORDER_REPLICATE) for thumb in thumbs]
    )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class HashedClip:
    """A clip among those that are compared."""

    clip_id: str
    """Its name."""

    shot: str
    """Names its shot: parts of one shot are no duplicates of each other."""

    num_pixels: int
    """Of a frame: of two that show the same, the larger one stays."""

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
    first, second, rate = mine.frames, theirs.frames, mine.fps
    places = np.arange(int(len(second) * rate / theirs.fps)) * theirs.fps / rate
    second = second[np.minimum(places.round().astype(int), len(second) - 1)]
    first, second = _coarse(first), _coarse(second)  # (frames, places)
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
    noise = config.noise if mine.had_bars == theirs.had_bars else config.noise_of_bars
    return best, min(config.max_difference, max(config.max_changed * best_change, noise))


def _coarse(thumbs: Float32Array) -> Float32Array:
    """Thumbnails (F, places) half as fine, so that it does not matter how finely bars let a picture be seen."""
    num_frames, rows, columns = thumbs.shape
    halved = thumbs.reshape(num_frames, rows // 2, 2, columns // 2, 2).mean(axis=(2, 4))
    coarse: Float32Array = halved.reshape(num_frames, -1)
    return coarse


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
    thumbs = without_bars(signals.thumbs[span.first : span.end], signals, crop)
    return ClipThumbs(
        frames=thumbs.astype(np.float32),
        fps=signals.fps,
        had_bars=(crop.height, crop.width) != (signals.height, signals.width),
    )
