"""Sizes of clips that are trained on together; a clip goes to the one that suits it, its aspect ratio kept.

Legend: F frames, H/W pixels.
"""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from PIL import Image

from ingredients.core.arrays import BoolArray, Float32Array, UInt8Array


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Bucket:
    """A length and a size."""

    num_frames: int
    """F, 8k + 1 for CogVideoX's VAE."""

    height: int
    """H."""

    width: int
    """W."""

    def __post_init__(self) -> None:
        if min(self.num_frames, self.height, self.width) < 1:
            raise ValueError(f"a bucket has at least 1 frame of 1x1 pixels, not {self}")

    def __str__(self) -> str:
        return f"{self.num_frames} frames of {self.width}x{self.height}"


def choose_bucket(
    buckets: Sequence[Bucket], *, num_frames: int, height: int, width: int, stride: int = 1
) -> Bucket | None:
    """The bucket for a clip: as many frames as it has, then the nearest aspect ratio, then the nearest size.

    Args:
        buckets: those to choose from.
        num_frames: the number of frames of the clip.
        height: the height of the clip.
        width: the width of the clip.
        stride: every how many of the clip's frames one is taken.

    Returns:
        None if the clip is too short for all of them.
    """
    fitting = [bucket for bucket in buckets if (bucket.num_frames - 1) * stride + 1 <= num_frames]
    if not fitting:
        return None
    aspect, area = math.log(width / height), math.log(width * height)
    return min(
        fitting,
        key=lambda bucket: (
            -bucket.num_frames,
            abs(math.log(bucket.width / bucket.height) - aspect),
            abs(math.log(bucket.width * bucket.height) - area),
        ),
    )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Framing:
    """How pictures of one size become those of a bucket: scaled to cover it, then cut around the centre."""

    scale: float
    """Pixels of the bucket for one of the picture."""

    left: float
    """Left edge of the cut, in pixels of the scaled picture."""

    top: float
    """Top edge of it."""

    height: int
    """Height of the cut."""

    width: int
    """Width of the cut."""

    def frames(self, frames: UInt8Array) -> UInt8Array:
        """Frames (F, height, width, 3) of the bucket's size, filtered; those that fit already are not touched."""
        if frames.shape[1:3] == (self.height, self.width):
            return frames
        return np.stack([np.asarray(self._cut(Image.fromarray(frame), Image.Resampling.LANCZOS)) for frame in frames])

    def masks(self, masks: BoolArray) -> BoolArray:
        """Masks (F, height, width) of the bucket's size: a pixel is covered where half of it is."""
        if masks.shape[1:] == (self.height, self.width):
            return masks
        grey = [Image.fromarray(mask.astype(np.uint8) * 255) for mask in masks]
        scaled = np.stack([np.asarray(self._cut(mask, Image.Resampling.BOX)) for mask in grey])
        covered: BoolArray = scaled >= 128
        return covered

    def points(self, points: Float32Array) -> Float32Array:
        """Points (..., 2), x and y, or boxes (..., 4), in pixels of the bucket."""
        offset = np.resize(np.array([self.left, self.top], np.float32), points.shape[-1])
        return np.asarray(points * np.float32(self.scale) - offset, dtype=np.float32)

    def _cut(self, picture: Image.Image, resample: Image.Resampling) -> Image.Image:
        left, top = self.left / self.scale, self.top / self.scale
        box = (left, top, left + self.width / self.scale, top + self.height / self.scale)
        return picture.resize((self.width, self.height), resample=resample, box=box)


def frame_bucket(bucket: Bucket, *, height: int, width: int) -> Framing:
    """The framing of pictures of `height` x `width` in a bucket."""
    scale = max(bucket.height / height, bucket.width / width)
    return Framing(
        scale=scale,
        left=max(width * scale - bucket.width, 0.0) / 2,  # rounding must not put an edge outside of the picture
        top=max(height * scale - bucket.height, 0.0) / 2,
        height=bucket.height,
        width=bucket.width,
    )
