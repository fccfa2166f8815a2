"""Where shots end: cuts by PySceneDetect's detectors or a network, dissolves by what lies between two pictures.

All of it is decided on signals (`curation/signals.py`), so that another threshold needs no other look at the video.

Legend: F frames, P places of a thumbnail.
"""

import dataclasses
import itertools
import math
from typing import Any, Literal

import numpy as np

from ingredients.core.arrays import Float32Array, Int64Array, UInt8Array
from ingredients.core.optional_dependencies import import_optional
from ingredients.curation.config import ShotsConfig
from ingredients.curation.signals import Signals
from ingredients.curation.step import Span

STEP = "shots"
HALF_LENGTHS = (3, 4, 6, 8, 11, 15, 20, 26)
"""Half the frames of dissolves that are looked for: a quarter of a second to two seconds at 25 a second."""

_COARSE_FROM = 6
"""Half the frames of a dissolve from which it is looked at coarsely: in half a second, people move."""

_COARSE = (3, 4)
"""Rows and columns of a thumbnail that are one place of a coarse one."""

_FLAT = 8.0
"""Grey levels, as a standard deviation, up to which a picture is black or white: one end of a fade."""

_BLOCK = 4096
_MOST_MOVED = 2
"""Places of a thumbnail by which a camera may move what stays the same."""

_ANY_RATE = 25.0  # the detectors count in frames
_SLACK = 1e-4
"""Seconds by which times are rounded."""

_STEADINESS = 0.6
"""How far the share of the second picture may lie off a straight line at the quarters of a dissolve."""

