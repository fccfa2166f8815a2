import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ingredients.casebook.cases import Case
from ingredients.evaluation.pipeline_source import GenerationSettings, PipelineSource
from ingredients.pipelines import loading
from ingredients.pipelines.loading import load_pipeline
from ingredients.pipelines.pipeline_ingredients import IngredientsPipeline
from tests.apps.conftest import Run
from tests.evaluation.clip_folders import write_clip_folder
from tests.faces.onnx_models import write_mean_colour


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


def test_a_summary_is_printed_and_two_results_are_compared(run: Run, tiny_model: Path) -> None:
    options = ("--cases", 2, "--model", tiny_model, "--num-inference-steps", 1)
    first = run("evaluate", *options, "--output", "plain")
    assert first.exit_code == 0, first.output
    lines = first.stdout.splitlines()
    assert 7 <= len(lines) <= 10
    assert re.fullmatch(r"2 cases of 2 people, seed 0; time: [0-9.]+ s a video", lines[0])
    assert lines[2].startswith("right person: ")
    assert all(f", {words}: " in lines[2] for words in ("everyone present", "a face found", "router"))
    assert lines[-1] == "report: plain/report.html"
    assert any(line.startswith("text, each attribute told right among all: count ") for line in lines)
    second = run("evaluate", *options, "--face-scale", 2, "--output", "strong")
    assert second.exit_code == 0, second.output
    compared = run("compare", "plain", "strong/result.json", "--json")
    assert compared.exit_code == 0, compared.output
    assert json.loads(compared.stdout)["metrics"]["normalised_similarity"]["difference"].keys() >= {"low", "high"}
    table = run("compare", "plain", "strong")
    assert "strong less plain" in table.stdout
    refused = run("compare", "plain", "nowhere")
    assert refused.exit_code == 2
    assert len(refused.stderr.strip().splitlines()) == 1


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
    monkeypatch.setattr(PipelineSource, "videos", interrupt)
    interrupted = run("evaluate", "--model", tiny_model)
    assert interrupted.exit_code == 130
    assert "finished cases are kept in outputs/evaluation" in interrupted.stderr
    result = run("evaluate", "--model", tiny_model, "--guidance-scale", 2)
    assert result.exit_code == 2
    assert "choose another output folder" in result.stderr


def test_saved_videos_are_judged_again(run: Run, tiny_model: Path) -> None:
    made = run(
        "evaluate",
        "--cases",
        2,
        "--model",
        tiny_model,
        "--num-inference-steps",
        1,
        "--save-videos",
        "--output",
        "mine",
    )
    assert made.exit_code == 0, made.output
    judged = run("evaluate", "--videos", "mine", "--model", tiny_model, "--report-videos", 1, "--json")
    assert judged.exit_code == 0, judged.output
    assert judged.stdout.count("\n") == 1
    measured = json.loads(judged.stdout)
    assert measured["judge"]["name"] == "model"
    assert (measured["num_cases"], measured["num_errors"]) == (2, 0)
    own = json.loads(Path("mine/result.json").read_text())
    assert measured["found_rate"] == own["found_rate"]
    output = Path("outputs/evaluation-of-mine")
    assert {"result.json", "report.md", "report.html", "cases.csv", "people.csv"} <= {
        path.name for path in output.iterdir()
    }
    assert (output / "report.html").read_text().count("<video ") == 1
    assert Path("mine/report.html").read_text().count("<video ") == 2


def test_a_model_is_measured_by_judges_from_files(run: Run, tiny_model: Path, tmp_path: Path) -> None:
    arcface = write_mean_colour(tmp_path / "arcface.onnx", np.eye(3))
    inception = write_mean_colour(tmp_path / "inception.onnx", np.ones((3, 2048)), size=299)
    write_clip_folder(tmp_path / "clip")
    judges = ("--judge", f"arcface:{arcface}", "--clip", tmp_path / "clip", "--inception", inception)
    options = ("--cases", 1, "--model", tiny_model, "--num-inference-steps", 1, "--save-videos", "--output", "mine")
    made = run("evaluate", *options, *judges, "--json")
    assert made.exit_code == 0, made.output
    measured = json.loads(made.stdout)
    named = {"raw_similarity", "paper_face_similarity", "paper_clip_text", "paper_fid", "fid", "text_relevance"}
    assert named <= set(measured)
    assert not {"normalised_similarity", "dual_encoder_text"} & set(measured)
    again = run("evaluate", "--videos", "mine", *judges, "--detector", "model", "--model", tiny_model, "--json")
    assert again.exit_code == 0, again.output
    judged = json.loads(again.stdout)
    for name in ("found_rate", "paper_clip_text"):
        assert judged[name]["value"] == pytest.approx(measured[name]["value"], abs=1e-3)
    other = run("evaluate", *options, "--json")
    assert other.exit_code == 2
    assert "differs in InceptionV3, judge, judge of text; choose another" in other.stderr


