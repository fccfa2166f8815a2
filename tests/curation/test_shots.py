"""Cuts and dissolves are found where they are, and clips lie within shots."""

from pathlib import Path

import numpy as np
import pytest

from ingredients.curation.config import ShotsConfig, SignalsConfig
from ingredients.curation.shots import find_spans, find_transitions
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
