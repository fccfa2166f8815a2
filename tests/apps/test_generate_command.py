import json
import shutil
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from typer.testing import Result

from ingredients.core.arrays import UInt8Array
from ingredients.core.errors import PhotographError, UserInputError
from ingredients.core.warnings_told import PhotoWarning
from ingredients.faces import dlib_faces
from ingredients.generation import result_files, studio
from ingredients.generation.routing_edit import load_routing
from ingredients.media.pictures import write_picture
from ingredients.media.video import read_video
from ingredients.models.state_dict_adapter import to_published
from ingredients.models.transformer_ingredients import IngredientsTransformer3DModel
from ingredients.pipelines.pipeline_ingredients import IngredientsPipeline
from tests.apps.conftest import Run
from tests.apps.tiny_model import FINDS_NO_FACE, takes_all_for_photographs
from tests.faces.antelope_folder import draw_blue_face, write_antelope_folder

PROMPT = "Two people wave on a beach."
Generate = Callable[..., Result]


@pytest.fixture
def generate(run: Run, tiny_model: Path, photos: dict[str, Path]) -> Generate:
    """Runs `ingredients generate` on the tiny model; what is not named is given, None leaves an option out."""

    def run_generate(
        *arguments: object, people: tuple[str, ...] = ("ana", "ben"), overwrite: bool = True, **options: object
    ) -> Result:
        given: dict[str, object] = {
            "prompt": PROMPT,
            "model": tiny_model,
            "num_inference_steps": 2,
            "output": "out.mp4",
        }
        line = ["--overwrite"] if overwrite else []
        line += [part for name in people for part in ("--photo", f"{name}={photos[name]}")]
        for name, value in (given | options).items():
            if value is not None:
                line += [f"--{name.replace('_', '-')}", str(value)]
        return run("generate", *line, *arguments)

    return run_generate


def assert_one_sentence(result: Result, *parts: str) -> None:
    """A user's mistake: code 2, one line on standard error, nothing on standard output, nothing left in the folder."""
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    last_line = result.stderr.strip().splitlines()[-1]
    assert last_line.startswith("Error: "), result.stderr
    assert "Traceback" not in result.stderr
    for part in parts:
        assert part in last_line
    assert not list(Path.cwd().iterdir())


def test_a_video_is_made_and_reported(generate: Generate) -> None:
    result = generate("--contact-sheet", "frames.png", "--routing-map", "routing.png")
    assert result.exit_code == 0, result.output
    video = read_video("out.mp4")
    assert video.frames.shape == (9, 32, 48, 3)
    assert video.fps == 8
    assert video.metadata["title"] == PROMPT
    assert sorted(path.name for path in Path.cwd().iterdir()) == ["frames.png", "out.mp4", "routing.png"]
    for name in ("frames.png", "routing.png"):
        assert np.asarray(Image.open(name)).std() > 0
    for part in ("out.mp4: 9 frames of 48x32", "ana  ", "ben  "):
        assert part in result.stdout
    assert "2/2" in result.stderr  # the progress bar


def test_json_is_alone_on_standard_output(generate: Generate, photos: dict[str, Path], tiny_model: Path) -> None:
    result = generate("--json", seed=-3)
    assert result.exit_code == 0, result.output
    assert result.stdout.count("\n") == 1
    report = json.loads(result.stdout)
    assert (report["video"], report["frames"], report["fps"], report["seed"]) == ("out.mp4", 9, 8.0, -3)
    assert report["model"] == str(tiny_model)
    assert report["seconds"] > 0
    assert [person["name"] for person in report["people"]] == ["ana", "ben"]
    assert [person["photo"] for person in report["people"]] == [str(photos["ana"]), str(photos["ben"])]
    assert report["judge"] == "model"
    for person in report["people"]:
        assert isinstance(person["found"], bool)
        assert person["distance"] is None
        assert isinstance(person["similarity"], float)


def test_files_say_how_they_were_made(generate: Generate, run: Run, tiny_model: Path) -> None:
    assert generate("--contact-sheet", "frames.png", "--routing-map", "routing.png", seed=5).exit_code == 0
    told = run("info", "out.mp4", "frames.png", "routing.png", "--json")
    assert told.exit_code == 0, told.output
    for line, file in zip(told.stdout.splitlines(), ("out.mp4", "frames.png", "routing.png"), strict=True):
        assert json.loads(line) == {
            "file": file,
            "model": tiny_model.name,
            "seed": 5,
            "people": ["ana", "ben"],
            "prompt": PROMPT,
            "version": metadata.version("ingredients"),
        }
    assert PROMPT in run("info", "out.mp4").stdout


def test_the_prompt_can_be_kept_out_of_the_file(generate: Generate, run: Run) -> None:
    assert generate("--no-prompt-metadata").exit_code == 0
    assert b"beach" not in Path("out.mp4").read_bytes()
    assert "kept out of the file" in run("info", "out.mp4").stdout


