"""What a sentence asks of whom."""

import pytest

from ingredients.generation.asked_actions import asked_actions


@pytest.mark.parametrize(
    ("prompt", "asked"),
    [
        ("Two people wave on a beach, smiling.", [("wave",), ("wave",)]),
        ("Two people stand there.", [("stand",), ("stand",)]),
        ("@ana waves and @ben nods.", [("wave",), ("nod",)]),
        ("Ana waves to Ben and nods, Ben looks around.", [("wave", "nod"), ("turn",)]),
        ("The person on the left is nodding, the one on the right talks.", [("nod",), ("talk",)]),
        ("Ana and Ben are walking.", [("walk",), ("walk",)]),
        ("Two friends on a waveless beach.", [(), ()]),
        ("@eve waves.", [(), ()]),
    ],
)
def test_verbs_go_to_whom_they_follow(prompt: str, asked: list[tuple[str, ...]]) -> None:
    assert asked_actions(prompt, ["ana", "ben"]) == asked
