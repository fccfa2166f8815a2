"""The same footage is found, scaled, graded and marked; other footage of the same place is not."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from ingredients.curation.config import CurationConfig, DuplicatesConfig
from ingredients.curation.duplicates import ClipThumbs, HashedClip, clip_thumbs, find_duplicates, frame_hashes
from ingredients.curation.quality import crop_of
from ingredients.curation.signals import Signals, measure_signals
from ingredients.curation.step import Span
from tests.curation.films import shot as film_shot
from tests.curation.films import write_film


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


def seen_whole(frames: np.ndarray) -> ClipThumbs:
    rows, columns = (np.linspace(0, 1, number + 1, dtype=np.float32) for number in frames.shape[1:])
    return ClipThumbs(frames=frames, rows=rows, columns=columns, fps=24.0)


def found(first: np.ndarray, second: np.ndarray, **fields: object) -> set[str]:
    return found_in(seen_whole(first), seen_whole(second), **fields)


def found_in(first: ClipThumbs, second: ClipThumbs, **fields: object) -> set[str]:
    shown = {"a": first, "b": second}
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


def test_more_noise_is_allowed_where_bars_let_a_picture_be_seen_otherwise() -> None:
    still = np.repeat(thumbs(1)[:1], 40, axis=0)
    noisy = still + np.random.default_rng(2).normal(0, 7, still.shape[1:]).astype(np.float32)  # 1.9 where averaged
    whole = seen_whole(noisy)
    assert found_in(seen_whole(still), whole) == set()
    assert found_in(seen_whole(still), dataclasses.replace(whole, rows=whole.rows + np.float32(1e-4)))


def test_of_two_clips_only_what_both_show_is_compared() -> None:
    whole = seen_whole(thumbs(1))
    for seed, expected in ((1, {"b"}), (2, set())):
        part = seen_whole(thumbs(seed))
        part = dataclasses.replace(part, frames=part.frames[:, 4:-3], rows=part.rows[4:-3])
        assert found_in(whole, part) == expected


def surveyed(path: Path, frames: np.ndarray) -> tuple[HashedClip, ClipThumbs]:
    """What is compared of a film of one shot, without its bars."""
    signals: Signals = measure_signals(write_film(path, [frames]), CurationConfig().signals)
    span = Span(first=0, end=signals.num_frames, start_seconds=0.0, end_seconds=signals.num_frames / signals.fps)
    crop = crop_of(signals, span)
    assert (crop.height, crop.width) == film_shot(0).shape[1:3]
    hashes = frame_hashes(signals, span, crop, DuplicatesConfig())
    return clip(path.stem, hashes, num_pixels=crop.height * crop.width), clip_thumbs(signals, span, crop)


@pytest.mark.parametrize(("top", "left"), [(14, 0), (22, 0), (0, 18)])
def test_bars_do_not_hide_the_same_footage_nor_make_other_footage_the_same(
    tmp_path: Path, top: int, left: int
) -> None:
    def barred(frames: np.ndarray) -> np.ndarray:
        return np.pad(frames, ((0, 0), (top, top), (left, left), (0, 0)))

    shown = [
        surveyed(tmp_path / "a.mp4", film_shot(3)),
        surveyed(tmp_path / "b.mp4", barred(film_shot(3))),
        surveyed(tmp_path / "c.mp4", barred(film_shot(4))),
    ]
    thumbs_of = {each.clip_id: seen for each, seen in shown}
    rejections = find_duplicates([each for each, _ in shown], thumbs_of.__getitem__, DuplicatesConfig())
    assert set(rejections) == {"b"}
    apart = float(str(rejections["b"].value).split(", ")[1].split()[0])
    assert apart < 1.5  # places that a bar reaches into, and the finer ones of a picture without bars, do not count
