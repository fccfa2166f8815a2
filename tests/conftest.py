import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ingredients.core import files
from tests.missing_libraries import lacks_something, missing_libraries

# The tests' networks are so small that a second thread costs more than it brings, and `make test` runs one process a
# core. It must be said before torch is imported, and holds for the processes that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leaves out what needs a library that this machine lacks, so that the rest can run."""
    return True if lacks_something(collection_path) else None


def pytest_report_header() -> str | None:
    """Says so."""
    names = ", ".join(sorted(missing_libraries()))
    return f"left out: tests that need {names}" if names else None


@pytest.fixture
def no_waiting() -> Iterator[None]:
    """Ends a test that waits, say for somebody to write into a pipe, as a failure."""

    def give_up(*_: object) -> None:
        raise AssertionError("it waits")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, 120)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def fill_disk(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Makes every write to the given file fail as on a full disk: its temporary name leads to /dev/full."""

    full = set()
    name_temporary = files._temporary_name

    class FullFolder(type(Path())):  # type: ignore[misc]
        def mkdir(self, *arguments: object, **options: object) -> None:
            super().mkdir(*arguments, **options)
            for target in full:
                (self / target.name).symlink_to("/dev/full")

    def fill(target: Path) -> None:
        if not Path("/dev/full").exists():
            pytest.skip("this system has no /dev/full")
        full.add(target.absolute())
        monkeypatch.setattr(
            files,
            "_temporary_name",
            lambda path: FullFolder(name_temporary(path)) if path.absolute() in full else name_temporary(path),
        )

    return fill
