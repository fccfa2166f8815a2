"""The same footage is found, scaled, graded and marked; other footage of the same place is not."""

import numpy as np

from ingredients.curation.config import DuplicatesConfig
from ingredients.curation.duplicates import ClipThumbs, HashedClip, find_duplicates


def clip(name: str, hashes: list[str], shot: str = "", num_pixels: int = 100) -> HashedClip:
    return HashedClip(clip_id=name, shot=shot or name, num_pixels=num_pixels, hashes=hashes)


def thumbs(seed: int, num_frames: int = 40) -> np.ndarray:
    """A still place, and something that moves in front of it."""
    place = np.random.default_rng(0).uniform(40, 200, (18, 32))
    frames = np.tile(place, (num_frames, 1, 1))
    column = 3 + (np.random.default_rng(seed).integers(0, 20, num_frames).cumsum() // 10) % 24
    for frame, start in enumerate(column):
        frames[frame, 4:14, start : start + 5] = 255 if seed % 2 else 0
    return frames.astype(np.float32)


def found(first: np.ndarray, second: np.ndarray, **fields: object) -> set[str]:
    shown = {
        "a": ClipThumbs(frames=first, fps=24.0, had_bars=False),
        "b": ClipThumbs(frames=second, fps=24.0, had_bars=False),
    }
    clips = [clip("a", ["00" * 32, "0f" * 32]), clip("b", ["0f" * 32, "f0" * 32], **fields)]  # type: ignore[arg-type]
    return set(find_duplicates(clips, shown.__getitem__, DuplicatesConfig()))


def test_the_same_footage_graded_and_later_is_found() -> None:
    frames = thumbs(1)
    assert found(frames, 0.8 * frames[6:] + 20) == {"b"}


def test_a_mark_in_a_corner_does_not_hide_it() -> None:
    frames = thumbs(1)
    marked = frames.copy()
    marked[:, :3, 24:] = 255
    assert found(frames, marked) == {"b"}


def test_another_take_in_the_same_place_is_kept() -> None:
    assert not found(thumbs(1), thumbs(2))


def test_parts_of_one_shot_are_kept_and_the_larger_clip_stays() -> None:
    frames = thumbs(1)
    assert not found(frames, frames, shot="a")
    assert found(frames, frames, num_pixels=200) == {"a"}


def test_what_does_not_look_alike_is_not_compared() -> None:
    clips = [clip("a", ["00" * 32]), clip("b", ["ff" * 32])]
    assert not find_duplicates(clips, lambda name: 1 / 0, DuplicatesConfig())  # type: ignore[arg-type, return-value]
