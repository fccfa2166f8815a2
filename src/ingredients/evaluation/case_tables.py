"""The cases as tables for other programs: `cases.csv`, a row a video, and `people.csv`, a row a person of a video."""

import csv
import io
from collections.abc import Mapping, Sequence

from ingredients.evaluation.reported import ReportedCase

CASES_NAME = "cases.csv"
PEOPLE_NAME = "people.csv"

_BEGINNINGS_OF_FORMULAS = ("=", "+", "-", "@", "|", "%")

_Row = Mapping[str, str | int | float | bool | None]


def case_tables(cases: Sequence[ReportedCase]) -> dict[str, str]:
    """Both tables, by the names of their files; what was not measured is an empty cell.

    A text that a spreadsheet would take for a formula has an apostrophe before it, which spreadsheets do not show.
    """
    return {
        CASES_NAME: _table([case_row(case) for case in cases]),
        PEOPLE_NAME: _table([row for case in cases for row in people_rows(case)]),
    }


def case_row(case: ReportedCase) -> _Row:
    """One video."""
    record, confusion, people = case.record, case.confusion, case.record.people
    return {
        "case": record.label,
        "file_name": case.file_name,
        "prompt": record.prompt,
        "num_people": len(case.people),
        "similarity": people.mean_similarity,
        "similarity_minimum": people.greedy_minimum,
        "paper_face_similarity": None if record.paper is None else record.paper.face_similarity,
        "text_cosine": None if record.text is None else record.text.cosine,
        "frame_change": None if record.motion is None else record.motion.generated,
        "real_frame_change": None if record.motion is None else record.motion.real,
        "num_right": None if confusion is None else confusion.num_right,
        "num_dominated": None if confusion is None else confusion.num_dominated,
        "num_strangers": None if confusion is None else confusion.num_strangers,
        "num_missing": None if confusion is None else confusion.num_missing,
        "num_extra": None if confusion is None else confusion.num_extra,
        "swapped": None if confusion is None else confusion.swapped,
        "switching": None if confusion is None else confusion.switching,
        "blended": people.blended,
        "doubled": people.doubled,
        "remarks": "; ".join(case.remarks()),
        "error": record.error,
    }


def people_rows(case: ReportedCase) -> list[_Row]:
    """One video's people."""
    rows: list[_Row] = []
    for index, (person, found) in enumerate(zip(case.people, case.record.people.people, strict=True)):
        changes = None if case.record.changes is None else case.record.changes.faces[index]
        rows.append(
            {
                "case": case.record.label,
                "person": index + 1,
                "name": person.name,
                "found": found.found,
                "similarity": found.similarity,
                "raw_similarity": found.cosine,
                "seen_as": case.seen_as(index),
                "right_person": found.right_person,
                "present": found.present,
                "frames_found": found.frames_found,
                "frames_ranked_first": found.frames_ranked_first,
                "centre_x": None if found.centre is None else found.centre[0],
                "centre_y": None if found.centre is None else found.centre[1],
                "drift": None if changes is None else changes.drift,
                "copy_paste": None if changes is None else changes.copy_paste,
                "variety": None if changes is None else changes.variety,
            }
        )
    return rows


def _table(rows: Sequence[_Row]) -> str:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, fieldnames=list(rows[0]))
    writer.writeheader()
    writer.writerows([{name: _cell(value) for name, value in row.items()} for row in rows])
    return text.getvalue()


def _cell(value: str | int | float | bool | None) -> str | int:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f"'{value}" if value.lstrip().startswith(_BEGINNINGS_OF_FORMULAS) else value
    return f"{value:.5f}" if isinstance(value, float) else value
