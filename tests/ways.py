"""The order in which work comes to files of the package, to hold the pages against it that name them in order."""

import contextlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import ingredients

PACKAGE = Path(ingredients.__file__).parent


def named_in_order(page: str, after: str) -> list[str]:
    """The first file of each numbered row or line of a page, from some words on to the next heading."""
    text = (PACKAGE.parents[1] / "docs" / page).read_text().partition(after)[2].partition("\n## ")[0]
    return re.findall(r"^(?:\| \d+ \||\d+\.) `([\w/]+\.py)`", text, flags=re.MULTILINE)


@contextlib.contextmanager
def come_to() -> Iterator[list[str]]:
    """Notes each file of the package when the first of its functions is called while the block runs; objects are made
    before that, so that what makes them does not count."""
    files: list[str] = []

    def follow(frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        if event == "call" and code.co_name != "__init__" and code.co_filename.startswith(str(PACKAGE)):
            name = Path(code.co_filename).relative_to(PACKAGE).as_posix()
            if name not in files:
                files.append(name)

    sys.setprofile(follow)
    try:
        yield files
    finally:
        sys.setprofile(None)
