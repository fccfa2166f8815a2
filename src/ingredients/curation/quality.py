"""Steps that say whether a clip is worth looking at people in: numbers of the signals alone, which cost nothing.

Legend: F frames of the clip.
"""

import math

import numpy as np

from ingredients.core.arrays import Float32Array
from ingredients.curation.cut import chosen_frames
from ingredients.curation.signals import Signals
from ingredients.curation.step import Clip, ClipStep, Crop, Measured, Rejection, Span

_UNKNOWN = 0.0
_BAR_SHARE_OF_FRAMES = 5
"""Percentile of the frames' bars: a few frames may have dark edges of their own."""


def crop_of(signals: Signals, span: Span) -> Crop:
    """The picture without the bars that the clip has throughout, rounded inwards."""
    bars = signals.bars[span.first : span.end]
    seen = bars[signals.contrast[span.first : span.end] > 1]
    down, across = signals.height / signals.small_height, signals.width / signals.small_width
    top, bottom, left, right = (
        math.ceil((edge + (edge > 0 and scale > 1)) * scale - 1e-6)  # a place that was scaled down may be half a bar
        for edge, scale in zip(
            np.percentile(seen, _BAR_SHARE_OF_FRAMES, axis=0).astype(int).tolist() if len(seen) else (0, 0, 0, 0),
            (down, down, across, across),
            strict=True,
        )
    )
    height, width = signals.height - top - bottom, signals.width - left - right
    if height < 2 or width < 2:
        return Crop(left=0, top=0, width=signals.width, height=signals.height)
    return Crop(left=left, top=top, width=width, height=height)


class Length(ClipStep):
    """Long enough for the frames that are asked for."""

    name, cost, title = "length", "cheap", "Length"

    def measure(self, clip: Clip) -> Measured:
        """Seconds, and frames at the stride."""
        frames = chosen_frames(clip.signals, clip.span, self.config.cut)
        return {"seconds": round(clip.span.seconds, 4), "frames": len(frames)}

    def decide(self, measured: Measured) -> Rejection | None:
        """Too short, or too few frames."""
        shots, cut = self.config.shots, self.config.cut
        if measured["seconds"] < shots.min_seconds - 1e-3:
            return self.rejection("shot too short", measured["seconds"], shots.min_seconds)
        if measured["frames"] < cut.min_frames:
            return self.rejection("too few frames at this stride", measured["frames"], cut.min_frames)
        return None


class Bars(ClipStep):
    """Bars are cut off; of what is left there must be enough."""

    name, cost, title = "bars", "cheap", "Bars"

    def measure(self, clip: Clip) -> Measured:
        """The part of the picture that bars take, and the shorter side of what is left."""
        crop, whole = clip.crop, clip.signals.height * clip.signals.width
        return {
            "share": round(1 - crop.height * crop.width / whole, 4),
            "left": crop.left,
            "top": crop.top,
            "width": crop.width,
            "height": crop.height,
        }

    def decide(self, measured: Measured) -> Rejection | None:
        """Too little left."""
        limit = self.config.quality.max_bars
        if measured["share"] > limit:
            return self.rejection("mostly bars", measured["share"], limit)
        short_side, least = min(measured["height"], measured["width"]), self.config.probe.min_short_side
        if measured["share"] > 0 and short_side < least:
            return self.rejection("too small without bars", short_side, least)
        return None


class Exposure(ClipStep):
    """Neither black nor white nor without a difference."""

    name, cost, title = "exposure", "cheap", "Exposure"

    def measure(self, clip: Clip) -> Measured:
        """Mean grey level and contrast within the bars; the part of the picture that is black or white."""
        first, end = clip.span.first, clip.span.end
        signals, picture = clip.signals, max(1 - _bar_share(clip), 0.01)
        return {
            "brightness": _rounded(float(np.median(signals.brightness[first:end])) / picture),
            "contrast": _rounded(float(np.median(signals.contrast[first:end]))),
            "clipped": _rounded(max(float(np.median(signals.clipped[first:end])) - (1 - picture), 0.0) / picture),
        }

    def decide(self, measured: Measured) -> Rejection | None:
        """Too dark, too bright, nothing in it."""
        quality = self.config.quality
        brightness = measured["brightness"]
        if brightness < quality.min_brightness:
            return self.rejection("too dark", brightness, quality.min_brightness)
        if brightness > quality.max_brightness:
            return self.rejection("too bright", brightness, quality.max_brightness)
        if measured["contrast"] < quality.min_contrast:
            return self.rejection("no contrast", measured["contrast"], quality.min_contrast)
        if measured["clipped"] > quality.max_clipped:
            return self.rejection("black or white without detail", measured["clipped"], quality.max_clipped)
        return None


class Stills(ClipStep):
    """Something changes from frame to frame."""

    name, cost, title = "stills", "cheap", "Stills"

    def measure(self, clip: Clip) -> Measured:
        """The part of the steps from frame to frame in which nothing changes."""
        change = clip.signals.change[clip.span.first + 1 : clip.span.end]
        limit = self.config.quality.still_change
        return {"share": _rounded(float((change <= limit).mean())) if len(change) else 1.0}

    def decide(self, measured: Measured) -> Rejection | None:
        """A still."""
        limit = self.config.quality.max_still_share
        return self.rejection("a still", measured["share"], limit) if measured["share"] > limit else None


class Motion(ClipStep):
    """Some motion, and not too much."""

    name, cost, title = "motion", "cheap", "Motion"

    def measure(self, clip: Clip) -> Measured:
        """Mean motion in picture heights a second: of the whole picture, and of its stillest part."""
        # The first frame's motion is that from the frame before, which need not be of the clip.
        parts = clip.signals.motion[clip.span.first + 1 : clip.span.end] * clip.signals.fps
        known = parts[~np.isnan(parts).any(axis=(1, 2))]
        if not len(known):
            return {"mean": None, "stillest": None}
        by_part: Float32Array = known.mean(axis=0)
        return {"mean": _rounded(float(by_part.mean())), "stillest": _rounded(float(by_part.min()))}

    def decide(self, measured: Measured) -> Rejection | None:
        """Too little, too much."""
        quality, mean = self.config.quality, measured["mean"]
        if mean is None:
            return None
        if mean < quality.min_motion:
            return self.rejection("too little motion", mean, quality.min_motion)
        if mean > quality.max_motion:
            return self.rejection("too much motion", mean, quality.max_motion)
        if measured["stillest"] < quality.min_patch_motion:
            return self.rejection("part of the picture stands still", measured["stillest"], quality.min_patch_motion)
        return None


class Sharpness(ClipStep):
    """Sharp enough."""

    name, cost, title = "sharpness", "cheap", "Sharpness"

    def measure(self, clip: Clip) -> Measured:
        """Median variance of the Laplacian by that of the grey levels."""
        values = clip.signals.sharpness[clip.span.first : clip.span.end]
        known = values[~np.isnan(values)]
        return {"sharpness": float(f"{np.median(known):.4g}") if len(known) else None}

    def decide(self, measured: Measured) -> Rejection | None:
        """Blurred."""
        sharpness, limit = measured["sharpness"], self.config.quality.min_sharpness
        return self.rejection("blurred", sharpness, limit) if sharpness is not None and sharpness < limit else None


def _bar_share(clip: Clip) -> float:
    return 1 - clip.crop.height * clip.crop.width / (clip.signals.height * clip.signals.width)


def _rounded(value: float) -> float:
    return round(value, 5)
