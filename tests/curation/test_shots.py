"""Cuts and dissolves are found where they are, and clips lie within shots."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from ingredients.curation.config import ShotsConfig, SignalsConfig
from ingredients.curation.shots import find_cuts, find_dissolves, find_spans, find_transitions
from ingredients.curation.signals import Signals, load_signals, measure_signals, save_signals
from tests.curation.films import FPS, dissolve, shot, write_film


@pytest.fixture(scope="module")
def signals(tmp_path_factory: pytest.TempPathFactory) -> Signals:
    """Those of a film with a cut at 60, a dissolve from 100 to 116, and a cut at 156."""
    shots = [shot(seed, 56 if seed > 1 else 60) for seed in range(4)]
    film = [shots[0], shots[1][:40], dissolve(shots[1][40:56], shots[2][:16]), shots[2][16:], shots[3]]
    return measure_signals(write_film(tmp_path_factory.mktemp("films") / "film.mp4", film), SignalsConfig())


def test_transitions_are_where_they_are(signals: Signals) -> None:
    found = find_transitions(signals, ShotsConfig())
    assert [transition.kind for transition in found] == ["cut", "dissolve", "cut"]
    assert [found[0].first, found[2].first] == [60, 156]
    assert abs(found[1].first - 100) <= 4
    assert abs(found[1].end - 116) <= 4


def signals_of(thumbs: np.ndarray) -> Signals:
    """Signals of thumbnails (F, 18, 32) at 24 frames a second, of which nothing else is known."""
    empty = np.zeros(len(thumbs), np.float32)
    return Signals(
        height=180, width=320, small_height=180, small_width=320, fps=24.0, motion_source="codec", damage="",
        times=np.arange(len(thumbs)) / 24, positions=np.arange(len(thumbs)), content=empty, shot_scores=empty[:0],
        change=empty, brightness=empty, contrast=empty, clipped=empty, bars=np.zeros((len(thumbs), 4), np.uint8),
        sharpness=empty, motion=np.zeros((len(thumbs), 4, 4), np.float32), thumbs=np.asarray(thumbs, np.uint8),
    )  # fmt: skip


def pictures(seed: int, num_frames: int) -> np.ndarray:
    """A picture of places of six by eight that stands (F, 18, 32)."""
    places = np.random.default_rng(seed).integers(20, 236, size=(3, 4))
    return np.tile(places.repeat(6, axis=0).repeat(8, axis=1), (num_frames, 1, 1)).astype(np.float64)


@pytest.mark.parametrize(("remains", "number"), [(1.0, 1), (0.4, 0)])
def test_what_comes_back_within_a_second_was_no_dissolve(remains: float, number: int) -> None:
    one, other = pictures(0, 100), pictures(1, 100)
    share = np.interp(np.arange(100), [40, 48, 56, 64], [0, 1, 1, remains])[:, None, None]
    film = signals_of(one * (1 - share) + other * share)
    assert len(find_dissolves(film, ShotsConfig())) == number


def test_a_fade_to_black_and_back_parts_a_shot() -> None:
    share = np.interp(np.arange(100), [30, 46, 54, 70], [1, 0, 0, 1])[:, None, None]
    found = find_dissolves(signals_of(pictures(0, 100) * share), ShotsConfig())
    assert [abs(found[0].first - 30) <= 4, abs(found[-1].end - 70) <= 4] == [True, True]


def test_small_things_may_move_while_pictures_dissolve() -> None:
    share = np.interp(np.arange(120), [50, 70], [0, 1])[:, None, None]
    moving = np.random.default_rng(2).integers(-60, 61, size=(120, 18, 32))  # leaves in the wind
    film = np.clip(pictures(0, 120) * (1 - share) + pictures(1, 120) * share + moving, 0, 255)
    [found] = find_dissolves(signals_of(film), ShotsConfig())
    assert abs(found.first - 50) <= 5
    assert abs(found.end - 70) <= 5


def test_a_camera_that_goes_along_stripes_in_steps_cuts_nothing() -> None:
    content = np.where(np.arange(100) % 3 == 0, 16.0, 0.0)
    content[50] = 60.0
    thumbs = pictures(0, 100)
    thumbs[50:] = pictures(1, 50)
    thumbs += np.random.default_rng(2).integers(-3, 4, size=thumbs.shape)
    film = dataclasses.replace(signals_of(thumbs), content=content.astype(np.float32))
    assert find_cuts(film, ShotsConfig()) == [50]
    assert len(find_cuts(film, ShotsConfig(cut_likeness=1.0))) > 10
    content[:50] = np.where(np.arange(50) == 20, 16.0, 0.0)  # one alone
    content[51:] = 0.0
    assert find_cuts(dataclasses.replace(film, content=content.astype(np.float32)), ShotsConfig()) == [20, 50]


def test_the_plain_detector_finds_the_cuts_and_dissolves_can_be_let_through(signals: Signals) -> None:
    found = find_transitions(signals, ShotsConfig(detector="content", dissolves=False))
    assert [(transition.kind, transition.first) for transition in found] == [("cut", 60), ("cut", 156)]


def test_clips_are_shots_without_their_ends(signals: Signals) -> None:
    first, *_, last = find_spans(signals, ShotsConfig(trim_seconds=0.5))
    assert [(span.first, span.end) for span in first] == [(12, 48)]
    assert first[0].seconds == pytest.approx(36 / FPS)
    assert [(span.first, span.end) for span in last] == [(168, 200)]


def test_long_shots_are_parted_equally(signals: Signals) -> None:
    (parts, *_) = find_spans(signals, ShotsConfig(trim_seconds=0, min_seconds=0.5, max_seconds=1))
    assert [(span.first, span.end) for span in parts] == [(0, 20), (20, 40), (40, 60)]


def test_signals_survive_the_disk_and_a_torn_file_is_none(signals: Signals, tmp_path: Path) -> None:
    path = tmp_path / "signals.npz"
    assert load_signals(path) is None
    save_signals(path, signals)
    found = load_signals(path)
    assert found is not None
    assert found.fps == signals.fps == FPS
    np.testing.assert_array_equal(found.thumbs, signals.thumbs)
    np.testing.assert_array_equal(found.motion, signals.motion)
    path.write_bytes(path.read_bytes()[:-100])
    assert load_signals(path) is None