def test_a_seed_makes_the_same_video_again(generate: Generate) -> None:
    frames = []
    for seed in (4, 4, 5):
        assert generate(seed=seed).exit_code == 0
        frames.append(read_video("out.mp4").frames)
    np.testing.assert_array_equal(frames[0], frames[1])
    assert (frames[0] != frames[2]).any()


@pytest.mark.parametrize("num_people", [1, 3, 6])
def test_any_number_of_people_takes_part(
    generate: Generate, photos: dict[str, Path], num_people: int, tmp_path: Path
) -> None:
    for index in range(num_people):
        noise = np.random.default_rng(index).integers(0, 256, (64, 64, 3), np.uint8)
        photos[f"person {index}"] = tmp_path / f"{index}.png"
        Image.fromarray(noise).save(photos[f"person {index}"])
    names = tuple(f"person {index}" for index in range(num_people))
    result = generate("--json", "--routing-map", "routing.png", people=names)
    assert result.exit_code == 0, result.output
    assert [person["name"] for person in json.loads(result.stdout)["people"]] == list(names)


def test_a_name_given_twice_is_one_person_with_two_photos(generate: Generate, photos: dict[str, Path]) -> None:
    result = generate("--json", "--photo", f"ana={photos['cleo']}")
    assert result.exit_code == 0, result.output
    people = json.loads(result.stdout)["people"]
    assert [person["name"] for person in people] == ["ana", "ben"]
    assert people[0]["photos"] == [str(photos["ana"]), str(photos["cleo"])]


def test_every_option_reaches_the_video(generate: Generate) -> None:
    assert generate().exit_code == 0
    plain = read_video("out.mp4").frames
    for option, value in (
        ("guidance_scale", 1.0),
        ("negative_prompt", "a city"),
        ("num_inference_steps", 3),
        ("prompt", "Two people nod."),
    ):
        result = generate(**{option: value})
        assert result.exit_code == 0, result.output
        assert (read_video("out.mp4").frames != plain).any(), option
    assert generate(num_frames=17, height=32, width=16).exit_code == 0
    assert read_video("out.mp4").frames.shape == (17, 32, 16, 3)


def test_unknown_words_and_a_cut_prompt_are_told(generate: Generate) -> None:
    result = generate("--json", prompt="Two people juggle on a beach at sunset under a grey sky in a city at night.")
    assert result.exit_code == 0, result.output
    assert "does not know 'juggle'" in result.stderr
    assert "cut" in result.stderr
    notices = json.loads(result.stdout)["notices"]
    assert any("at night" in notice for notice in notices), notices


def test_several_faces_in_a_photo_are_told(generate: Generate) -> None:
    result = generate()
    assert "faces; the largest is taken for ana" in result.stderr


