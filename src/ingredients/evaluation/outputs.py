"""What an evaluation leaves in its folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ingredients.core.files import atomic_path
from ingredients.evaluation.case_tables import write_case_tables
from ingredients.evaluation.folder import write_json
from ingredients.evaluation.html_report import write_html_report
from ingredients.evaluation.reported import ReportPage

RESULT_NAME = "result.json"
REPORT_NAME = "report.md"
HTML_NAME = "report.html"


def write_outputs(
    folder: Path, values: Mapping[str, Any], markdown: str, page: ReportPage, *, num_report_videos: int
) -> None:
    """Writes `result.json`, `report.md`, `report.html`, `cases.csv` and `people.csv`, each whole or not at all.

    Args:
        folder: the evaluation's.
        values: the numbers, as plain values.
        markdown: the page to read.
        page: what `report.html` and the tables show.
        num_report_videos: videos in `report.html`.

    Raises:
        OutputError: if a file cannot be written.
    """
    write_json(folder / RESULT_NAME, values)
    write_text(folder / REPORT_NAME, markdown)
    write_case_tables(folder, page.cases)
    write_html_report(folder / HTML_NAME, page, num_videos=num_report_videos)


def write_text(path: Path, text: str) -> None:
    """Writes a text file, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