def test_videos_by_dlib_and_a_note_of_those_that_cannot_be_judged(run: Run, photos: dict[str, Path]) -> None:
    folder = photos["ana"].parent / "theirs"
    folder.mkdir()
    photos["ana"].rename(folder / "ana.png")
    line = {"file_name": "none.mp4", "prompt": "A walk.", "people": [{"name": "ana", "photos": ["ana.png"]}]}
    (folder / "manifest.jsonl").write_text(json.dumps(line))
    judged = run("evaluate", "--videos", folder, "--judge", "dlib")
    assert judged.exit_code == 0, judged.output
    assert "1 of 1 videos could not be judged" in judged.stderr
    assert "another judge or detector" in judged.stdout  # dlib finds no face in a drawing
    assert len(judged.stdout.splitlines()) <= 12
    stopped = run("evaluate", "--videos", folder, "--judge", "dlib", "--on-error", "stop")
    assert stopped.exit_code == 2
    assert "Case none" in stopped.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--videos", "none"), "lacks manifest.jsonl"),
        (("--videos", "none", "--cases", 3), "--cases is about making videos; leave it out with --videos"),
        (("--videos", "none", "--guidance-scale", 3), "--guidance-scale is about making videos"),
        (("--videos", "none", "--modules"), "--modules is about making videos"),
        (("--max-frames", 3), "--max-frames is about videos made elsewhere; name their folder with --videos"),
        (("--on-error", "stop"), "--on-error is about videos made elsewhere"),
        (("--modules", "--clip", "folder"), "--clip has no part in --modules"),
        (("--modules", "--places"), "--places has no part in --modules"),
        (("--places", "square"), "Invalid value for '--places': 'square' is not one of 'columns', 'boxes',"),
        (("--extras", 1, "--style", "together"), "--style each-own alone"),
        (("--extras", 2, "--people", 3, "--style", "each-own"), "at most 4 people, not 3 and 2 strangers"),
        (("--videos", "none", "--judge", "facebook"), "no judge 'facebook'"),
        (("--videos", "none", "--clip", "nowhere"), "nowhere"),
    ],
)
def test_options_that_do_not_go_together_are_named(run: Run, options: tuple[object, ...], message: str) -> None:
    result = run("evaluate", *options)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.replace("│", "").split())


@pytest.mark.parametrize(
    ("options", "placing"),
    [
        (("--places",), "columns"),
        (("--places", "--cases", 1), "columns"),
        (("--places", "boxes"), "boxes"),
        (("--places=moving",), "moving"),
        ((), None),
    ],
)
def test_places_alone_are_columns(
    run: Run, tiny_model: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[object, ...], placing: str | None
) -> None:
    asked = []

    def note(*_: object, settings: GenerationSettings, **__: object) -> None:
        asked.append(settings.placing)
        raise KeyboardInterrupt

    monkeypatch.setattr(PipelineSource, "__init__", note)
    run("evaluate", "--model", tiny_model, *options)
    assert asked == [placing]


@pytest.mark.parametrize(
    ("id_phrases", "options", "style"),
    [(False, (), "together"), (True, (), "each-own"), (True, ("--style", "together"), "together")],
)
def test_a_model_is_asked_for_what_it_was_made_for(
    run: Run,
    tiny_model: Path,
    monkeypatch: pytest.MonkeyPatch,
    id_phrases: bool,
    options: tuple[object, ...],
    style: str,
) -> None:
    asked: list[str] = []

    def load(*arguments: Any, **options: Any) -> IngredientsPipeline:
        pipeline = load_pipeline(*arguments, **options)
        pipeline.transformer.register_to_config(id_phrases=id_phrases)
        return pipeline

    def note(_: object, pipeline: object, cases: list[Case], **__: object) -> None:
        asked.extend(case.style for case in cases)
        raise KeyboardInterrupt

    monkeypatch.setattr(loading, "load_pipeline", load)
    monkeypatch.setattr(PipelineSource, "__init__", note)
    run("evaluate", "--model", tiny_model, "--cases", 1, *options)
    assert asked == [style]


def test_help_shows_how_to_judge_the_videos_of_others(run: Run) -> None:
    text = run("evaluate", "--help").output
    assert "ingredients evaluate --videos theirs --judge dlib" in text


@pytest.mark.parametrize("value", ["nan", "inf", "1e308"])
@pytest.mark.parametrize(
    "option",
    [
        "--guidance-scale",
        "--identity-guidance-scale",
        "--likeness-guidance-scale",
        "--layout-share",
        "--face-scale",
    ],
)
def test_options_that_are_no_numbers_are_refused_before_anything_is_read(run: Run, option: str, value: str) -> None:
    result = run("evaluate", option, value, "--model", "no/such/model")
    assert result.exit_code == 2
    assert option in result.stderr
    assert "no/such/model" not in result.stderr
