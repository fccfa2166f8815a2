"""A benchmark as a folder: written, completed, and checked line by line."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ingredients.casebook.benchmark import (
    CARD_NAME,
    CASES_NAME,
    FIGURE_NAME,
    IDENTITIES_NAME,
    INFO_NAME,
    PROMPTS_NAME,
)
from ingredients.casebook.check import BenchmarkReport, check_benchmark, read_benchmark
from ingredients.casebook.drawn import drawn_benchmark, drawn_cases
from ingredients.casebook.making import (
    benchmark_card,
    complete_benchmark,
    write_card,
    write_drawn_benchmark,
)
from ingredients.core.errors import OutputError, UserInputError
from ingredients.core.protocols import Face
from ingredients.media.photos import load_photo
from ingredients.media.pictures import write_picture
from tests.evaluation.stand_ins import ColourPatchDetector, make_frames
from tests.faces.tiny_faces import classifier_that_says

NAMES = ("ana", "ben", "cleo", "dan", "eve")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("benchmarks") / "drawn"
    write_drawn_benchmark(folder)
    return folder


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Five people, with one patch of a colour in each photo, and four prompts."""
    folder = tmp_path / "own"
    (folder / "photos").mkdir(parents=True)
    for index, name in enumerate(NAMES):
        write_picture(folder / "photos" / f"{name}.png", make_frames(1, {8: (40 + 40 * index, 0, 200)})[0])
    prompts = [
        {"id": "wave", "text": "{count} people wave in a park", "action": "wave", "background": "park"},
        {"id": "talk", "text": "{count} people talk at home", "action": "talk", "background": "room"},
        {"id": "sing", "text": "On a stage, {count} people sing", "action": "sing", "background": "stage"},
        {
            "id": "dance",
            "text": {"2": "A couple dances", "3": "A trio dances"},
            "action": "dance",
            "background": "room",
        },
    ]
    write_lines(folder / PROMPTS_NAME, [prompt | {"expression": "smile"} for prompt in prompts])
    return folder


def write_lines(path: Path, values: list[dict[str, object]]) -> None:
    path.write_text("".join(json.dumps(value) + "\n" for value in values), encoding="utf-8")


def read_json_lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_the_drawn_benchmark_is_written_whole_and_right(drawn: Path):
    report = check_benchmark(drawn)
    assert report == BenchmarkReport(
        num_identities=50, num_photos=150, num_prompts=60, num_cases={2: 100, 3: 100, 4: 100}, problems=()
    )
    assert read_benchmark(drawn) == drawn_benchmark()


def test_its_photos_are_those_that_the_evaluation_uses(drawn: Path):
    benchmark = drawn_benchmark()
    people = {person.id: person for person in benchmark.identities}
    for case, written in zip(drawn_cases(3, num_people=4), benchmark.cases_of(4), strict=False):
        for portrait, name in zip(case.portraits(), written.identities, strict=True):
            np.testing.assert_array_equal(load_photo(drawn / people[name].photos[0]), portrait.image)


