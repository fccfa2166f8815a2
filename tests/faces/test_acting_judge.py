"""The judge of actions and expressions: what it is shown of a track, and that its own seed is all it depends on."""

from pathlib import Path

import numpy as np
import pytest
import torch

from ingredients.core.errors import ModelFolderError
from ingredients.faces.network_settings import ActingJudgeConfig
from ingredients.faces.trait_judges import (
    ACTING_FILES,
    ActingJudge,
    ActingNetwork,
    cut_track,
    load_acting_judge,
    save_acting_judge,
)

NAN = float("nan")


def tiny() -> ActingNetwork:
    torch.manual_seed(3)
    config = ActingJudgeConfig(
        actions=("stand", "wave", "nod"), expressions=("smile", "sad"), crop_size=16, widths=(8, 16), dim=24
    )
    return ActingNetwork(config)


def clip(num_frames: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """A green square of 20 pixels that goes two pixels to the right in each frame, on red; its boxes."""
    frames = np.zeros((num_frames, 60, 90, 3), np.uint8)
    frames[..., 0] = 200
    boxes = np.zeros((num_frames, 4), np.float32)
    for frame in range(num_frames):
        left = 30 + 2 * frame
        frames[frame, 20:40, left : left + 20] = (0, 255, 0)
        boxes[frame] = left, 20, left + 20, 40
    return frames, boxes


def test_a_crop_is_the_same_window_of_every_frame() -> None:
    """The face moves through it; its middle in the middle frame is the crop's middle."""
    frames, boxes = clip()
    track = cut_track(frames, boxes, fps=8.0, size=20)
    assert track.crops.shape == (5, 20, 20, 3)
    columns = [np.flatnonzero(crop[10, :, 1] > 128) for crop in track.crops]
    middles = [found.mean() for found in columns]
    assert middles[2] == pytest.approx(9.5, abs=0.6)
    assert np.all(np.diff(middles) > 0.5)
    assert len(columns[2]) == pytest.approx(20 / (2 * 0.95 * 20) * 20, abs=1.5)  # the face's share of the crop


def test_the_path_tells_where_the_face_is_in_its_own_heights_and_when_it_is_seen() -> None:
    frames, boxes = clip()
    boxes[1] = NAN
    track = cut_track(frames, boxes, fps=4.0, size=16)
    assert track.path[:, 3].tolist() == [1, 0, 1, 1, 1]
    assert track.path[:, 4].tolist() == pytest.approx([0, 0.25, 0.5, 0.75, 1.0])
    assert np.diff(track.path[[2, 3, 4], 0]) == pytest.approx([0.1, 0.1])  # two pixels of twenty
    assert np.abs(track.path[:, 2]).max() < 1e-6


def test_a_window_that_leaves_the_picture_is_grey_there() -> None:
    frames, boxes = clip(2)
    boxes[:] = (0, 0, 20, 20)
    track = cut_track(frames, boxes, fps=8.0, size=19)
    assert track.crops[0, 0, 0].tolist() == [128, 128, 128]
    assert track.crops[0, -1, 10, 0] == 200


def test_a_track_without_a_face_is_refused() -> None:
    frames, boxes = clip(2)
    with pytest.raises(ValueError, match="at least one frame with a face"):
        cut_track(frames, np.full_like(boxes, NAN), fps=8.0, size=16)


def test_shares_sum_to_one_and_do_not_depend_on_the_other_tracks() -> None:
    frames, boxes = clip(9)
    judge = ActingJudge(tiny())
    (alone,) = judge.judge_video(frames, [boxes], fps=8.0)
    _, with_other = judge.judge_video(frames, [boxes + 7, boxes], fps=8.0)
    assert alone == with_other
    assert list(alone.actions) == ["stand", "wave", "nod"]
    assert list(alone.expressions) == ["smile", "sad"]
    assert sum(alone.actions.values()) == pytest.approx(1.0, abs=1e-5)
    assert sum(alone.expressions.values()) == pytest.approx(1.0, abs=1e-5)


def test_time_matters() -> None:
    """The same frames backwards are another performance."""
    frames, boxes = clip(9)
    judge = ActingJudge(tiny())
    (forwards,) = judge.judge_video(frames, [boxes], fps=8.0)
    (backwards,) = judge.judge_video(frames[::-1].copy(), [boxes[::-1].copy()], fps=8.0)
    assert forwards != backwards


def test_saved_and_loaded_it_says_the_same(tmp_path: Path) -> None:
    network = tiny().half().float()
    save_acting_judge(network, tmp_path)
    frames, boxes = clip(6)
    (first,) = ActingJudge(network).judge_video(frames, [boxes], fps=8.0)
    (again,) = load_acting_judge(tmp_path).judge_video(frames, [boxes], fps=8.0)
    assert again == first
    assert {path.name for path in tmp_path.iterdir()} == set(ACTING_FILES)
    (tmp_path / ACTING_FILES[0]).unlink()
    with pytest.raises(ModelFolderError, match="lacks"):
        load_acting_judge(tmp_path)
