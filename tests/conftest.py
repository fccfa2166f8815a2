import os
import types
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

# The tests' networks are so small that a second thread costs more than it brings, and `make test` runs one process a
# core. It must be said before torch is imported, and holds for the processes that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture
def fill_disk(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Makes every write to the given file fail as on a full disk: its temporary name leads to /dev/full."""

    def fill(target: Path) -> None:
        if not Path("/dev/full").exists():
            pytest.skip("this system has no /dev/full")
        monkeypatch.setattr(uuid, "uuid4", lambda: types.SimpleNamespace(hex="0" * 32))
        target.with_name(f".{target.stem}.{'0' * 8}{target.suffix}").symlink_to("/dev/full")

    return fill
