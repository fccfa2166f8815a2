"""The judge of what people look like: what it is shown of a track, and that its answer is the mean over frames."""

from pathlib import Path

import numpy as np
import pytest
import torch

from ingredients.core.errors import ModelFolderError
from ingredients.faces.network_settings import AttributesJudgeConfig
from ingredients.faces.trait_judges import (
    ATTRIBUTES_FILES,
    AttributesJudge,
    AttributesNetwork,
    cut_pictures,
    load_attributes_judge,
    save_attributes_judge,
)

NAN = float("nan")


def tiny() -> AttributesNetwork:
    torch.manual_seed(5)
    return AttributesNetwork(
        AttributesJudgeConfig(
            attributes={"hat": ("none", "cap", "brim"), "glasses": ("none", "round")},
            crop_size=16,
            widths=(8, 16),
            dim=12,
        )
    )


def clip(num_frames: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """A green square of 20 pixels that goes three pixels to the right in each frame, on red; its boxes."""
    frames = np.zeros((num_frames, 60, 90, 3), np.uint8)
    frames[..., 0] = 200
    boxes = np.zeros((num_frames, 4), np.float32)
    for frame in range(num_frames):
        left = 30 + 3 * frame
        frames[frame, 20:40, left : left + 20] = (0, 255, 0)
        boxes[frame] = left, 20, left + 20, 40
    return frames, boxes


def test_a_crop_follows_the_face_and_leaves_out_frames_without_one() -> None:
    frames, boxes = clip()
    boxes[1] = NAN
    pictures = cut_pictures(frames, boxes, size=20)
    assert pictures.shape == (3, 20, 20, 3)
    for picture in pictures:  # the face is half as wide as the crop, in its middle
        columns = np.flatnonzero(picture[10, :, 1] > 128)
        assert columns.mean() == pytest.approx(9.5, abs=0.1)
        assert len(columns) == 10


def test_a_track_without_a_face_is_refused() -> None:
    frames, boxes = clip(2)
    with pytest.raises(ValueError, match="at least one frame with a face"):
        cut_pictures(frames, np.full_like(boxes, NAN), size=16)


def test_the_answer_is_the_mean_over_frames() -> None:
    judge = AttributesJudge(tiny())
    frames, boxes = clip(3)
    frames[2] //= 3
    pictures = cut_pictures(frames, boxes, size=16)
    (together,) = judge.judge_video(frames, [boxes])
    alone = [judge.judge(picture[None]) for picture in pictures]
    for name, values in judge.config.attributes.items():
        assert list(together[name]) == list(values)
        assert sum(together[name].values()) == pytest.approx(1.0, abs=1e-5)
        for value in values:
            assert together[name][value] == pytest.approx(np.mean([each[name][value] for each in alone]), abs=1e-6)


def test_saved_and_loaded_it_says_the_same(tmp_path: Path) -> None:
    network = tiny().half().float()
    save_attributes_judge(network, tmp_path)
    frames, boxes = clip()
    first = AttributesJudge(network).judge_video(frames, [boxes])
    assert load_attributes_judge(tmp_path).judge_video(frames, [boxes]) == first
    assert {path.name for path in tmp_path.iterdir()} == set(ATTRIBUTES_FILES)
    (tmp_path / ATTRIBUTES_FILES[0]).unlink()
    with pytest.raises(ModelFolderError, match="lacks"):
        load_attributes_judge(tmp_path)
