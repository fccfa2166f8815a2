"""Whatever lies in a folder of raw videos is one row of the report: never a hang, never a traceback."""

import json
import os
from pathlib import Path

import pytest

from ingredients.core.errors import UserInputError
from ingredients.curation.card import html_card
from ingredients.curation.probe import file_state
from ingredients.curation.step import Rejection
from tests.curation.broken_inputs import BROKEN, KEPT
from tests.curation.test_engine import run


@pytest.mark.parametrize("name", BROKEN)
def test_each_is_one_row(name: str, tmp_path: Path) -> None:
    file_name, make, reason = BROKEN[name]
    films, output = tmp_path / "films", tmp_path / "clips"
    films.mkdir()
    make(films / file_name)
    if name == "unreadable" and os.access(films / file_name, os.R_OK):
        pytest.skip("this user may read everything")
    if reason is None:
        with pytest.raises(UserInputError, match="no video"):
            run(films, output)
        return
    curated, watcher = run(films, output)
    rows = [json.loads(line) for line in (output / "sources.jsonl").read_text().splitlines()]
    assert len(rows) == len(curated.sources) == (2 if name == "a loop of links" else 1)
    assert html_card(curated, command="").encode()
    for row in rows:
        assert row["path"].startswith(str(films))
        if reason == KEPT:
            assert row["kept"], row
            assert row["num_kept"] == 1, watcher.lines
        elif reason:
            assert row["reason"] == reason
            assert not row["kept"]
    assert len(watcher.lines) >= 1
    assert not list(tmp_path.rglob(".ingredients-*"))


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="no file whose first byte cannot be read")
def test_a_file_that_the_disk_does_not_give_back_is_left_out() -> None:
    found = file_state(Path("/proc/self/mem"))
    assert isinstance(found, Rejection)
    assert "Input/output error" in str(found.value)
