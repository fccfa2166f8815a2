"""The studies from end to end, with the model that ships and a handful of everything."""

import json
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from ingredients.apps.cli import app
from ingredients.studies.lab import SETTINGS_NAME, Lab
from ingredients.studies.reproduce import plan_study
from ingredients.studies.settings import StudyConfig
from ingredients.studies.variants import FULL

HANDFUL = (
    "num_clips=50",
    "num_validation_clips=50",
    "i2v_steps=1",
    "align_steps=1",
    "route_steps=5",
    "num_cases=2",
    "num_seeds=1",
    "num_pairs=2",
    "inversion_steps=1",
    "lora_steps=1",
    "num_inference_steps=3",
)

TOO_MUCH = ("--minutes", "1", "num_clips=100000", "num_validation_clips=100000", "num_cases=100", "num_pairs=100")
"""More of everything than a minute allows, so that nothing begins."""


def reproduce(target: str, folder: Path, *options: str) -> Result:
    arguments = ["reproduce", target, *HANDFUL, "--folder", folder / "lab", "--output", folder / "results", *options]
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_the_plan_shares_what_variants_have_in_common(tmp_path: Path) -> None:
    plan = plan_study(Lab(tmp_path, StudyConfig()), "all")
    names = [step.name for step in plan.steps]
    assert len(names) == len(set(names))
    assert sum(name.startswith("align-shipped-s") for name in names) == 3  # of full, box, mse and no_loss alike
    assert sum(name.startswith("align-i2v-s") and "same" not in name for name in names) == 2
    assert sum(name.startswith("route-") for name in names) == 4 * 3 + 3 * 2 + 4
    for step in plan.steps:
        assert all(names.index(need) < names.index(step.name) for need in step.needs)
    order = [names.index(name) for name in ("clips-train-maps", "align-i2v-maps-s0", "route-recognition_maps-s0")]
    assert order == sorted(order)
    small = plan_study(Lab(tmp_path, StudyConfig(num_seeds=1)), "table3")
    assert [step.name for step in small.steps if step.name.startswith("route")] == [
        "route-full-s0",
        "route-no_loss-s0",
        "route-mse-s0",
    ]
    assert small.waiting == list(small.steps)
    assert Lab(tmp_path, StudyConfig()).route_folder(FULL, 2) == tmp_path / "route" / "full-s2"


def test_a_dry_run_prints_the_plan_and_makes_nothing(tmp_path: Path) -> None:
    result = reproduce("table2", tmp_path, "--dry-run")
    assert result.exit_code == 0, result.output
    assert "align-i2v-after-s0" in result.stderr
    assert "steps to do, about" in result.stderr
    assert not list(tmp_path.iterdir())


def test_a_budget_that_is_too_small_leaves_all_to_do(tmp_path: Path) -> None:
    result = reproduce("table1", tmp_path, *TOO_MUCH)
    assert result.exit_code == 0, result.output
    assert "No time was left for" in result.stderr


def test_a_folder_keeps_the_settings_that_it_was_begun_with(tmp_path: Path) -> None:
    """What is done is not done again, so the page would say of old models that they were made with new settings."""
    budget = TOO_MUCH
    assert reproduce("table1", tmp_path, *budget).exit_code == 0
    for options in (("align_steps=7",), ("align_steps=7", "--dry-run"), ("align_steps=7", "--results-only")):
        result = reproduce("table1", tmp_path, *budget, *options)
        assert result.exit_code == 2, result.output
        assert "were made with align_steps=1, not 7" in " ".join(result.stderr.split())
    assert reproduce("table1", tmp_path, *budget, "num_seeds=2").exit_code == 0
    settings = tmp_path / "lab" / SETTINGS_NAME
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"model": "of last year"}))
    result = reproduce("table1", tmp_path, *budget)
    assert result.exit_code == 2, result.output
    assert "began with another model" in " ".join(result.stderr.split())


@pytest.mark.slow
def test_tables_and_figures_are_made_and_a_second_call_makes_nothing_anew(tmp_path: Path) -> None:
    for target in ("table3", "figures"):
        result = reproduce(target, tmp_path)
        assert result.exit_code == 0, result.output
    page = (tmp_path / "results" / "README.md").read_text()
    assert "Figure 5" in page
    pictures = sorted((tmp_path / "results").glob("*.png"))
    assert len(pictures) == 8
    for picture in pictures:
        assert min(Image.open(picture).size) > 100
    numbers = json.loads((tmp_path / "results" / "results.json").read_text())
    assert set(numbers["models"]) == {"full", "no_loss", "mse", "text_only", "textual_inversion", "lora"}
    assert numbers["models"]["lora"][0]["num_cases"] == 2
    assert "router_accuracy" not in numbers["models"]["text_only"][0]
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "lab").rglob("*") if path.is_file()}
    again = reproduce("table3", tmp_path)
    assert "0 steps to do" in again.stderr
    table = (tmp_path / "results" / "README.md").read_text()
    assert "| cross-entropy |" in table
    assert "cross-entropy against mean squared error" in table
    assert "Figure 5" in table  # as drawn before
    assert "## Section 4.4" in table
    assert {path: path.stat().st_mtime_ns for path in written} == written