def test_a_model_without_a_judge_says_that_nothing_was_measured(generate: Generate, tiny_model: Path) -> None:
    shutil.rmtree(tiny_model / "judge")
    result = generate("--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["judge"] is None
    assert [person["similarity"] for person in report["people"]] == [None, None]
    assert "not measured" in generate().stdout


def test_a_photo_without_a_name_is_called_as_its_file(generate: Generate, photos: dict[str, Path]) -> None:
    result = generate("--photo", photos["cleo"], "--json", people=("ana",))
    assert result.exit_code == 0, result.output
    assert [person["name"] for person in json.loads(result.stdout)["people"]] == ["ana", "cleo"]


def test_several_seeds_make_several_videos_with_one_model(
    generate: Generate, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    loaded: list[object] = []
    load = studio.load_pipeline

    def counting(*arguments: Any, **options: Any) -> IngredientsPipeline:
        loaded.append(arguments)
        return load(*arguments, **options)

    monkeypatch.setattr(studio, "load_pipeline", counting)
    result = generate("--contact-sheet", "sheet.png", "--json", "--seeds", "4", "-1")
    assert result.exit_code == 0, result.output
    assert len(loaded) == 1
    reports = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(report["seed"], report["video"]) for report in reports] == [(4, "out-4.mp4"), (-1, "out--1.mp4")]
    assert sorted(path.name for path in Path.cwd().iterdir()) == [
        "out--1.mp4", "out-4.mp4", "sheet--1.png", "sheet-4.png",
    ]  # fmt: skip
    assert generate(seed=4).exit_code == 0
    assert np.array_equal(read_video("out.mp4").frames, read_video("out-4.mp4").frames)
    assert not np.array_equal(read_video("out.mp4").frames, read_video("out--1.mp4").frames)


@pytest.mark.parametrize("form", [("--seeds", "1", "2"), ("--seeds=1,2",), ("--seeds", "1,2"), ("--seeds=1", "2")])
def test_seeds_may_be_listed_in_any_way(generate: Generate, form: tuple[str, ...]) -> None:
    Path("out-2.mp4").write_bytes(b"kept")
    result = generate(*form, overwrite=False)
    assert result.exit_code == 2
    assert "out-2.mp4" in result.stderr
    assert [path.name for path in Path.cwd().iterdir()] == ["out-2.mp4"]  # nothing is made before all is checked


def test_a_video_is_enlarged_by_whole_pixels(generate: Generate, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[UInt8Array] = []
    write = result_files.write_video

    def keeping(path: Path, frames: UInt8Array, **options: Any) -> None:
        written.append(frames)
        write(path, frames, **options)

    monkeypatch.setattr(result_files, "write_video", keeping)
    plain, large = generate("--json"), generate("--json", "--scale", "3")
    assert large.exit_code == 0, large.output
    before, after = (json.loads(result.stdout) for result in (plain, large))
    assert (after["width"], after["height"], after["scale"]) == (144, 96, 3)
    assert read_video("out.mp4").frames.shape == (9, 96, 144, 3)
    assert np.array_equal(written[1], np.kron(written[0], np.ones((1, 3, 3, 1), np.uint8)))
    assert after["people"] == before["people"]  # the judge sees the video as it was made


def test_a_shape_that_the_model_was_not_made_for_is_told(generate: Generate) -> None:
    result = generate(height=32, width=64, num_frames=9)
    assert result.exit_code == 0, result.output
    assert "Note: This model was made for 9 frames of 48x32" in result.stderr
    assert "made for" not in generate().stderr


@pytest.mark.parametrize(
    ("people", "prompt", "told"),
    [
        (("ana",), "Two people wave on a beach.", "speaks of 2 people, with photos of 1 person"),
        (("ana", "ben", "cleo"), "Two people wave on a beach.", "speaks of 2 people, with photos of 3 people"),
        (("ana", "ben"), "People wave on a beach.", "does not say how many people"),
    ],
)
def test_a_number_of_people_that_does_not_fit_is_told(
    generate: Generate, people: tuple[str, ...], prompt: str, told: str
) -> None:
    assert told in " ".join(json.loads(generate("--json", people=people, prompt=prompt).stdout)["notices"])


# What goes wrong


def test_two_photos_with_one_name_need_a_word(generate: Generate, photos: dict[str, Path], tmp_path: Path) -> None:
    other = tmp_path / "other" / "ana.png"
    other.parent.mkdir()
    shutil.copy(photos["ben"], other)
    result = generate("--photo", photos["ana"], "--photo", other, people=("cleo",))
    assert_one_sentence(result, str(other), "would both be called ana")
    assert_one_sentence(generate("--photo", other, people=("ana",)), "would both be called ana")
    faces = generate("--photo", f"{photos['ben']}#1", "--photo", f"{photos['ben']}#7", people=())
    assert_one_sentence(faces, "there is no face 7")  # two names, then: ben-1 and ben-7


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("--seeds", "1", "1"), "names a seed twice"),
        (("--seeds", "x"), "takes whole numbers"),
        (("--seeds", "1", "2", "--seed", "3"), "one of the two"),
        (("--scale", "64", "--height", "3200", "--width", "4800"), "--scale smaller"),
    ],
)
def test_seeds_and_scales_that_cannot_be(generate: Generate, arguments: tuple[str, ...], part: str) -> None:
    assert_one_sentence(generate(*arguments), part)


@pytest.mark.parametrize("option", ["ana=", "=ana.png", ""])
def test_a_photo_needs_a_name_and_a_file(generate: Generate, option: str) -> None:
    assert_one_sentence(generate("--photo", option), "must be NAME=FILE or FILE")


def test_a_missing_photo(generate: Generate) -> None:
    assert_one_sentence(generate("--photo", "cleo=nowhere.png"), "nowhere.png", "cleo", "does not exist")


@pytest.mark.parametrize(
    ("content", "complaint"), [(b"", "is an empty file"), (b"Dear Ana", "is not an image that can be read")]
)
def test_a_photo_that_cannot_be_read(
    generate: Generate, photos: dict[str, Path], content: bytes, complaint: str
) -> None:
    photos["ben"].write_bytes(content)
    assert_one_sentence(generate(), "ben.png", complaint)


def test_a_truncated_photo(generate: Generate, photos: dict[str, Path]) -> None:
    photos["ben"].write_bytes(photos["ben"].read_bytes()[:700])
    assert_one_sentence(generate(), "ben.png", "cut off or damaged")


def test_no_face(generate: Generate, change_face_config: Callable[..., None], photos: dict[str, Path]) -> None:
    change_face_config(("detector", "score_threshold"), FINDS_NO_FACE)
    result = generate()
    assert_one_sentence(result, "No face", str(photos["ana"]), "ingredients world portrait --seed 7")