Kind = Literal["cut", "dissolve"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """What lies between two shots."""

    kind: Kind
    """A cut takes no time."""

    first: int
    """First frame that is no more the shot before; of a cut, the first of the shot after."""

    end: int
    """First frame that is all of the shot after."""


def find_transitions(signals: Signals, config: ShotsConfig) -> list[Transition]:
    """All transitions of a source, in order."""
    dissolves = find_dissolves(signals, config) if config.dissolves else []
    inside = np.zeros(signals.num_frames + 1, dtype=bool)
    for dissolve in dissolves:
        inside[dissolve.first : dissolve.end + 1] = True
    cuts = [
        Transition(kind="cut", first=frame, end=frame) for frame in find_cuts(signals, config) if not inside[frame]
    ]
    return sorted([*cuts, *dissolves], key=lambda transition: transition.first)


def find_cuts(signals: Signals, config: ShotsConfig) -> list[int]:
    """The first frames of shots that begin with a cut."""
    if config.detector == "transnet":
        above = signals.shot_scores > config.transnet_threshold
        return [frame for frame in np.flatnonzero(above[1:] & ~above[:-1]).tolist() if frame > 0]
    detector = _detector(signals.content, config)
    from scenedetect import FrameTimecode

    cuts: list[int] = []
    for frame in range(signals.num_frames):
        cuts += [found.frame_num for found in detector.process_frame(FrameTimecode(frame, _ANY_RATE), None)]
    cuts += [found.frame_num for found in detector.post_process(FrameTimecode(signals.num_frames, _ANY_RATE))]
    found = np.array(sorted({frame for frame in cuts if 0 < frame < signals.num_frames}), int)
    likeness = _likeness(signals.thumbs[found - 1], signals.thumbs[found])
    is_like = likeness >= config.cut_likeness
    second = round(signals.fps)
    num_like = [int((np.abs(found[is_like] - frame) <= second).sum()) for frame in found]
    return [int(frame) for frame, like, number in zip(found, is_like, num_like, strict=True) if not like or number < 2]


def _detector(content: Float32Array, config: ShotsConfig) -> Any:
    """PySceneDetect's detector, which is given the changes of content that were measured before, not the frames."""
    import_optional("scenedetect", extra="curate")
    from scenedetect.detectors import AdaptiveDetector, ContentDetector

    scores = iter(content.tolist())

    class Adaptive(AdaptiveDetector):
        def _calculate_frame_score(self, timecode: object, frame_img: object) -> float:
            return float(next(scores))

    class Content(ContentDetector):
        def _calculate_frame_score(self, timecode: object, frame_img: object) -> float:
            return float(next(scores))

    if config.detector == "adaptive":
        return Adaptive(
            adaptive_threshold=config.adaptive_threshold, min_content_val=config.min_content, min_scene_len=0
        )
    return Content(threshold=config.content_threshold, min_scene_len=0)


def find_dissolves(signals: Signals, config: ShotsConfig) -> list[Transition]:
    """All dissolves and fades: pictures of which those in between are mixtures, ever more of the second."""
    best = np.zeros(signals.num_frames, np.float32)  # how good the best dissolve around each frame is
    half_of = np.zeros(signals.num_frames, int)
    for half in HALF_LENGTHS:
        for first in range(0, signals.num_frames, _BLOCK):
            middles = np.arange(max(first, half), min(first + _BLOCK, signals.num_frames - half))
            if len(middles):
                goodness = _goodness(signals, middles, half, config)
                is_better = goodness > best[middles]
                best[middles[is_better]] = goodness[is_better]
                half_of[middles[is_better]] = half
    found: list[Transition] = []
    is_free = best > 0
    while is_free.any():
        middle = int(np.argmax(np.where(is_free, best, 0)))
        half = int(half_of[middle])
        found.append(Transition(kind="dissolve", first=middle - half + 1, end=middle + half))
        is_free[max(middle - 2 * half, 0) : middle + 2 * half + 1] = False
    return _joined(sorted(found, key=lambda transition: transition.first))


def _goodness(signals: Signals, middles: Int64Array, half: int, config: ShotsConfig) -> Float32Array:
    """For dissolves of 2 * half frames around some frames: how well they explain what is between; 0 for none."""

    def thumbs(frames: Int64Array, *, is_coarse: bool = False) -> Float32Array:
        found = signals.thumbs[frames]
        return (_coarse(found) if is_coarse else found).reshape(len(frames), -1).astype(np.float32)  # (frames, P)

    before, after = thumbs(middles - half), thumbs(middles + half)
    change = np.abs(after - before).mean(axis=1)
    is_coarse = half >= _COARSE_FROM
    first, second = (thumbs(middles + offset, is_coarse=is_coarse) for offset in (-half, half))
    difference = second - first
    power = np.maximum((difference**2).sum(axis=1), 1e-6)
    is_likely = change >= config.dissolve_change
    residual = np.zeros(len(middles), np.float32)
    for place in (-0.5, 0.0, 0.5):
        offset = round(half * place)
        moved = thumbs(middles + offset, is_coarse=is_coarse) - first
        share = (moved * difference).sum(axis=1) / power
        off = moved - share[:, None] * difference
        residual = np.maximum(residual, np.sqrt((off**2).sum(axis=1) / power))
        is_likely &= np.abs(share - (0.5 + offset / half / 2)) <= _STEADINESS / 4
    is_likely &= residual <= (config.dissolve_coarse_residual if is_coarse else config.dissolve_residual)
    # A camera that moves changes the picture before and after, too.
    last = signals.num_frames - 1
    around = np.maximum(
        np.abs(before - thumbs(np.maximum(middles - 3 * half, 0))).mean(axis=1),
        np.abs(thumbs(np.minimum(middles + 3 * half, last)) - after).mean(axis=1),
    )
    is_likely &= change >= config.dissolve_ratio * around
    # Where neither side is long enough for a steady motion to show as one, nothing tells it from a dissolve.
    is_likely &= np.maximum(middles - half, last - (middles + half)) * config.dissolve_ratio >= 2 * half
    chosen = np.flatnonzero(is_likely)
    is_likely[chosen] = _likeness(signals.thumbs[middles[chosen] - half], signals.thumbs[middles[chosen] + half]) <= (
        config.dissolve_likeness
    )
    for place in np.flatnonzero(is_likely).tolist():
        remains = _remains(signals, int(middles[place]) - half, int(middles[place]) + half)
        is_likely[place] = remains >= config.dissolve_return * change[place]
    # Of dissolves around the same place, the longest that is still explained well is whole.
    return np.where(is_likely, (1 - residual) * change * half**0.5, 0).astype(np.float32)


def _coarse(thumbs: UInt8Array) -> Float32Array:
    """Thumbnails (frames, rows, columns) of fewer places: what moves a little stays in its place."""
    frames, rows, columns = thumbs.shape
    down, across = _COARSE
    coarse: Float32Array = thumbs.reshape(frames, rows // down, down, columns // across, across).mean((2, 4))
    return coarse


def _remains(signals: Signals, before: int, after: int) -> float:
    """Least difference, in grey levels, of any picture of the second up to one frame and any from another one on.

    Infinite where one of the two frames is flat.
    """
    if min(signals.thumbs[before].std(), signals.thumbs[after].std()) < _FLAT:
        return math.inf
    second = round(signals.fps)
    earlier, later = (
        frames.reshape(len(frames), -1).astype(np.int16)  # (frames, P)
        for frames in (
            signals.thumbs[max(before - second, 0) : before + 1],
            signals.thumbs[after : after + second + 1],
        )
    )
    return min(float(np.abs(later - picture).mean(axis=1).min()) for picture in earlier)


def _likeness(before: UInt8Array, after: UInt8Array) -> Float32Array:
    """Correlation of thumbnails (frames, rows, columns), each with the same one, moved as they are most alike."""
    best = np.full(len(before), -1, np.float32)
    margin = _MOST_MOVED
    inner = before[:, margin:-margin, margin:-margin]
    height, width = inner.shape[1:]
    for down in range(2 * margin + 1):
        for across in range(2 * margin + 1):
            best = np.maximum(best, _correlation(inner, after[:, down : down + height, across : across + width]))
    return best


def _correlation(first: UInt8Array, second: UInt8Array) -> Float32Array:
    one, other = (each.reshape(len(each), math.prod(each.shape[1:])).astype(np.float32) for each in (first, second))
    one -= one.mean(axis=1, keepdims=True)
    other -= other.mean(axis=1, keepdims=True)
    size = np.sqrt((one**2).sum(axis=1) * (other**2).sum(axis=1))
    correlation: Float32Array = (one * other).sum(axis=1) / np.maximum(size, 1e-6)
    return correlation


def _joined(found: list[Transition]) -> list[Transition]:
    """Transitions of which those that overlap or touch are one, as those to black and from it."""
    joined: list[Transition] = []
    for each in found:
        if joined and each.first <= joined[-1].end + 1:
            joined[-1] = dataclasses.replace(joined[-1], end=max(each.end, joined[-1].end))
        else:
            joined.append(each)
    return joined


def find_spans(signals: Signals, config: ShotsConfig) -> list[list[Span]]:
    """The clips of each shot of a source: the shot without its ends, a long one in parts of equal length.

    Shots that are too short are among them, for the step that says so.
    """
    transitions = find_transitions(signals, config)
    starts = [0, *(transition.end for transition in transitions)]
    ends = [*(transition.first for transition in transitions), signals.num_frames]
    return [
        _parts_of_shot(signals, start, end, config) for start, end in zip(starts, ends, strict=True) if end > start
    ]


def _parts_of_shot(signals: Signals, start: int, end: int, config: ShotsConfig) -> list[Span]:
    shot = make_span(signals, start, end)
    if shot.seconds <= 2 * config.trim_seconds:
        return [shot]
    first = int(np.searchsorted(signals.times, shot.start_seconds + config.trim_seconds - _SLACK))
    last = int(np.searchsorted(signals.times, shot.end_seconds - config.trim_seconds - _SLACK))
    inner = make_span(signals, first, max(last, first + 1))
    num_parts = max(math.ceil((inner.seconds - _SLACK) / config.max_seconds), 1)
    edges = [inner.start_seconds + inner.seconds * part / num_parts for part in range(1, num_parts)]
    frames = [inner.first, *(int(np.searchsorted(signals.times, edge - _SLACK)) for edge in edges), inner.end]
    return [make_span(signals, *pair) for pair in itertools.pairwise(frames)]


def make_span(signals: Signals, first: int, end: int) -> Span:
    """Frames `first` to `end` of a source, the last one left out."""
    last = float(signals.times[end - 1])
    after = float(signals.times[end]) if end < signals.num_frames else last + 1 / signals.fps
    return Span(first=first, end=end, start_seconds=float(signals.times[first]), end_seconds=after)
