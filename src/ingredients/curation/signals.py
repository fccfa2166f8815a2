"""A source is decoded once, on frames scaled down, and all that later steps need of each frame is kept.

What is kept of a frame takes about 700 bytes, so that two hours of film take about 120 MB, however large its picture.
Shots, quality and duplicates are decided on it without another look at the video.

Legend: F frames, h/w pixels of the small frames.
"""

from __future__ import annotations

import dataclasses
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ingredients.core.arrays import Float32Array, UInt8Array
from ingredients.core.errors import MissingDependencyError, UserInputError
from ingredients.core.files import atomic_path
from ingredients.core.optional_dependencies import import_optional
from ingredients.curation.config import QualityConfig, SignalsConfig
from ingredients.media.film import FilmFrame, iterate_frames

THUMB_HEIGHT, THUMB_WIDTH = 18, 32
MOTION_ROWS = MOTION_COLUMNS = 4
_FLOW_SIDE = 160
_DARK, _BRIGHT = 12, 248
"""Grey levels up to and from which a place is black or white without a difference."""

_FIRST_ROOM = 1024
_RATE_OF_ONE_FRAME = 25.0
_ROUNDED = 0.03
"""How far times of frames may lie off each other for rounding, as in Matroska."""

Scorer = Callable[[UInt8Array], float]
"""Told of each small frame (h, w, 3), RGB, in order; gives how much its content differs from the one before."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Signals:
    """What was measured of each frame of a source."""

    height: int
    """Pixels of the picture as shown."""

    width: int
    """Pixels of the picture as shown."""

    small_height: int
    """Pixels of the small frames, on which all but sharpness was measured."""

    small_width: int
    """Pixels of the small frames."""

    fps: float
    """Frames a second, measured by the times of the frames."""

    motion_source: str
    """`codec` or `flow`."""

    damage: str
    """What ended the source before its end, if anything did."""

    times: NDArray[np.float64]
    """(F,): seconds from the beginning."""

    positions: NDArray[np.int64]
    """(F,): when each frame is shown, in the file's own units; -1 where that is not known."""

    content: Float32Array
    """(F,): PySceneDetect's change of content from the frame before."""

    shot_scores: Float32Array
    """(F,): how likely each frame begins another shot, by a network; empty without one."""

    change: Float32Array
    """(F,): mean change of grey levels from the frame before."""

    brightness: Float32Array
    """(F,): mean grey level, bars included."""

    contrast: Float32Array
    """(F,): standard deviation of grey levels."""

    clipped: Float32Array
    """(F,): part of the picture that is black or white without a difference."""

    bars: UInt8Array
    """(F, 4): rows and columns at the top, bottom, left and right that are dark throughout, in pixels of the small
    frames, at most 255."""

    sharpness: Float32Array
    """(F,): variance of the Laplacian by that of the grey levels; NaN where it was not measured."""

    motion: Float32Array
    """(F, rows, columns): mean motion in picture heights from the frame before, in parts of the picture; NaN where
    that is not known."""

    thumbs: UInt8Array
    """(F, 18, 32): the frames in grey."""

    @property
    def num_frames(self) -> int:
        """F."""
        return len(self.times)


def measure_signals(
    path: Path,
    config: SignalsConfig,
    *,
    bar_brightness: float = QualityConfig().bar_brightness,
    scorer: Scorer | None = None,
    shot_network: Callable[[], ShotNetwork] | None = None,
    num_threads: int = 0,
    most_seconds: float | None = None,
    progress: Callable[[float], None] | None = None,
) -> Signals:
    """Decodes a source once.

    Args:
        path: the file.
        config: what is measured.
        bar_brightness: brightest grey level of a bar.
        scorer: change of content; PySceneDetect's without one.
        shot_network: makes what scores shots, if anything does.
        num_threads: the number of threads of the decoder; 0 takes as many as there are cores.
        most_seconds: where to stop; None goes to the end.
        progress: told now and then how many seconds of the source are done.

    Raises:
        UserInputError: if no frame can be read. A source that is damaged further on ends there, and says so.
    """
    measuring = _Measuring(config, bar_brightness, scorer or content_scorer())
    network = shot_network() if shot_network is not None else None
    damage = ""
    frames = iterate_frames(path, has_motion=config.motion == "codec", num_threads=num_threads)
    try:
        for frame in frames:
            if most_seconds is not None and frame.time >= most_seconds:
                break
            small = measuring.add(frame)
            if network is not None:
                network.add(small)
            if progress is not None and frame.index % 64 == 0:
                progress(frame.time)
    except UserInputError as error:
        if measuring.num_frames == 0 or isinstance(error, MissingDependencyError):
            raise
        damage = str(error)
    if measuring.num_frames == 0:
        raise UserInputError(f"The video {path} holds no frames.")
    return measuring.finish(damage, network.finish() if network is not None else None)


