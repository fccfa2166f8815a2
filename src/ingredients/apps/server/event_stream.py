"""Server-sent events: the record of something that somebody waits for, each time that it changes, and how it ended."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable

from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

EVENTS = "text/event-stream"
SECONDS_BETWEEN_LOOKS = 0.2
_SECONDS_BETWEEN_SIGNS = 15.0  # of life, for what stands in between closes silent streams


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What there is to tell now."""

    record: str | None = None
    """The record, as JSON; None of what is gone."""

    end: str | None = None
    """How it ended, as JSON; None as long as something follows."""


def event_response(events: AsyncIterator[str], *, on_end: Callable[[], None] = lambda: None) -> StreamingResponse:
    """The response that sends what `events` gives.

    Args:
        events: the events, in the form in which they are sent.
        on_end: called once nothing is sent any more, also where nothing ever was.
    """
    return _EventResponse(events, on_end)


class _EventResponse(StreamingResponse):
    """Says when it has ended, however that came about."""

    def __init__(self, events: AsyncIterator[str], on_end: Callable[[], None]) -> None:
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        super().__init__(events, media_type=EVENTS, headers=headers)
        self._on_end = on_end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._on_end()


async def events(
    name: str, look: Callable[[], Awaitable[Look]], *, is_stopping: Callable[[], bool]
) -> AsyncIterator[str]:
    """An event for each record that differs from the last, and one named `end`.

    Args:
        name: what the events of records are called.
        look: gives what there is to tell.
        is_stopping: whether the server is about to end, and the events with it.
    """
    last, silent = "", 0.0
    yield "retry: 2000\n\n"
    while not is_stopping():
        seen = await look()
        if seen.record is not None and seen.record != last:
            last, silent = seen.record, 0.0
            yield f"event: {name}\ndata: {seen.record}\n\n"
        if seen.end is not None:
            yield f"event: end\ndata: {seen.end}\n\n"
            return
        await asyncio.sleep(SECONDS_BETWEEN_LOOKS)
        silent += SECONDS_BETWEEN_LOOKS
        if silent >= _SECONDS_BETWEEN_SIGNS:
            silent = 0.0
            yield ": still here\n\n"
