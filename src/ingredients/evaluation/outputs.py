"""What an evaluation leaves in its folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ingredients.core.files import write_bytes
from ingredients.core.json_yaml import finite_or_none, to_json
from ingredients.evaluation.case_tables import case_tables
from ingredients.evaluation.html_report import html_report
from ingredients.evaluation.names import HTML_NAME, REPORT_NAME, RESULT_NAME
from ingredients.evaluation.reported import ReportPage


def write_outputs(
    folder: Path, values: Mapping[str, Any], markdown: str, page: ReportPage, *, num_report_videos: int
) -> None:
    """Writes `result.json`, `report.md`, `report.html`, `cases.csv` and `people.csv`, each whole or not at all.

    All of them are there before the first is written, so that what cannot be said leaves none of them.

    Args:
        folder: the evaluation's.
        values: the numbers, as plain values.
        markdown: the page to read.
        page: what `report.html` and the tables show.
        num_report_videos: videos in `report.html`.

    Raises:
        OutputError: if a file cannot be written.
    """
    texts = {
        HTML_NAME: html_report(page, num_videos=num_report_videos),
        **case_tables(page.cases),
        REPORT_NAME: markdown,
        RESULT_NAME: to_json(finite_or_none(values), indent=1) + "\n",  # last: where it is, an evaluation is done
    }
    encoded = {name: text.encode("utf-8", "backslashreplace") for name, text in texts.items()}
    for name, content in encoded.items():
        write_bytes(folder / name, content)