def test_a_stopped_run_is_run_again_and_other_folders_are_left_alone(drawn: Path, tmp_path: Path):
    photo = drawn / "photos" / "person-03-2.png"
    before = photo.read_bytes()
    photo.unlink()
    (drawn / CASES_NAME).unlink()
    write_drawn_benchmark(drawn)
    assert photo.read_bytes() == before
    assert check_benchmark(drawn).is_usable
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(OutputError, match="holds something already"):
        write_drawn_benchmark(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_photos_and_prompts_are_completed(own: Path):
    benchmark = complete_benchmark(own, [2])
    assert [person.id for person in benchmark.identities] == list(NAMES)
    assert benchmark.info.name == "own"
    assert len(benchmark.cases) == 10
    report = check_benchmark(own, detector=ColourPatchDetector())
    assert report.problems == ()
    assert report.num_cases == {2: 10}
    assert read_benchmark(own) == benchmark


def test_more_numbers_of_people_are_added_and_the_same_again_changes_nothing(own: Path):
    pairs = complete_benchmark(own, [2])
    both = complete_benchmark(own, [3])
    assert both.info.num_people == (2, 3)
    assert both.cases[:10] == pairs.cases
    assert len(both.cases) == 20
    files = {path: path.read_bytes() for path in own.iterdir() if path.is_file()}
    assert complete_benchmark(own, [3, 2]) == both
    assert {path: path.read_bytes() for path in own.iterdir() if path.is_file()} == files


def test_several_photos_of_a_person_lie_in_a_folder(own: Path):
    (own / "photos" / "fay").mkdir()
    (own / "photos" / "ana.png").rename(own / "photos" / "fay" / "b.png")
    write_picture(own / "photos" / "fay" / "a.png", make_frames(1, {20: (1, 2, 3)})[0])
    people = {person.id: person.photos for person in complete_benchmark(own, [2]).identities}
    assert people["fay"] == ("photos/fay/a.png", "photos/fay/b.png")
    assert "ana" not in people


def test_what_the_user_wrote_is_kept(own: Path):
    info = {"name": "mine", "version": "3", "licence": "CC0", "held_out_pairs": [["wave", "park"]]}
    (own / INFO_NAME).write_text(json.dumps(info))
    people = [
        {"id": name, "photos": [f"photos/{name}.png"], "attributes": {"region": "here"}, "source": "me"}
        for name in NAMES[::-1]
    ]
    write_lines(own / IDENTITIES_NAME, people)
    before = (own / IDENTITIES_NAME).read_bytes()
    benchmark = complete_benchmark(own, [2])
    assert (own / IDENTITIES_NAME).read_bytes() == before
    assert json.loads((own / INFO_NAME).read_text()) == info | {"num_people": [2]}
    assert {case.prompt for case in benchmark.cases if case.held_out_pair} == {"wave"}


def test_other_cases_are_not_replaced(own: Path):
    complete_benchmark(own, [2, 3])
    lines = read_json_lines(own / CASES_NAME)
    lines[0]["seed"] = 5
    write_lines(own / CASES_NAME, lines)
    before = (own / CASES_NAME).read_bytes()
    with pytest.raises(OutputError, match="holds other cases of 2 people"):
        complete_benchmark(own, [2])
    complete_benchmark(own, [3])  # leaves them
    assert json.loads(before.splitlines()[0]) == read_json_lines(own / CASES_NAME)[0]


@pytest.mark.parametrize("name", [CARD_NAME, FIGURE_NAME])
def test_what_somebody_else_made_is_not_overwritten(own: Path, name: str):
    (own / name).write_text("My people")
    with pytest.raises(OutputError, match="would be overwritten"):
        complete_benchmark(own, [2])
    assert not (own / CASES_NAME).exists()


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda own: (own / PROMPTS_NAME).unlink(), "lacks prompts.jsonl"),
        (lambda own: [path.unlink() for path in (own / "photos").iterdir()], "neither identities.jsonl nor photos"),
        (lambda own: (own / PROMPTS_NAME).write_text("{"), r"prompts.jsonl, line 1: It cannot be read"),
        (lambda own: (own / INFO_NAME).write_text('{"name": "mine"}'), "needs the setting 'version'"),
    ],
)
def test_what_is_missing_is_named(own: Path, spoil: Callable[[Path], object], complaint: str):
    spoil(own)
    with pytest.raises(UserInputError, match=complaint):
        complete_benchmark(own, [2])


def problems_after(own: Path, name: str, change: Callable[[list[dict[str, object]]], object]) -> list[str]:
    """What a check finds once lines have been changed."""
    lines = read_json_lines(own / name)
    change(lines)
    write_lines(own / name, lines)
    return [f"{problem.where}: {problem.problem}" for problem in check_benchmark(own).problems if problem.is_fatal]