class ShotNetwork:
    """A network that says of each frame how likely another shot begins there."""

    def add(self, small: UInt8Array) -> None:
        """Takes the next small frame (h, w, 3)."""
        raise NotImplementedError

    def finish(self) -> Float32Array:
        """The score of each frame (F,)."""
        raise NotImplementedError


def content_scorer() -> Scorer:
    """PySceneDetect's change of content: mean change of hue, saturation and lightness."""
    import_optional("scenedetect", extra="curate")
    from scenedetect.detectors import ContentDetector

    detector = ContentDetector()

    def score(small: UInt8Array) -> float:
        # The score by itself, without the decision, which is made later and again with other thresholds.
        return float(detector._calculate_frame_score(None, np.ascontiguousarray(small[..., ::-1])))

    return score


class _Measuring:
    """What was measured up to a frame."""

    def __init__(self, config: SignalsConfig, bar_brightness: float, scorer: Scorer) -> None:
        self._cv2: Any = import_optional("cv2", extra="curate")
        self._config = config
        self._bar_brightness = bar_brightness
        self._scorer = scorer
        self._rows: dict[str, Any] = {}
        self._shown = self._small_size = (0, 0)
        self._last: UInt8Array | None = None
        self._last_flow: UInt8Array | None = None
        self._flow: Any = None
        self._blur_at = -1.0
        self._has_vectors = False
        self.num_frames = 0

    def add(self, frame: FilmFrame) -> UInt8Array:
        """Measures a frame, and gives its small form."""
        small = frame.scaled(self._config.longest_side)
        grey = self._cv2.cvtColor(small, self._cv2.COLOR_RGB2GRAY)
        sharpness = np.nan
        if frame.time >= self._blur_at:
            self._blur_at = frame.time + self._config.blur_every - 1e-6
            sharpness = sharpness_of(frame.scaled(self._config.blur_side))
        if self.num_frames == 0:
            self._shown, self._small_size = frame.shown_size, (small.shape[0], small.shape[1])
        self._has_vectors = self._has_vectors or frame.motion is not None
        mean, deviation = self._cv2.meanStdDev(grey)
        self._put(
            times=frame.time,
            positions=-1 if frame.position is None else frame.position,
            content=self._scorer(small),
            change=0.0 if self._last is None else float(self._cv2.absdiff(grey, self._last).mean()),
            brightness=mean.item(),
            contrast=deviation.item(),
            clipped=float(((grey <= _DARK) | (grey >= _BRIGHT)).mean()),
            bars=self._bars(grey),
            sharpness=sharpness,
            motion=self._motion(frame, grey),
            thumbs=self._cv2.resize(grey, (THUMB_WIDTH, THUMB_HEIGHT), interpolation=self._cv2.INTER_AREA),
        )
        self._last = grey
        return small

    def finish(self, damage: str, shot_scores: Float32Array | None) -> Signals:
        """All that was measured."""
        rows = {name: values[: self.num_frames] for name, values in self._rows.items()}
        return Signals(
            height=self._shown[0],
            width=self._shown[1],
            small_height=self._small_size[0],
            small_width=self._small_size[1],
            fps=_rate(rows["times"]),
            motion_source="codec" if self._has_vectors else "flow",
            damage=damage,
            shot_scores=np.zeros(0, np.float32) if shot_scores is None else shot_scores,
            **rows,
        )

    def _put(self, **values: Any) -> None:
        """Adds a frame's values to arrays that double when they are full."""
        if not self._rows:
            kinds = {"times": np.float64, "positions": np.int64, "bars": np.uint8, "thumbs": np.uint8}
            self._rows = {
                name: np.zeros((_FIRST_ROOM, *np.shape(value)), kinds.get(name, np.float32))
                for name, value in values.items()
            }
        if self.num_frames == len(self._rows["times"]):
            self._rows = {name: np.concatenate([room, np.zeros_like(room)]) for name, room in self._rows.items()}
        for name, value in values.items():
            self._rows[name][self.num_frames] = value
        self.num_frames += 1

    def _bars(self, grey: UInt8Array) -> tuple[int, int, int, int]:
        """Dark rows and columns at the edges, and no more than 255 or half of the picture of each."""
        is_row_dark = grey.max(axis=1) <= self._bar_brightness
        is_column_dark = grey.max(axis=0) <= self._bar_brightness
        if is_row_dark.all():
            return 0, 0, 0, 0  # a black frame has no bars
        top, bottom = int(np.argmin(is_row_dark)), int(np.argmin(is_row_dark[::-1]))
        left, right = int(np.argmin(is_column_dark)), int(np.argmin(is_column_dark[::-1]))
        return min(top, 255), min(bottom, 255), min(left, 255), min(right, 255)

    def _motion(self, frame: FilmFrame, grey: UInt8Array) -> Float32Array:
        """Mean motion in each of the parts of the picture."""
        unknown = np.full((MOTION_ROWS, MOTION_COLUMNS), np.nan, np.float32)
        if frame.motion is not None:
            return _mean_in_parts(frame.motion)
        if self._has_vectors:  # a frame that is coded alone
            return unknown
        scale = min(_FLOW_SIDE / max(grey.shape), 1)
        flow_grey = self._cv2.resize(grey, None, fx=scale, fy=scale, interpolation=self._cv2.INTER_AREA)
        before, self._last_flow = self._last_flow, flow_grey
        if before is None or self.num_frames == 0:
            return unknown
        if self._flow is None:
            self._flow = self._cv2.DISOpticalFlow_create(self._cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        flow = self._flow.calc(before, flow_grey, None)  # (h, w, 2)
        length = np.sqrt((flow**2).sum(axis=-1)) / flow_grey.shape[0]
        resized: Float32Array = self._cv2.resize(
            length, (MOTION_COLUMNS, MOTION_ROWS), interpolation=self._cv2.INTER_AREA
        )
        return resized


def _rate(times: NDArray[np.float64]) -> float:
    """Frames a second: by the mean time of a frame, unless a few stand for much longer than the others."""
    steps = np.diff(times)
    if not len(steps):
        return _RATE_OF_ONE_FRAME
    mean, median = float(steps.mean()), float(np.median(steps))
    return round(1 / (mean if abs(mean - median) <= _ROUNDED * median else median), 3)


def sharpness_of(pixels: UInt8Array) -> float:
    """Variance of the Laplacian of a picture (H, W, 3) by that of its grey levels."""
    cv2: Any = import_optional("cv2", extra="curate")
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    variance = float(grey.var())
    return float(cv2.Laplacian(grey, cv2.CV_32F).var()) / variance if variance > 1 else 0.0


def _mean_in_parts(vectors: Float32Array) -> Float32Array:
    """Mean length of motion vectors (number, 4) by where they are; no vector in a part is no motion."""
    columns = np.clip((vectors[:, 0] * MOTION_COLUMNS).astype(int), 0, MOTION_COLUMNS - 1)
    rows = np.clip((vectors[:, 1] * MOTION_ROWS).astype(int), 0, MOTION_ROWS - 1)
    part = rows * MOTION_COLUMNS + columns
    length = np.hypot(vectors[:, 2], vectors[:, 3])
    count = np.bincount(part, minlength=MOTION_ROWS * MOTION_COLUMNS)
    total = np.bincount(part, weights=length, minlength=MOTION_ROWS * MOTION_COLUMNS)
    return (total / np.maximum(count, 1)).reshape(MOTION_ROWS, MOTION_COLUMNS).astype(np.float32)


def save_signals(path: Path, signals: Signals) -> None:
    """Writes signals, whole or not at all.

    Raises:
        OutputError: if they cannot be written.
    """
    values = {field.name: np.asarray(getattr(signals, field.name)) for field in dataclasses.fields(signals)}
    with atomic_path(path) as temporary:
        np.savez_compressed(temporary, allow_pickle=False, **values)


def load_signals(path: Path) -> Signals | None:
    """Reads signals; None if they are not there, or not whole."""
    try:
        with np.load(path, allow_pickle=False) as found:
            values = {name: found[name] for name in found.files}
        return Signals(**{name: value.item() if value.ndim == 0 else value for name, value in values.items()})
    except (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile):
        return None
