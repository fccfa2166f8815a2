"""A server that listens on this machine, for tests that need more than an app."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ingredients.apps.server.run import run_server
from ingredients.generation.job_store import StoreLimits
from tests.generation.hand_maker import HandMaker


@contextlib.contextmanager
def listening(store: Path, maker: HandMaker, *, port: int = 0, **options: Any) -> Iterator[str]:
    """Runs a server in a thread, and gives its address; other options are those of `run_server`."""
    told: list[tuple[str, Callable[[], None]]] = []
    is_there = threading.Event()

    def listen(address: str, stop: Callable[[], None]) -> None:
        told.append((address, stop))
        is_there.set()

    limits = StoreLimits(least_free_bytes=0)
    thread = threading.Thread(
        target=run_server,
        args=(store, lambda: maker),
        kwargs={"port": port, "store_limits": limits, "on_listening": listen, **options},
    )
    thread.start()
    assert is_there.wait(20)
    address, stop = told[0]
    try:
        yield address
    finally:
        stop()
        thread.join(30)
        assert not thread.is_alive()
