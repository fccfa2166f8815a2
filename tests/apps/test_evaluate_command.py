import json
from pathlib import Path

import pytest

from ingredients.evaluation.case_runner import CaseRunner
from tests.apps.conftest import Run


def test_a_model_is_measured(run: Run, tiny_model: Path) -> None:
    result = run("evaluate", "--cases", 2, "--model", tiny_model, "--num-inference-steps", 1, "--json")
    assert result.exit_code == 0, result.output
    assert result.stdout.count("\n") == 1
    measured = json.loads(result.stdout)
    for name in (
        "normalised_similarity",
        "right_person_rate",
        "all_present_rate",
        "router_accuracy",
        "text_relevance",
    ):
        assert measured[name]["low"] <= measured[name]["value"] <= measured[name]["high"]
    assert len(measured["cases"]) == 2


@pytest.mark.slow
def test_the_parts_of_a_model_are_measured(run: Run, tiny_model: Path) -> None:
    result = run("evaluate", "--cases", 1, "--modules", "--model", tiny_model, "--num-inference-steps", 1, "--json")
    assert result.exit_code == 0, result.output
    assert "forced_routing_moves" in json.loads(result.stdout)


def test_modules_are_measured_on_two_people(run: Run, tiny_model: Path) -> None:
    result = run("evaluate", "--modules", "--people", 3, "--model", tiny_model)
    assert result.exit_code == 2
    assert "cases of 2 people, not 3" in result.stderr


def interrupt(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_an_interrupted_evaluation_is_kept_for_the_same_settings_alone(
    run: Run, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CaseRunner, "run", interrupt)
    interrupted = run("evaluate", "--model", tiny_model)
    assert interrupted.exit_code == 130
    assert "finished cases are kept in outputs/evaluation" in interrupted.stderr
    result = run("evaluate", "--model", tiny_model, "--guidance-scale", 2)
    assert result.exit_code == 2
    assert "choose another output folder" in result.stderr
