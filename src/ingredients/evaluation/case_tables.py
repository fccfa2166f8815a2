"""The cases as tables for other programs: `cases.csv`, a row a video, and `people.csv`, a row a person of a video."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from ingredients.core.files import atomic_path
from ingredients.evaluation.reported import ReportedCase

CASES_NAME = "cases.csv"
PEOPLE_NAME = "people.csv"

_Row = Mapping[str, str | int | float | bool | None]


def write_case_tables(folder: Path, cases: Sequence[ReportedCase]) -> None:
    """Writes both tables; what was not measured is an empty cell.

    Raises:
        OutputError: if they cannot be written.
    """
    _write(folder / CASES_NAME, [case_row(case) for case in cases])
    _write(folder / PEOPLE_NAME, [row for case in cases for row in people_rows(case)])


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


def _write(path: Path, rows: Sequence[_Row]) -> None:
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows([{name: _cell(value) for name, value in row.items()} for row in rows])


def _cell(value: str | int | float | bool | None) -> str | int:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.5f}" if isinstance(value, float) else value
