"""Whatever a line holds, it is a record or a `BadRecordError`, and a check survives both."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingredients.data.clip_check import check_clips
from ingredients.data.clip_folder import METADATA_NAME, iterate_records
from ingredients.data.clip_source import open_clip_source
from ingredients.data.record_json import BadRecordError, parse_record, record_to_json
from ingredients.data.schema import ClipRecord
from tests.data.drawn_clips import IDS, values_of

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=()))
    | st.just(10**400)
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=3), max_leaves=8
)
PATHS: list[tuple[str | int, ...]] = [
    *((name,) for name in ("file_name", "clip_id", "fps", "num_frames", "height", "width", "caption", "people")),
    *(("people", 0, name) for name in ("person_id", "boxes", "landmarks", "face_masks", "person_masks", "references")),
    ("people", 0),
    ("people", 0, "boxes", 2),
    ("people", 0, "boxes", 2, 1),
    ("people", 0, "landmarks", 3),
    ("people", 0, "landmarks", 3, 4),
    ("people", 0, "landmarks", 3, 4, 1),
    ("people", 0, "references", 0),
]


@pytest.fixture(scope="module")
def victim(drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    copy = tmp_path_factory.mktemp("fuzz") / "clips"
    shutil.copytree(drawn, copy)
    return copy


def replace(values: Any, path: tuple[str | int, ...], value: Any) -> Any:
    for key in path[:-1]:
        values = values[key]
    values[path[-1]] = value


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=st.sampled_from(PATHS), value=VALUES)
def test_a_record_with_anything_in_it(drawn: Path, victim: Path, path: tuple[str | int, ...], value: Any) -> None:
    values = values_of(drawn, 1)
    replace(values, path, value)
    (victim / METADATA_NAME).write_text(json.dumps(values) + "\n")
    [(_, record)] = iterate_records(victim)
    report = check_clips(open_clip_source(victim))
    assert report.num_clips == 1
    if isinstance(record, BadRecordError):
        assert report.num_usable == 0
    else:
        values_again = json.loads(json.dumps(record_to_json(record, lambda name: str(name.relative_to(victim)))))
        assert parse_record(values_again, victim.joinpath) == record
    for problem in report.problems:
        problem.problem.encode()


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(line=VALUES.map(json.dumps).map(str.encode) | st.binary())
def test_a_line_with_anything_in_it(victim: Path, line: bytes) -> None:
    (victim / METADATA_NAME).write_bytes(line.replace(b"\n", b" ") + b"\n")
    assert all(isinstance(record, BadRecordError) for _, record in iterate_records(victim))
    assert check_clips(open_clip_source(victim)).num_usable == 0


def test_a_record_survives_with_all_its_digits(drawn: Path) -> None:
    values = values_of(drawn, 0)
    values["people"][0]["boxes"][0] = [0.1234567891234, 1, 2.5, 30.00000000000001]
    record = parse_record(values, Path)
    assert isinstance(record, ClipRecord)
    assert record.clip_id == IDS[0]
    assert record_to_json(record, str) == values
    assert record_to_json(record, str, decimals=1)["people"][0]["boxes"][0] == [0.1, 1.0, 2.5, 30.0]


def test_words_that_stand_for_a_person_stand_in_the_caption(drawn: Path) -> None:
    values = values_of(drawn, 0)
    plain = parse_record(values, Path)
    assert plain.people[0].phrase is None
    assert "phrase" not in record_to_json(plain, str)["people"][0]
    values["caption"] = "Ana waves to Ben."
    values["people"][0]["phrase"] = "Ana"
    record = parse_record(values, Path)
    assert record.people[0].phrase == "Ana"
    assert record_to_json(record, str) == values
    for wrong in ("Cid", "", 3):
        values["people"][0]["phrase"] = wrong
        with pytest.raises((ValueError, TypeError), match="phrase"):
            parse_record(values, Path)
