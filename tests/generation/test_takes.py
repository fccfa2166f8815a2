"""The best of several takes: who decides, what is said of it, and when one is given up."""

from typing import Any

import numpy as np
import pytest
import torch

from ingredients.core.protocols import Face
from ingredients.faces.trait_judges import ActingJudge, ActingJudgeConfig, ActingNetwork
from ingredients.generation.takes import EQUALLY_ALIKE, Take, acting_clarity, choose_take, decidedness

NAMES = ("ana", "ben")


def take(number: int, *likeness: float, clarity: float | None = None) -> Take[str]:
    return Take(number=number, seed=number + 6, result=f"video {number}", likeness=likeness, clarity=clarity)


def stopped(number: int) -> Take[str]:
    return Take(number=number, seed=number + 6, result=None, stopped_after=3, decidedness=0.5)


def test_the_person_who_is_least_alike_decides() -> None:
    takes = choose_take([take(1, 0.95, 0.1), take(2, 0.5, 0.6), stopped(3)], NAMES)
    assert (takes.kept.number, takes.result) == (2, "video 2")
    assert takes.reason.startswith("Take 2 is kept: ana, who is least alike in it (0.50), is more so")
    assert takes.reason.endswith("(0.10 at best).")


def test_among_equally_alike_takes_the_clearest_action_decides() -> None:
    near = 0.6 - EQUALLY_ALIKE / 2
    unclear, clear, far = (
        take(1, 0.6, 0.7, clarity=0.3),
        take(2, near, 0.6, clarity=0.8),
        take(3, 0.1, 0.6, clarity=1.0),
    )
    takes = choose_take([unclear, clear, far], NAMES)
    assert takes.kept is clear
    assert "of the 2 whose people are alike to within 0.05" in takes.reason


@pytest.mark.parametrize(
    ("others", "reason"),
    [([stopped(1)], "only one that was finished"), ([take(1, 0.2)], "ana is most alike in it (0.70, else 0.20)")],
)
def test_one_person_or_one_take(others: list[Take[str]], reason: str) -> None:
    takes = choose_take([*others, take(2, 0.7)], ["ana"])
    assert takes.kept.number == 2
    assert reason in takes.reason


def test_the_clarity_of_an_action_is_the_judges_share_of_the_likeliest() -> None:
    torch.manual_seed(0)
    config = ActingJudgeConfig(
        actions=("wave", "nod", "walk"), expressions=("sad",), crop_size=16, widths=(8, 8), dim=8
    )
    judge = ActingJudge(ActingNetwork(config))
    frames = np.random.default_rng(0).integers(0, 256, (5, 24, 40, 3), dtype=np.uint8)
    boxes = [np.tile(np.array([4, 4, 14, 16], np.float32), (5, 1)), np.full((5, 4), np.nan, np.float32)]
    boxes[1][2:] = [20, 5, 30, 18]
    expected = [max(acting.actions.values()) for acting in judge.judge_video(frames, boxes, fps=8.0)]
    assert acting_clarity(judge)(frames, boxes) == expected
    assert all(1 / 3 < share <= 1 for share in expected)


def face(*box: float) -> Face:
    return Face(box=np.array(box, np.float32), score=1.0, landmarks=np.zeros((5, 2), np.float32))


def test_decidedness_is_the_share_of_votes_under_a_face_that_one_person_has() -> None:
    maps = np.full((4, 2, 3, 4), -1)
    maps[:2] = 1  # the first half of the blocks has no vote
    maps[2:, 0, :2, :2] = 0
    maps[3, 0, 0, 0] = 1  # one of eight votes
    maps[2:, 1, 2, 3] = 1
    size = {"frame_size": (30, 80), "num_people": 2}
    upper_left, lower_right = face(1, 1, 39, 19), face(62, 21, 79, 29)
    assert decidedness(maps, [[upper_left], []], **size) == pytest.approx(7 / 8)
    assert decidedness(maps, [[upper_left], [lower_right]], **size) == pytest.approx((7 / 8 + 1) / 2)
    assert decidedness(maps, [[], [upper_left]], **size) is None  # nobody's tokens
    tiny: Any = face(21, 2, 22, 3)  # between the middles of tokens: the one around it
    assert decidedness(maps, [[tiny], []], **size) == 1
