"""`ingredients benchmark` and `ingredients evaluate --benchmark`."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ingredients.casebook.drawn import BENCHMARK_VERSION, drawn_cases
from ingredients.media.provenance import read_provenance
from tests.apps.conftest import Run
from tests.apps.tiny_model import FINDS_NO_FACE

PROMPT = {"text": "{count} people wave in a park", "expression": "smile", "action": "wave", "background": "park"}


@pytest.fixture
def own(run: Run, photos: dict[str, Path]) -> Path:
    """In the folder that commands run in: a folder with a photo of ana, ben and cleo each, and two prompts."""
    folder = Path("own")
    (folder / "photos").mkdir(parents=True)
    for name, photo in photos.items():
        (folder / "photos" / f"{name}.png").write_bytes(photo.read_bytes())
    lines = [json.dumps({"id": name} | PROMPT) for name in ("one", "two")]
    (folder / "prompts.jsonl").write_text("\n".join(lines))
    return folder


def test_the_drawn_benchmark_is_written_and_checked(run: Run) -> None:
    pytest.importorskip("matplotlib")
    made = run("benchmark", "write", "drawn")
    assert made.exit_code == 0, made.output
    assert made.stdout == "drawn\n"
    assert "cases: 100 of 2 people, 100 of 3 people, 100 of 4 people" in made.stderr
    assert "version 1" in Path("drawn/README.md").read_text()
    assert np.asarray(Image.open("drawn/distribution.png")).std() > 0
    checked = run("benchmark", "check", "drawn", "--json")
    assert checked.exit_code == 0, checked.output
    assert json.loads(checked.stdout)["problems"] == []


def test_cases_are_made_from_photos_and_prompts(run: Run, own: Path) -> None:
    made = run("benchmark", "make", own)
    assert made.exit_code == 0, made.output
    assert len((own / "cases.jsonl").read_text().splitlines()) == 6
    assert "`ingredients benchmark make --people 2`" in (own / "README.md").read_text()
    checked = run("benchmark", "check", own)
    assert checked.exit_code == 0, checked.output
    assert "3 people with 3 photos, 2 prompts, cases: 6 of 2 people\nnothing must be mended" in checked.stdout


@pytest.mark.parametrize(
    "option", ["--guidance-scale", "--identity-guidance-scale", "--likeness-guidance-scale", "--layout-share"]
)
@pytest.mark.parametrize("value", ["nan", "inf", "1e308"])
def test_options_of_a_run_that_are_no_numbers_are_refused_before_anything_is_read(
    run: Run, option: str, value: str
) -> None:
    result = run("benchmark", "run", "nowhere", "--output", "videos", option, value)
    assert result.exit_code == 2
    assert option in result.stderr
    assert "nowhere" not in result.stderr
    assert not Path("videos").exists()


def test_what_is_wrong_is_named_and_the_exit_code_says_so(run: Run, own: Path) -> None:
    run("benchmark", "make", own)
    (own / "photos" / "ben.png").unlink()
    result = run("benchmark", "check", own)
    assert result.exit_code == 1
    assert "identities.jsonl, line 2: The photo own/photos/ben.png does not exist" in result.stdout
    assert "Traceback" not in result.output


def test_photos_without_a_face_are_named_where_that_is_asked(
    run: Run, own: Path, tiny_model: Path, change_face_config: Callable[..., None]
) -> None:
    run("benchmark", "make", own)
    change_face_config(["detector", "score_threshold"], FINDS_NO_FACE)
    assert run("benchmark", "check", own).exit_code == 0
    result = run("benchmark", "check", own, "--faces", "model", "--model", tiny_model)
    assert result.exit_code == 1
    assert "line 2: The photo photos/ben.png shows no face." in result.stdout


def test_mistakes_are_one_sentence(run: Run, own: Path) -> None:
    for arguments, complaint in (
        (("make", "nowhere"), "does not exist"),
        (("make", own, "--people", 3), "Sets of 3 people cannot be made of 3 identities"),
        (("check", "nowhere"), "holds no benchmark"),
        (("check", own, "--model", "any"), "Only --faces model needs a model"),
        (("write", own), "holds something already"),
    ):
        result = run("benchmark", *arguments)
        assert result.exit_code == 2, result.output
        assert complaint in result.stderr
        assert "Traceback" not in result.output


def test_without_matplotlib_the_card_has_no_figure(run: Run, own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    made = run("benchmark", "make", own)
    assert made.exit_code == 0, made.output
    assert 'pip install "ingredients[plots]"' in made.stderr
    assert "distribution.png" not in (own / "README.md").read_text()
    assert not (own / "distribution.png").exists()


def test_a_model_is_measured_on_the_benchmark(run: Run, tiny_model: Path) -> None:
    arguments = ("evaluate", "--cases", 2, "--model", tiny_model, "--num-inference-steps", 1, "--json")
    result = run(*arguments, "--benchmark", "--people", 3)
    assert result.exit_code == 0, result.output
    measured = json.loads(result.stdout)
    assert measured["cases_version"] == f"benchmark {BENCHMARK_VERSION}"
    assert [case["prompt"] for case in measured["cases"]] == [case.prompt for case in drawn_cases(2, num_people=3)]
    others = run(*arguments, "--people", 3)
    assert others.exit_code == 2
    assert "differs in version of the cases" in others.stderr


def test_the_benchmark_has_neither_single_people_nor_modules(run: Run, tiny_model: Path) -> None:
    alone = run("evaluate", "--benchmark", "--people", 1, "--model", tiny_model)
    assert alone.exit_code == 2
    assert "cases of 2, 3, 4 people, not of 1" in alone.stderr
    modules = run("evaluate", "--benchmark", "--modules", "--model", tiny_model)
    assert modules.exit_code == 2
    assert "leave one of the two out" in modules.stderr


def test_videos_of_your_own_benchmark_are_made_once_and_judged(run: Run, own: Path, tiny_model: Path) -> None:
    run("benchmark", "make", own)
    making = ("benchmark", "run", own, "--model", tiny_model, "--num-inference-steps", 1, "--output", "made")
    result = run(*making, "--cases", 1)
    assert result.exit_code == 0, result.output
    assert result.stdout == "made\n"
    assert "1 videos; judge them with: ingredients evaluate --videos made" in result.stderr
    (first,) = Path("made/videos").iterdir()
    made_at = first.stat().st_mtime_ns
    result = run(*making, "--cases", 2)
    assert result.exit_code == 0, result.output
    assert first.stat().st_mtime_ns == made_at
    case, second = (json.loads(line) for line in (own / "cases.jsonl").read_text().splitlines()[:2])
    line = json.loads(Path("made/manifest.jsonl").read_text().splitlines()[0])
    assert (line["case_id"], line["prompt"]) == (case["id"], "Two people wave in a park")
    assert [person["name"] for person in line["people"]] == case["identities"]
    assert read_provenance(first).people == tuple(case["identities"])
    judged = run("evaluate", "--videos", "made", "--model", tiny_model, "--report-videos", 0, "--json")
    assert judged.exit_code == 0, judged.output
    assert [each["case_id"] for each in json.loads(judged.stdout)["cases"]] == [case["id"], second["id"]]


@pytest.mark.parametrize("name", ["../../out", "a/b", "x" * 300, "a.b", "Zoë", "..", "\x1b[2J"])
def test_any_id_that_the_check_passes_can_be_made(run: Run, own: Path, tiny_model: Path, name: str) -> None:
    run("benchmark", "make", own)
    lines = [json.loads(line) for line in (own / "cases.jsonl").read_text().splitlines()]
    lines[0]["id"] = name
    (own / "cases.jsonl").write_text("\n".join(map(json.dumps, lines)))
    assert run("benchmark", "check", own).exit_code == 0
    before = set(Path.cwd().parent.rglob("*"))
    making = ("--model", tiny_model, "--num-inference-steps", 1, "--cases", 1, "--output", "made")
    made = run("benchmark", "run", own, *making)
    assert made.exit_code == 0, made.output
    new = {path.relative_to(Path.cwd()).as_posix() for path in set(Path.cwd().parent.rglob("*")) - before}
    assert all(path.split("/")[0] == "made" for path in new)
    assert json.loads(Path("made/manifest.jsonl").read_text())["case_id"] == name
    assert len(list(Path("made/videos").iterdir())) == 1


@pytest.mark.parametrize("file", ["prompts.jsonl", "cases.jsonl", "identities.jsonl"])
def test_ids_and_names_that_cannot_be_are_found_by_the_check(run: Run, own: Path, file: str) -> None:
    run("benchmark", "make", own)
    lines = [json.loads(line) for line in (own / file).read_text().splitlines()]
    lines[0]["id"] = " "
    if file == "identities.jsonl":
        lines[1]["photos"] = ["photos/" + "x" * 300 + ".png"]
    (own / file).write_text("\n".join(map(json.dumps, lines)))
    checked = run("benchmark", "check", own)
    assert checked.exit_code == 1
    assert f"{file}, line 1: The id is empty." in checked.stdout
    assert ("line 2: The name own/photos/xxx" in checked.stdout) == (file == "identities.jsonl")


def test_a_folder_of_benchmark_videos_is_of_one_model_and_one_benchmark(run: Run, own: Path, tiny_model: Path) -> None:
    run("benchmark", "make", own)
    making = ("benchmark", "run", own, "--model", tiny_model, "--cases", 1, "--output", "made")
    assert run(*making, "--num-inference-steps", 1).exit_code == 0
    before = set(Path("made").rglob("*"))
    asked = json.loads((own / "cases.jsonl").read_text().splitlines()[0])["identities"]
    (other,) = {"ana", "ben", "cleo"} - set(asked)
    (own / "photos" / f"{other}.png").unlink()
    for arguments, complaint in (
        ((*making, "--num-inference-steps", 2), "differs in settings"),
        ((*making, "--people", 3), "has cases of 2 people, not of 3; make them with"),
        ((*making, "--cases", 9), "has 6 cases of 2 people, not 9"),
        (("benchmark", "run", "nowhere", "--output", "made"), "holds no benchmark"),
        ((*making, "--num-inference-steps", 1, "--cases", 6), f"{other}.png of {other} cannot be read (No such file"),
    ):
        result = run(*arguments)
        assert result.exit_code == 2, result.output
        assert complaint in result.stderr
        assert "Traceback" not in result.output
        assert before <= set(Path("made").rglob("*"))
