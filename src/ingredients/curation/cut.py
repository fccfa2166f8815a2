"""Cutting a clip out of its source: the frames that the data set will have, without bars, in the size of training.

Legend: F frames, H/W pixels.
"""

from collections.abc import Sequence

import numpy as np

from ingredients.core.arrays import UInt8Array
from ingredients.core.optional_dependencies import import_optional
from ingredients.curation.config import CutConfig
from ingredients.curation.signals import Signals
from ingredients.curation.step import Clip, ClipStep, Crop, Measured, Rejection, Span
from ingredients.media.film import iterate_chosen_frames
from ingredients.media.video import write_video


def frame_rate(signals: Signals, config: CutConfig) -> float:
    """Frames a second of clips of a source."""
    return signals.fps / _step(signals, config)


def chosen_frames(signals: Signals, span: Span, config: CutConfig) -> list[int]:
    """Which frames of a source are those of a clip: at even times, from the middle of the span.

    Where frames stand for times of different length, the nearest ones are taken, some of them again.
    """
    step = _step(signals, config) / signals.fps
    num_there = max(int((span.seconds + 1e-4) / step), 1)
    num_frames = min(config.num_frames or num_there, num_there)
    start = span.start_seconds + (span.seconds - num_frames * step) / 2
    # From the first whole frame on, so that frames of equal length are every n-th one and none is taken twice.
    start = float(signals.times[min(int(np.searchsorted(signals.times, start - 1e-4)), span.end - 1)])
    times = start + step * np.arange(num_frames)
    after = np.clip(np.searchsorted(signals.times, times), span.first, span.end - 1)
    before = np.maximum(after - 1, span.first)
    is_before_nearer = times - signals.times[before] < signals.times[after] - times
    chosen: list[int] = np.where(is_before_nearer, before, after).tolist()
    return chosen


def _step(signals: Signals, config: CutConfig) -> int:
    """Frames of the source from one to the next."""
    return config.stride * max(int(np.ceil(signals.fps / config.max_fps - 0.01)), 1)


class Cut(ClipStep):
    """Writes the clip's video, which all later steps look at."""

    name, cost, title = "cut", "frames", "Cutting"
    measured_by = ("cut",)

    def measure(self, clip: Clip) -> Measured:
        """Size, length and rate of the video, and its name."""
        chosen = chosen_frames(clip.signals, clip.span, self.config.cut)
        distinct = sorted(set(chosen))
        positions = [None if place < 0 else place for place in clip.signals.positions[distinct].tolist()]
        frames = dict(
            zip(
                distinct,
                (
                    _fitted(pixels, clip.crop, self.config.cut.short_side)
                    for pixels in iterate_chosen_frames(clip.path, distinct, positions, num_threads=clip.num_threads)
                ),
                strict=True,
            )
        )
        name = f"{clip.file_prefix}.mp4"
        pixels = np.stack([frames[index] for index in chosen])
        fps = frame_rate(clip.signals, self.config.cut)
        write_video(clip.folder / name, pixels, fps=fps, constant_rate_factor=self.config.cut.constant_rate_factor)
        return {
            "video": name,
            "fps": fps,
            "num_frames": len(pixels),
            "height": pixels.shape[1],
            "width": pixels.shape[2],
            "first_frame": chosen[0],
        }

    def decide(self, measured: Measured) -> Rejection | None:
        """Every clip that could be cut is kept."""
        return None


def _fitted(pixels: UInt8Array, crop: Crop, short_side: int) -> UInt8Array:
    """A frame without bars, no larger than asked for, with even sides."""
    cv2 = import_optional("cv2", extra="curate")
    pixels = pixels[crop.top : crop.top + crop.height, crop.left : crop.left + crop.width]
    height, width = fitted_size(crop.height, crop.width, short_side)
    if (height, width) == (crop.height, crop.width):
        return np.ascontiguousarray(pixels)
    if min(crop.height, crop.width) <= short_side:  # only an odd row or column too many
        return np.ascontiguousarray(pixels[:height, :width])
    scaled: UInt8Array = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
    return scaled


def fitted_size(height: int, width: int, short_side: int) -> tuple[int, int]:
    """Height and width of a clip, even, as H.264 needs them."""
    scale = min(short_side / min(height, width), 1.0)
    return max(round(height * scale) // 2 * 2, 2), max(round(width * scale) // 2 * 2, 2)


def spread(indices: Sequence[int], number: int) -> list[int]:
    """Some of a sequence, at even distances, its ends included."""
    if len(indices) <= number:
        return list(indices)
    return [indices[round(place)] for place in np.linspace(0, len(indices) - 1, number).tolist()]
