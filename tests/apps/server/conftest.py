"""A server on a store of its own, with something that makes videos without a model."""

import base64
import dataclasses
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from ingredients.apps.server.app import create_app
from ingredients.generation.job_store import JobStore, StoreLimits
from ingredients.generation.worker import Worker
from tests.generation.hand_maker import HandMaker

EXAMPLES = Path(__file__).parents[3] / "examples"


@dataclasses.dataclass(kw_only=True)
class Served:
    """A server and what is behind it."""

    client: TestClient
    store: JobStore
    maker: HandMaker

    def ask(self, **changes: Any) -> dict[str, Any]:
        """Asks for a video of ana and ben, and returns the record."""
        response = self.client.post("/v1/videos", json=body(**changes))
        assert response.status_code == 200, response.text
        return dict(response.json())

    def when_ended(self, video_id: str, **options: Any) -> dict[str, Any]:
        """The record of a video once it has ended."""
        for _ in range(2000):
            record = self.client.get(f"/v1/videos/{video_id}", **options).json()
            if record["status"] not in ("queued", "in_progress"):
                return dict(record)
            time.sleep(0.01)
        raise AssertionError("it never ends")


Serve = Callable[..., Served]


def photo(name: str) -> bytes:
    return (EXAMPLES / f"{name}.png").read_bytes()


def data_url(content: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(content).decode()}"


def body(**changes: Any) -> dict[str, Any]:
    """A request for a video of ana and ben."""
    names = ["ana", "ben"]
    good = {
        "prompt": "Two people wave.",
        "people": names,
        "input_references": [data_url(photo(name)) for name in names],
    }
    return {name: value for name, value in (good | changes).items() if value is not ...}


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Starts a server; the arguments are those of `create_app`."""
    stops: list[Callable[[], None]] = []

    def start(*, maker: HandMaker | None = None, store_limits: StoreLimits | None = None, **options: Any) -> Served:
        store = JobStore(tmp_path / "store", store_limits or StoreLimits(least_free_bytes=0))
        maker = maker or HandMaker()
        worker = Worker(store, lambda: maker, name="worker")
        client = TestClient(
            create_app(store, page_help=lambda: maker, **options),
            base_url="http://127.0.0.1:8080",
            raise_server_exceptions=False,
        )
        worker.start()
        while store.facts() is None:
            time.sleep(0.01)

        def stop() -> None:
            worker.stop()
            assert worker.join(20)
            store.close()

        stops.append(stop)
        return Served(client=client, store=store, maker=maker)

    yield start
    for stop in stops:
        stop()
