"""Burnt-in text and marks, which a model would learn to draw: subtitles, a station's sign, a stock library's name.

The detector is a protocol. The one here needs no network and no download: letters that were put on a film stay where
they are while people move, have strong edges, stand in lines, and go from bright to dark many times along one.

Legend: F frames, H/W pixels.
"""

import dataclasses
import math
from typing import Any, Protocol

import numpy as np

from ingredients.core.arrays import BoolArray, UInt8Array
from ingredients.core.optional_dependencies import import_optional
from ingredients.curation.config import TextConfig
from ingredients.curation.cut import spread
from ingredients.curation.step import Clip, ClipStep, Measured, Rejection

Box = tuple[int, int, int, int]
"""Left, top, right, bottom, in pixels."""

_MOST_FRAMES = 12
_FEWEST_ROWS = 4
"""Rows of the lowest letters that can be read."""

_STICKS_OUT = 0.4
"""Part of the fullest row, or of a column, below which it is none of the line."""


class TextDetector(Protocol):
    """Finds text that is burnt into a clip."""

    def find(self, frames: UInt8Array) -> list[Box]:
        """Where there is text in frames (F, H, W, 3), RGB, of one clip."""
        ...


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SteadyEdges:
    """Text by its edges, which stay: a `TextDetector`."""

    config: TextConfig
    """What is taken for text."""

    def find(self, frames: UInt8Array) -> list[Box]:
        """Where there is text, the largest first."""
        cv2: Any = import_optional("cv2", extra="curate")
        greys: UInt8Array = np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames])  # (F, H, W)
        block = np.ones((3, 3), np.uint8)
        contrast = np.stack([cv2.morphologyEx(grey, cv2.MORPH_GRADIENT, block) for grey in greys]).min(axis=0)
        is_steady = np.ptp(greys, axis=0) <= self.config.most_change
        edges: BoolArray = (contrast >= self.config.min_contrast) & is_steady
        height = len(edges)
        gap = max(round(height * self.config.max_height / 3), 3)
        lines = cv2.morphologyEx(edges.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((1, gap), np.uint8))
        # The outlines of heads, hats and windows that touch a line are thinner than letters are high.
        thick = np.ones((self._lowest(height), max(round(height * self.config.min_width), 1)), np.uint8)
        lines = cv2.morphologyEx(lines, cv2.MORPH_OPEN, thick)
        count, _, boxes, _ = cv2.connectedComponentsWithStats(lines)
        grey = np.median(greys, axis=0)
        found: list[Box] = []
        for left, top, across, down, _ in boxes[1:count].tolist():
            box = _trimmed(lines[top : top + down, left : left + across], left, top)
            if self._is_line(edges, grey, box, height):
                found.append(box)
        return sorted(found, key=lambda box: -(box[2] - box[0]) * (box[3] - box[1]))

    def _is_line(self, edges: BoolArray, grey: Any, box: Box, height: int) -> bool:
        left, top, right, bottom = box
        across, down = right - left, bottom - top
        config = self.config
        if not (self._lowest(height) <= down <= config.max_height * height and across >= config.min_ratio * down):
            return False
        if edges[top:bottom, left:right].mean() < config.min_density:
            return False
        inside = grey[top:bottom, left:right]
        is_bright = inside > inside.mean()
        strokes = np.abs(np.diff(is_bright.astype(np.int8), axis=1)).sum(axis=1)
        return bool(np.percentile(strokes, 75) / 2 >= max(config.min_strokes * across / down, config.min_letters))

    def _lowest(self, height: int) -> int:
        """Rows of the lowest line in a picture of so many."""
        return max(math.ceil(height * self.config.min_height), _FEWEST_ROWS)


def _trimmed(line: UInt8Array, left: int, top: int) -> Box:
    """The box of a line without what sticks out of it: edges of the picture that touch its letters."""
    rows = np.flatnonzero(line.sum(axis=1) >= line.sum(axis=1).max() * _STICKS_OUT)
    top, bottom = top + int(rows[0]), top + int(rows[-1]) + 1
    columns = np.flatnonzero(line[rows[0] : rows[-1] + 1].mean(axis=0) >= _STICKS_OUT)
    if not len(columns):
        return left, top, left, bottom
    return left + int(columns[0]), top, left + int(columns[-1]) + 1, bottom


class Text(ClipStep):
    """No burnt-in text."""

    name, cost, title = "text", "frames", "Text"
    needs = ("cut",)
    version = 2
    measured_by = ("text",)

    def measure(self, clip: Clip) -> Measured:
        """Boxes of text in pixels of the clip, and the part of the picture that they cover."""
        frames = clip.frames[spread(range(len(clip.frames)), _MOST_FRAMES)]
        detector: TextDetector = SteadyEdges(config=self.config.text)
        boxes = detector.find(frames)
        covered = np.zeros(frames.shape[1:3], dtype=bool)
        for left, top, right, bottom in boxes:
            covered[top:bottom, left:right] = True
        return {"share": round(float(covered.mean()), 5), "boxes": [list(box) for box in boxes]}

    def decide(self, measured: Measured) -> Rejection | None:
        """Too much of it."""
        limit = self.config.quality.max_text_share
        return self.rejection("burnt-in text", measured["share"], limit) if measured["share"] > limit else None
