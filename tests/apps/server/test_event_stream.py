"""Events of something that somebody waits for, as they go over the line."""

import asyncio
from collections.abc import Iterable

import pytest

from ingredients.apps.server import event_stream
from ingredients.apps.server.event_stream import Look, events


def told(looks: Iterable[Look], *, stops_after: int | None = None) -> list[str]:
    """What is sent of some looks, of a server that may stop after some of them."""
    left, num_looks = iter(looks), 0

    async def look() -> Look:
        nonlocal num_looks
        num_looks += 1
        return next(left)

    async def collect() -> list[str]:
        return [event async for event in events("video", look, is_stopping=lambda: num_looks == stops_after)]

    return asyncio.run(collect())


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_stream, "SECONDS_BETWEEN_LOOKS", 0.001)
    monkeypatch.setattr(event_stream, "_SECONDS_BETWEEN_SIGNS", 0.0025)


def test_a_record_is_told_when_it_changes_and_then_the_end() -> None:
    looks = [Look(record="1"), Look(record="1"), Look(record="2"), Look(record="2", end="3")]
    assert told(looks) == [
        "retry: 2000\n\n",
        "event: video\ndata: 1\n\n",
        "event: video\ndata: 2\n\n",
        "event: end\ndata: 3\n\n",
    ]
    assert told([Look(end="3")]) == ["retry: 2000\n\n", "event: end\ndata: 3\n\n"]


def test_a_silent_stream_shows_that_it_lives_and_ends_with_the_server() -> None:
    looks = [Look(record="1")] * 3 + [Look(record="2")] * 2
    assert told(looks, stops_after=5) == [
        "retry: 2000\n\n",
        "event: video\ndata: 1\n\n",
        ": still here\n\n",
        "event: video\ndata: 2\n\n",
    ]
