"""Two results of the same cases: differences by hand, and what cannot be compared."""

import json
from pathlib import Path

import pytest

from ingredients.core.errors import UserInputError
from ingredients.evaluation.compare import compare_results


def write(folder: Path, *similarities: float | None, **changes: object) -> Path:
    cases = [
        {
            "case_id": str(index),
            "prompt": f"prompt {index}",
            "people": [],
            "numbers": {"normalised_similarity": number, "blended_rate": 0.0, "frame_change": 0.01 * index},
        }
        for index, number in enumerate(similarities)
    ]
    values = {"seed": 3, "cases_version": 2, "judge": {"same_person_mean": 0.9}, "cases": cases, "num_cases": 1}
    folder.mkdir()
    (folder / "result.json").write_text(json.dumps(values | changes))
    return folder


def test_differences_are_taken_case_by_case(tmp_path):
    """Cases differ by far more than the results do, and still the difference is certain."""
    first = write(tmp_path / "a", 0.1, 0.5, 0.9, 0.7)
    second = write(tmp_path / "b", 0.2, 0.62, 1.0, 0.78)
    compared = compare_results(first, second / "result.json")
    similarity, *others = compared.metrics
    assert (similarity.name, similarity.verdict) == ("normalised_similarity", "better")
    assert (similarity.first, similarity.second) == pytest.approx((0.55, 0.65))
    assert similarity.difference.value == pytest.approx(0.1)
    assert 0.08 <= similarity.difference.low <= similarity.difference.high <= 0.12
    assert [each.name for each in others] == ["blended_rate", "frame_change"]
    assert {each.verdict for each in others} == {"undecided"}
    most = 1.959964**2 / (4 + 1.959964**2)  # Wilson's upper end for none of four: no case differs, but another may
    assert (others[0].difference.low, others[0].difference.high) == pytest.approx((-most, most))
    assert (others[1].difference.low, others[1].difference.high) == (0.0, 0.0)
    (backwards, *_) = compare_results(second, first).metrics
    assert backwards.verdict == "worse"
    assert backwards.difference.value == pytest.approx(-0.1)
    written = compared.to_json()
    assert (written["num_cases"], written["num_seeds"], written["seed"]) == (4, 1, 3)
    assert written["metrics"]["normalised_similarity"]["difference"]["value"] == pytest.approx(0.1)
    assert "| normalised_similarity | 0.550 | 0.650 | +0.100 (" in compared.to_markdown("a", "b")


def test_a_case_without_a_number_in_one_of_them_does_not_count(tmp_path):
    compared = compare_results(write(tmp_path / "a", 0.1, None, 0.9), write(tmp_path / "b", 0.2, 0.9, 1.0))
    assert compared.metrics[0].difference.value == pytest.approx(0.1)
    assert compared.metrics[0].first == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 4}, r"are of other seeds \(3 and 4\); evaluate both with the same --seed"),
        ({"cases_version": "benchmark 1"}, r"are of other cases \(2 and 2, version 2 and benchmark 1\)"),
        ({"judge": {"same_person_mean": 0.8}}, "are by other judges"),
        ({"cases": []}, "has no cases"),
        ({"cases": [{"case_id": "0", "prompt": "prompt 0", "people": []}]}, "an older version of this program"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_one_sentence(tmp_path, changes, message):
    first, second = write(tmp_path / "a", 0.1, 0.2), write(tmp_path / "b", 0.3, 0.4, **changes)
    with pytest.raises(UserInputError, match=message) as refused:
        compare_results(first, second)
    assert len(str(refused.value).splitlines()) == 1


def test_other_numbers_of_cases_and_missing_results_are_refused(tmp_path):
    first = write(tmp_path / "a", 0.1, 0.2)
    with pytest.raises(UserInputError, match=r"are of other cases \(2 and 3"):
        compare_results(first, write(tmp_path / "b", 0.1, 0.2, 0.3))
    (tmp_path / "empty").mkdir()
    for missing in (tmp_path / "empty", tmp_path / "nowhere", tmp_path / "nowhere" / "result.json"):
        with pytest.raises(UserInputError, match=r"name the folder of an evaluation, or its result\.json"):
            compare_results(first, missing)
