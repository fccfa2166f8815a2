"""Tiny films with known shots, drawn from noise that moves, so that each shot looks like nothing else."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ingredients.media.video import write_video

HEIGHT, WIDTH, FPS = 96, 144, 24
_PATCH = 24
SETTINGS = (
    "probe.min_short_side=64",
    "shots.min_seconds=1",
    "cut.min_frames=9",
    "quality.max_still_share=0.9",
    "people.min_people=0",
)
"""Settings under which such films have clips."""


def shot(seed: int, num_frames: int = 60, *, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """Frames (F, H, W, 3) of soft coloured patches over which a camera moves."""
    generator = np.random.default_rng(seed)
    rows, columns = (height + num_frames) // _PATCH + 2, (width + num_frames) // _PATCH + 2
    patches = generator.integers(30, 226, size=(rows, columns, 3), dtype=np.uint8)
    picture = patches.repeat(_PATCH, axis=0).repeat(_PATCH, axis=1)
    starts = [frame // 4 for frame in range(num_frames)]
    return np.stack([picture[start : start + height, start : start + width] for start in starts])


def dissolve(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Frames that go from one shot's to the other's, of the same number."""
    share = ((np.arange(len(before)) + 1) / (len(before) + 1))[:, None, None, None]
    return (before * (1 - share) + after * share).round().astype(np.uint8)


def write_film(path: Path, shots: Sequence[np.ndarray], *, fps: float = FPS) -> Path:
    """Writes shots one after the other."""
    write_video(path, np.concatenate(shots), fps=fps)
    return path