@pytest.mark.parametrize("copied", [False, True])
def test_the_same_file_for_two_people(
    generate: Generate, photos: dict[str, Path], copied: bool, tmp_path: Path
) -> None:
    photos["ben"] = photos["ana"]
    if copied:
        photos["ben"] = tmp_path / "copy.png"
        shutil.copy(photos["ana"], photos["ben"])
    assert_one_sentence(generate(), "ana and ben have the same photo", "one of their own")


def test_two_names_for_one_face(generate: Generate, change_face_config: Callable[..., None]) -> None:
    change_face_config(("same_face_threshold",), -1.0)
    assert_one_sentence(generate(), "ana and ben show the same face", "under one name")


@pytest.mark.parametrize("prompt", ["", "  "])
def test_an_empty_prompt(generate: Generate, prompt: str) -> None:
    assert_one_sentence(generate(prompt=prompt), "prompt is empty", "Two people wave on a beach")


@pytest.mark.parametrize(
    ("option", "value", "remedy"),
    [("height", 20, "try 16 or 24"), ("width", 3, "try 8"), ("num_frames", 12, "try 9 or 17")],
)
def test_a_shape_that_the_model_cannot_make(generate: Generate, option: str, value: int, remedy: str) -> None:
    assert_one_sentence(generate(**{option: value}), str(value), remedy)


@pytest.mark.parametrize("option", ["guidance_scale", "face_scale"])
def test_numbers_that_are_none(generate: Generate, option: str) -> None:
    assert_one_sentence(generate(**{option: "nan"}), f"--{option.replace('_', '-')} must be a number, not nan")


def test_a_video_that_no_machine_could_hold(generate: Generate) -> None:
    assert_one_sentence(generate(num_frames=1_000_000_001), "of memory at least", "--num-frames")


def test_an_output_that_cannot_be_written(generate: Generate) -> None:
    assert_one_sentence(generate(output="/proc/x.mp4"), "/proc/x.mp4 could not be written", "choose another folder")


def test_more_faces_than_fit(generate: Generate) -> None:
    assert_one_sentence(generate(people=("ana", "ben", "cleo"), height=8, width=8), "3 faces do not fit", "larger")


def test_names_in_the_prompt_are_those_of_the_photos(generate: Generate) -> None:
    result = generate("--json", prompt="@ana waves to Ben on a beach.")
    assert result.exit_code == 0, result.output
    (notice,) = [each for each in json.loads(result.stdout)["notices"] if "whose name is whose" in each]
    assert notice.startswith("This model does not know whose name is whose, and its text encoder has no words for")
    assert json.loads(result.stdout)["prompt"] == "@ana waves to Ben on a beach."


def test_a_name_that_nobody_has(generate: Generate) -> None:
    assert_one_sentence(generate(prompt="@cleo waves"), "speaks of @cleo", "write @ana or @ben")


def test_the_best_take_gets_the_name_and_the_others_stay(generate: Generate) -> None:
    result = generate("--json", takes=2, seed=5, contact_sheet="sheet.png")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert [take["seed"] for take in report["takes"]] == [5, 6]
    (kept,), (other,) = ([take for take in report["takes"] if take["kept"] is is_kept] for is_kept in (True, False))
    assert (report["seed"], kept["video"]) == (kept["seed"], "out.mp4")
    assert set(kept["likeness"]) == {"ana", "ben"}
    assert min(kept["likeness"].values()) >= min(other["likeness"].values())
    names = {"out.mp4", "sheet.png", f"out-take-{other['take']}.mp4", f"sheet-take-{other['take']}.png"}
    assert {path.name for path in Path.cwd().iterdir()} == names
    for name, take in (("out.mp4", kept), (other["video"], other)):
        assert json.loads(read_video(name).metadata["comment"])["seed"] == take["seed"]
    assert f"Take {kept['take']} is kept" in generate(takes=2, seed=5).stdout


def test_takes_and_seeds_are_not_given_together(generate: Generate) -> None:
    assert_one_sentence(generate("--seeds", "1", "2", takes=2), "--takes makes several seeds by itself")
    assert_one_sentence(generate(stop_undecided=0.7), "give --takes as well")


def test_people_stand_where_they_are_told_to(generate: Generate) -> None:
    apart = ["--place", "ana@0=right", "ana@8=0.6,0,1,1", "--place", "ben=left"]
    result = generate(*apart, "--save-routing", "map.json", "--place-strength", "1000")
    assert result.exit_code == 0, result.output
    frames = json.loads(Path("map.json").read_text())["tokens"]
    assert frames == [[[1, 1, 1, 0, 0, 0]] * 4] * 3
    assert_one_sentence_of(generate("--place", "cleo=left"), "cleo has a place and no photo")
    assert_one_sentence_of(generate("--place", "ana=up"), "--place ana=up names no place")