@pytest.mark.parametrize(
    ("name", "change", "complaint"),
    [
        (IDENTITIES_NAME, lambda lines: lines[1].update(id="ana"), "line 2: The id 'ana' is that of line 1 already"),
        (
            IDENTITIES_NAME,
            lambda lines: lines[2].update(photo="x"),
            "line 3: It cannot be read: BenchmarkIdentity has",
        ),
        (IDENTITIES_NAME, lambda lines: lines[2].update(photos=["photos/no.png"]), "no.png does not exist"),
        (IDENTITIES_NAME, lambda lines: lines[2].update(photos=["../no.png"]), "lies outside of the benchmark"),
        (IDENTITIES_NAME, lambda lines: lines[2].update(photos=[]), "line 3: cleo has no photo"),
        (
            IDENTITIES_NAME,
            lambda lines: lines[4].update(photos=["photos/ana.png"]),
            "line 5: The photo photos/ana.png is also a photo of ana",
        ),
        (IDENTITIES_NAME, lambda lines: lines[0].update(attributes={"age": 3}), "line 1: It cannot be read"),
        (PROMPTS_NAME, lambda lines: lines[0].update(text=" "), "prompts.jsonl, line 1: Its text is empty"),
        (PROMPTS_NAME, lambda lines: lines[0].update(text="{who} wave"), "line 1: Its text has the placeholder {who}"),
        (PROMPTS_NAME, lambda lines: lines[0].update(text="{count people"), "line 1: Its text has the placeholder"),
        (PROMPTS_NAME, lambda lines: lines[3].update(text={"two": "A couple"}), "line 4: The key 'two'"),
        (PROMPTS_NAME, lambda lines: lines.clear(), "prompts.jsonl: It has no line that can be read"),
        (
            PROMPTS_NAME,
            lambda lines: lines[3].update(text={"4": "Four"}),
            "The prompt dance does not fit its 2 people",
        ),
        (CASES_NAME, lambda lines: lines[0].update(prompt="fly"), "cases.jsonl, line 1: There is no prompt 'fly'"),
        (CASES_NAME, lambda lines: lines[3].update(identities=["ana", "zoe"]), "line 4: There is no identity 'zoe'"),
        (CASES_NAME, lambda lines: lines[3].update(identities=["ana", "ana"]), "line 4: ana is in it twice"),
        (CASES_NAME, lambda lines: lines[3].update(identities=["ana"]), "num_people of benchmark.json lacks"),
        (CASES_NAME, lambda lines: lines[3].update(id=lines[0]["id"]), "is that of line 1 already"),
        (CASES_NAME, lambda lines: lines[3].update(held_out_pair=True), "line 4: Its held_out_pair is true, but"),
        (CASES_NAME, lambda lines: lines.pop(), "People are not used equally often in the cases of 2 people"),
        (CASES_NAME, lambda lines: lines.clear(), "It lacks the cases of 2 people, which benchmark.json promises"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(
    own: Path, name: str, change: Callable[[list[dict[str, object]]], object], complaint: str
):
    complete_benchmark(own, [2])
    found = problems_after(own, name, change)
    assert any(complaint in problem for problem in found), found


def test_a_benchmark_without_cases_says_how_to_make_them(own: Path):
    complete_benchmark(own, [2])
    (own / CASES_NAME).unlink()
    (problem,) = check_benchmark(own).problems
    assert problem.problem == f"It is missing; make it with: ingredients benchmark make {own}"


def test_doubts_do_not_spoil_a_benchmark(own: Path):
    lines = read_json_lines(own / PROMPTS_NAME)
    lines[0]["text"] = "People wave in a park"
    write_lines(own / PROMPTS_NAME, lines)
    complete_benchmark(own, [2])
    report = check_benchmark(own)
    assert report.is_usable
    (doubt,) = report.problems
    assert doubt.where == "prompts.jsonl, line 1"
    assert "has no {count}" in doubt.problem


class BlindDetector:
    """Sees no face anywhere."""

    def detect(self, image: np.ndarray) -> list[Face]:
        return []


def test_faces_are_looked_for_where_a_detector_is_given(own: Path):
    complete_benchmark(own, [2])
    found = check_benchmark(own, detector=BlindDetector()).problems
    assert len(found) == 5
    assert found[0].problem == "The photo photos/ana.png shows no face."
    write_picture(own / "photos" / "ana.png", make_frames(1, {2: (9, 9, 9), 40: (90, 90, 90)})[0])
    (doubt,) = check_benchmark(own, detector=ColourPatchDetector()).problems
    assert doubt.problem == "The photo photos/ana.png shows 2 faces."
    assert not doubt.is_fatal


@pytest.mark.parametrize(("scores", "is_usable"), [((0.01, 0.01, 0.98), False), ((0.4, 0.45, 0.15), True)])
def test_photographs_for_a_model_of_drawings_are_found(
    own: Path, scores: tuple[float, float, float], is_usable: bool
) -> None:
    complete_benchmark(own, [2])
    report = check_benchmark(own, detector=ColourPatchDetector(), picture_kind=classifier_that_says(scores))
    assert len(report.problems) == 5
    assert report.is_usable is is_usable
    what = "drawn in another style" if is_usable else "in a photograph, it seems"
    assert report.problems[0].problem.startswith(f"The face in the photo photos/ana.png is {what}")


def test_the_card_states_counts_pairs_and_distribution(tmp_path: Path):
    card = benchmark_card(drawn_benchmark(), command="ingredients benchmark write", has_figure=True)
    assert card.startswith("# ingredients-world, version 1\n")
    assert "| 2 | 50 | 100 | 4 | 1 to 2 |" in card
    assert "| wave | park, snow |" in card
    assert "may have seen every pair" in card
    assert "| expression | sad 15, serious 15, smile 15, surprised 15 |" in card
    assert "distribution.png" in card
    (tmp_path / "own").mkdir()
    for _ in range(2):  # its own card is written again
        write_card(tmp_path / "own", drawn_benchmark(), command="ingredients benchmark write", has_figure=False)
    assert "distribution.png" not in (tmp_path / "own" / CARD_NAME).read_text()
