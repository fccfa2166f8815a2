"""The bars of curation fit a terminal of 80 columns."""

import io
from pathlib import Path

import pytest

from ingredients.apps.curation_progress import _TITLES, CurationProgress


def test_no_line_is_cut_at_80_columns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from rich.console import Console

    drawn = io.StringIO()
    console = Console(file=drawn, width=80, force_terminal=True, color_system=None)
    with CurationProgress(tmp_path / "log", verbose=False, console=console) as progress:
        for name in _TITLES:
            progress.step(name, 0, 9000)
            progress._begun[name] -= 3000  # as if it had gone on for long
            progress.step(name, 8888, 9000, "12345 clips, 6789 left out" if name == "videos" else "6789 left out")
        progress.step("survey", 123_456.0, None)
        progress.tell("Captions cost something.")
    last = drawn.getvalue().split("\x1b[1A")[-1]
    lines = [line for line in drawn.getvalue().splitlines() if "left" in line]
    assert lines
    assert "…" not in drawn.getvalue()
    assert "6789 left out" in last
    assert "12345 clips, 6789 left out" in drawn.getvalue()
    assert "2057.6 min, 41x" in drawn.getvalue()
    assert all(title in drawn.getvalue() for title in _TITLES.values())
    assert (tmp_path / "log").read_text() == "Captions cost something.\n"
    assert "Captions cost something." in drawn.getvalue() + "".join(capsys.readouterr())
