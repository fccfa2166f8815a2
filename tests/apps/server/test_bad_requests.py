"""Whatever a caller sends: a refusal in a sentence, and nothing written."""

import itertools
import os
import random

import pytest

from ingredients.apps.server.settings import RequestLimits
from tests.apps.server.conftest import Serve
from tests.fuzz.bad_requests import bad_requests, good_body

NUM_REQUESTS = 120 * max(1, int(os.environ.get("FUZZ_FACTOR", "0")))


def test_bad_requests_are_refused_in_a_sentence(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    served = serve(limits=RequestLimits(requests_per_minute=10**6))
    before = sorted(path.name for path in served.store.folder.rglob("*"))
    seed = random.randrange(10**9) if "FUZZ_FACTOR" in os.environ else 0
    for number, bad in enumerate(itertools.islice(bad_requests(seed), NUM_REQUESTS)):
        which = f"request {number} of seed {seed}: {bad.what}"
        answer = served.client.post("/v1/videos", content=bad.content, headers=bad.headers)
        assert 400 <= answer.status_code < 500, (which, answer.status_code, answer.text[:500])
        error = answer.json()["error"]
        assert error["message"].endswith("."), (which, error)
        assert len(error["message"]) < 1500, (which, error)
        assert error["message"].isprintable(), (which, error)
        assert str(served.store.folder.parent) not in answer.text, which
        assert "Traceback" not in answer.text, which
    assert sorted(path.name for path in served.store.folder.rglob("*")) == before
    assert served.store.counters()["accepted"] == 0
    good = served.client.post("/v1/videos", json=good_body())  # which shows that the others were refused for a reason
    assert served.when_ended(good.json()["id"])["status"] == "completed"