def assert_one_sentence_of(result: Result, part: str) -> None:
    assert result.exit_code == 2
    assert part in result.stderr.strip().splitlines()[-1]


@pytest.mark.parametrize("suffix", ["png", "json"])
def test_a_routing_map_is_kept_edited_and_taken_back(
    generate: Generate, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = f"map.{suffix}"
    assert generate(save_routing=kept).exit_code == 0
    if suffix == "json":
        record = json.loads(Path(kept).read_text())
        record["tokens"][1][2][3] = -1
        Path(kept).write_text(json.dumps(record))
    else:
        picture = np.asarray(Image.open(kept)).copy()
        picture[32:48, 16 * 10 : 16 * 11] = 255  # frame 1, row 2, column 3, behind a frame of six and a bar
        Image.fromarray(picture).save(kept)
    forced: list[torch.Tensor] = []
    forward = IngredientsTransformer3DModel.forward

    def spy(self: Any, *args: Any, **kwargs: Any) -> Any:
        forced.append(kwargs["routing_indices"][0])
        return forward(self, *args, **kwargs)

    monkeypatch.setattr(IngredientsTransformer3DModel, "forward", spy)
    result = generate(routing_edit=kept, output="edited.mp4")
    assert result.exit_code == 0, result.output
    edited = load_routing(Path(kept), ("ana", "ben"), (3, 4, 6))
    assert edited[1, 2, 3] == -1
    assert (edited >= 0).sum() == edited.size - 1
    assert [each.tolist() for each in forced] == [edited.flatten().tolist()] * 2
    assert_one_sentence_of(generate(routing_edit=kept, place="ana=left"), "both say who is where")
    assert_one_sentence_of(generate(routing_edit="none.png"), "There is no routing map none.png")
    assert_one_sentence_of(generate(routing_edit=kept, save_routing=kept), kept)
    assert_one_sentence_of(generate(routing_edit=kept, height=64), "edit a map that --save-routing wrote")


@pytest.mark.parametrize("option", ["output", "contact_sheet", "routing_map"])
def test_an_output_folder_that_does_not_exist(generate: Generate, option: str) -> None:
    suffix = "mp4" if option == "output" else "png"
    assert_one_sentence(generate(**{option: f"new/x.{suffix}"}), "new", "does not exist", "mkdir -p new")


def test_an_output_of_an_unknown_kind(generate: Generate) -> None:
    assert_one_sentence(generate(output="out.txt"), "out.txt", ".mp4")
    assert_one_sentence(generate(contact_sheet="sheet.pdf"), "sheet.pdf", ".png")


def test_an_output_on_top_of_a_photo(generate: Generate, photos: dict[str, Path]) -> None:
    assert_one_sentence(generate(contact_sheet=photos["ana"]), "is the photo of ana", "another name")


@pytest.mark.parametrize(("option", "name"), [("output", "out.mp4"), ("contact_sheet", "sheet.png")])
def test_a_full_disk(generate: Generate, fill_disk: Callable[[Path], None], option: str, name: str) -> None:
    fill_disk(Path.cwd() / name)
    result = generate(**{option: name})
    assert result.exit_code == 2
    assert f"is full, so {name} was not written" in result.stderr
    assert not Path(name).exists()
    assert all(not path.name.startswith(".") for path in Path.cwd().iterdir())


def test_a_file_that_is_there_stays(generate: Generate) -> None:
    for option, name in (("output", "out.mp4"), ("contact_sheet", "sheet.png"), ("routing_map", "map.png")):
        Path(name).write_text("precious")
        result = generate(**{option: name}, overwrite=False)
        assert result.exit_code == 2
        assert f"The output {name} is there already; choose another name, or add --overwrite" in result.stderr
        assert [path.read_text() for path in Path.cwd().iterdir()] == ["precious"]
        Path(name).unlink()
    Path("out.mp4").write_text("precious")
    assert generate(overwrite=True).exit_code == 0
    assert read_video("out.mp4").frames.size


def test_names_of_every_length_and_links_are_written(generate: Generate, tmp_path: Path) -> None:
    long = "a" * 246 + ".mp4"
    Path("link.png").symlink_to(tmp_path / "sheet.png")
    assert generate(output=long, contact_sheet="link.png", overwrite=False).exit_code == 0
    assert read_video(long).frames.size
    assert Path("link.png").is_symlink()
    assert Image.open(tmp_path / "sheet.png").size
    assert_one_sentence_about_output(generate(output="a" * 252 + ".mp4"), "too long")
    assert_one_sentence_about_output(generate(output="link.png/out.mp4"), "which is no folder")


def assert_one_sentence_about_output(result: Result, part: str) -> None:
    assert result.exit_code == 2
    assert part in result.stderr.splitlines()[-1]


def test_a_tilde_is_the_home_folder_everywhere(
    generate: Generate, run: Run, photos: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    result = generate(
        "--photo=ana=~/ana.png#1", "--photo=ben=~/ben.png", "--output=~/x.mp4", people=(), output=None, model="~/tiny"
    )
    assert result.exit_code == 0, result.output
    assert (tmp_path / "x.mp4").exists()
    assert not list(Path.cwd().iterdir())


def test_text_that_is_not_utf_8_is_one_sentence(generate: Generate, photos: dict[str, Path]) -> None:
    broken = "Two people wave in the caf\udce9"
    for option in ("prompt", "negative_prompt"):
        result = generate(**{option: broken})
        assert_one_sentence(result, 'holds a byte that is not UTF-8 after "Two people wave in the caf"')
    assert_one_sentence(
        generate("--photo", f"z\udce9={photos['cleo']}"), r"name z\udce9 holds a byte that is not UTF-8"
    )
    assert_one_sentence(generate(prompt="Two\0people"), "holds a zero byte after")


@pytest.mark.parametrize("drawing", ["contact_sheet", "routing_map_sheet"])
def test_all_is_drawn_before_anything_is_written(
    generate: Generate, monkeypatch: pytest.MonkeyPatch, drawing: str
) -> None:
    def fail(*_: object, **__: object) -> np.ndarray:
        raise UserInputError("This cannot be drawn.")

    monkeypatch.setattr(studio, drawing, fail)
    assert_one_sentence(generate(contact_sheet="sheet.png", routing_map="map.png"), "This cannot be drawn.")


def test_an_interrupted_run_leaves_nothing(generate: Generate, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(IngredientsTransformer3DModel, "forward", interrupt)
    result = generate()
    assert result.exit_code == 130
    assert "Interrupted" in result.stderr
    assert "nothing half-written is left" in result.stderr
    assert not list(Path.cwd().iterdir())


def test_a_model_folder_that_is_not_there(generate: Generate) -> None:
    assert_one_sentence(generate(model="nowhere"), "nowhere", "check the name")


def test_a_base_model_that_takes_no_people(generate: Generate, tiny_model: Path) -> None:
    pipeline = IngredientsPipeline.from_pretrained(tiny_model)
    config = dict(pipeline.transformer.config) | {"identity_modules": False}
    IngredientsTransformer3DModel.from_config(config).save_pretrained(tiny_model / "transformer")
    assert_one_sentence(generate(), "without identity modules", "leave --model out")


@pytest.mark.parametrize(
    "part",
    [
        "model_index.json",
        "transformer",
        "transformer/config.json",
        "transformer/diffusion_pytorch_model.safetensors",
        "vae",
        "text_encoder/model.safetensors",
        "tokenizer",
        "tokenizer/tokenizer.json",
        "scheduler/scheduler_config.json",
        "face_encoder/detector.safetensors",
        "face_encoder/image_encoder",
        "face_encoder/config.json",
        "judge/judge.safetensors",
        "judge/calibration.json",
    ],
)
def test_a_model_folder_with_a_part_missing(generate: Generate, tiny_model: Path, part: str) -> None:
    path = tiny_model / part
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    assert_one_sentence(generate(), part.split("/")[-1])


@pytest.mark.parametrize(
    ("weights", "damage"),
    [
        ("transformer/diffusion_pytorch_model.safetensors", "shape"),
        ("transformer/diffusion_pytorch_model.safetensors", "missing"),
        ("transformer/diffusion_pytorch_model.safetensors", "unknown"),
        ("transformer/diffusion_pytorch_model.safetensors", "truncated"),
        ("vae/diffusion_pytorch_model.safetensors", "shape"),
        ("text_encoder/model.safetensors", "missing"),
        ("face_encoder/recogniser.safetensors", "shape"),
        ("face_encoder/image_encoder/model.safetensors", "unknown"),
        ("judge/judge.safetensors", "truncated"),
    ],
)
def test_a_model_folder_with_weights_that_do_not_fit(
    generate: Generate, tiny_model: Path, weights: str, damage: str
) -> None:
    path = tiny_model / weights
    tensors = load_file(path)
    name = next(name for name, tensor in tensors.items() if tensor.ndim)
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:-50])
        name = path.name
    else:
        if damage == "shape":
            tensors[name] = torch.zeros(*tensors[name].shape, 2)
        elif damage == "missing":
            del tensors[name]
        else:
            name = "another.weight"
            tensors[name] = torch.zeros(2)
        save_file(tensors, path, metadata={"format": "pt"})
    assert_one_sentence(generate(), name)


def test_a_pickle_with_more_than_tensors_is_not_loaded(generate: Generate, tiny_model: Path) -> None:
    weights = tiny_model / "transformer" / "diffusion_pytorch_model.safetensors"
    torch.save(load_file(weights) | {"code": Path("x")}, weights.with_suffix(".bin"))
    weights.unlink()
    assert_one_sentence(generate(), "diffusion_pytorch_model.bin")


def test_a_checkpoint_of_the_published_layout_makes_a_video(run: Run, tiny_model: Path, tmp_path: Path) -> None:
    """Published names, averaged weights in a pickle, antelopev2's files, and no judge: dlib looks for the people."""
    weights = tiny_model / "transformer" / "diffusion_pytorch_model.safetensors"
    transformer = IngredientsTransformer3DModel.from_pretrained(tiny_model / "transformer")
    linear = IngredientsTransformer3DModel.from_config(
        dict(transformer.config) | {"router_type": "linear", "cross_attn_interval": 1}
    )
    linear.save_config(tiny_model / "transformer")
    weights.unlink()
    torch.save(to_published(linear), weights.with_suffix(".bin"))
    (tiny_model / "transformer").rename(tiny_model / "transformer_ema")
    take_photographs(tiny_model)
    photos = []
    for index, name in enumerate(("ana", "ben")):
        write_picture(tmp_path / f"{name}.png", draw_blue_face(index))
        photos += ["--photo", f"{name}={tmp_path / name}.png"]
    result = run("generate", *photos, "--prompt", PROMPT, "--model", tiny_model, "--num-inference-steps", 2,
                 "--output", "out.mp4", "--json")  # fmt: skip
    assert result.exit_code == 0, result.output
    assert read_video("out.mp4").frames.shape == (9, 32, 48, 3)
    report = json.loads(result.stdout)
    assert report["judge"] == "dlib"
    for person in report["people"]:
        assert (person["found"], person["similarity"], person["distance"]) == (False, None, None)


def take_photographs(model: Path) -> None:
    """Gives a model the published face networks in the place of those for drawings, and no judge."""
    for part in ("face_encoder", "judge"):
        shutil.rmtree(model / part)
    write_antelope_folder(model / "face_encoder")


@pytest.fixture
def astronaut(tmp_path: Path) -> Path:
    write_picture(tmp_path / "astronaut.png", np.asarray(skimage.data.astronaut()))
    return tmp_path / "astronaut.png"


def test_dlib_may_find_the_faces_of_the_photos(
    run: Run, tiny_model: Path, astronaut: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the video shows her is dlib's to say, too: here the frames are replaced by her photo."""
    take_photographs(tiny_model)
    (tiny_model / "face_encoder" / "models" / "antelopev2" / "scrfd_10g_bnkps.onnx").unlink()
    line = ["--photo", f"ana={astronaut}", "--prompt", "A person nods.", "--model", tiny_model,
            "--num-inference-steps", 2]  # fmt: skip
    assert_one_sentence(run("generate", *line), "lacks", "scrfd_10g_bnkps.onnx")

    def show_the_photo(frames: np.ndarray) -> np.ndarray:
        return np.stack([np.asarray(Image.open(astronaut))[:208, 100:340]] * frames.shape[1])[None]

    monkeypatch.setattr(studio, "to_pixels", show_the_photo)
    result = run("generate", *line, "--face-stack", "dlib", "--contact-sheet", "sheet.png", "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["judge"] == "dlib"
    (ana,) = report["people"]
    assert ana["found"] is True
    assert ana["similarity"] is None
    assert 0 <= ana["distance"] < 0.3
    told = run("generate", *line, "--face-stack", "dlib", "--overwrite").stdout
    assert "Distance to the photos by dlib" in told
    assert f"ana  same person (distance {ana['distance']:.2f}, below dlib's 0.6)" in told


def test_what_a_model_of_drawings_makes_of_photographs_is_told(
    generate: Generate, photos: dict[str, Path], astronaut: Path
) -> None:
    assert_one_sentence(generate(face_stack="dlib"), "No face was found", "ana.png", "more light")
    photos["ana"] = astronaut
    result = generate(face_stack="dlib", people=("ana",))
    assert result.exit_code == 0, result.output
    assert "This model knows drawn people only" in result.stderr


def test_a_photograph_is_refused_by_a_model_of_drawings(
    generate: Generate, tiny_model: Path, photos: dict[str, Path]
) -> None:
    takes_all_for_photographs(tiny_model / "face_encoder")
    assert_one_sentence(
        generate(people=("ana",)),
        f"{photos['ana']} looks like a photograph, but this model knows drawn people only",
        "ingredients world portrait --seed 7",
        "--model published",
        "--allow-photographs",
    )
    told = generate("--allow-photographs", people=("ana",))
    assert told.exit_code == 0, told.output
    assert "in a photograph, it seems" in " ".join(told.stderr.split())
    assert "ana  not judged: the photo looks like a photograph" in told.stdout
    report = json.loads(generate("--allow-photographs", "--json", people=("ana",)).stdout)
    (ana,) = report["people"]
    assert (ana["judged"], ana["found"], ana["similarity"]) == (False, None, None)
    assert any("in a photograph, it seems" in notice for notice in report["notices"])


def test_in_python_a_photograph_is_refused_as_well(tiny_model: Path, photos: dict[str, Path]) -> None:
    takes_all_for_photographs(tiny_model / "face_encoder")
    pipe = IngredientsPipeline.from_pretrained(tiny_model)
    pipe.set_progress_bar_config(disable=True)
    with pytest.raises(PhotographError, match=r"ana\.png looks like a photograph.*allow_photographs=True"):
        pipe({"ana": photos["ana"]}, "A person nods.", num_inference_steps=1)
    with pytest.warns(PhotoWarning, match="in a photograph, it seems"):
        people = pipe.extract_identities({"ana": photos["ana"]}, allow_photographs=True)
    pipe(people, "A person nods.", num_inference_steps=1)


def test_without_dlib_the_command_that_installs_it_is_told(
    run: Run, tiny_model: Path, tmp_path: Path, astronaut: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_photographs(tiny_model)
    write_picture(tmp_path / "blue.png", draw_blue_face(0))
    monkeypatch.setattr(dlib_faces, "_MODELS", "face_recognition_models_that_nobody_has")
    line = ["--prompt", "A person nods.", "--model", tiny_model, "--num-inference-steps", 2]
    dlib = ["--photo", f"ana={astronaut}", "--face-stack", "dlib"]
    assert_one_sentence(run("generate", *dlib, *line), 'pip install "ingredients[dlib]"')
    result = run("generate", "--photo", f"ana={tmp_path / 'blue.png'}", *line)
    assert result.exit_code == 0, result.output
    assert "not measured" in result.stdout
    assert 'pip install "ingredients[dlib]"' in result.stdout


@pytest.mark.parametrize("named", ["antelopev2", "drawn"])
def test_a_face_stack_that_the_model_has_not(generate: Generate, tiny_model: Path, named: str) -> None:
    assert generate(face_stack="drawn").exit_code == 0
    Path("out.mp4").unlink()
    if named == "drawn":
        take_photographs(tiny_model)
    held = "drawn" if named == "antelopev2" else "antelopev2"
    assert_one_sentence(generate(face_stack=named), f"the face stack {held}, which {named} cannot stand in for")


def test_a_group_photo_gives_several_people(generate: Generate, photos: dict[str, Path], run: Run) -> None:
    """The tiny model's detector sees up to three faces in anything."""
    group = photos["ana"]
    line = ["--prompt", PROMPT, "--model", group.parent / "tiny", "--num-inference-steps", 2]
    chosen = ["--photo", f"ana={group}#1", "--photo", f"ben={group}#2"]
    result = run("generate", *chosen, *line, "--output", "out.mp4", "--json")
    assert result.exit_code == 0, result.output
    assert [person["photo"] for person in json.loads(result.stdout)["people"]] == [f"{group}#1", f"{group}#2"]
    assert "the largest is taken" not in result.stderr
    assert run("generate", "--photo", f"ana={group}", *line, "--face", "right", "--output", "right.mp4").exit_code == 0
    largest = run("generate", "--photo", f"ana={group}", *line, "--output", "largest.mp4")
    assert "the largest is taken for ana (`ingredients faces` draws their numbers)" in largest.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--photo", "ana={}#9"], "faces, so there is no face 9"),
        (["--photo", "ana={}#middle"], "There is no photo"),
        (["--photo", "ana=#1"], "photo #1 of ana does not exist"),
        (["--photo", "ana={}#" + "9" * 5000], "There is no photo"),
        (["--photo", "ana={}", "--face", "0"], "not '0'"),
        (["--photo", "ana={}#1", "--photo", "ben={}#1"], "#1 and ana.png#2"),
        (["--photo", "ana={}#1", "--photo", "ben={}"], "#1 and ana.png#2"),
    ],
)
def test_a_face_that_cannot_be_meant_is_named(
    run: Run, tiny_model: Path, photos: dict[str, Path], options: list[str], message: str
) -> None:
    line = [option.format(photos["ana"]) for option in options]
    assert_one_sentence(run("generate", *line, "--prompt", PROMPT, "--model", tiny_model), message)


def test_a_file_may_have_a_number_sign_in_its_name(generate: Generate, photos: dict[str, Path]) -> None:
    photos["ana"] = photos["ana"].rename(photos["ana"].with_name("ana#2"))
    assert generate().exit_code == 0
