"""The model that ships, as a newcomer meets it."""

import json
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image

from ingredients.media.pictures import write_picture
from ingredients.media.video import read_video
from ingredients.model_folders.find_model import default_model_path
from ingredients.training.small_world.settings import PART_SETTINGS
from tests.apps.conftest import Run

EXAMPLES = Path(__file__).parents[2] / "examples"
MAX_WEIGHTS_BYTES = 28 * 10**6
"""What the design allows."""
BRIEFLY = ("--identity-guidance-scale", 1, "--perturbed-attention-scale", 0)
"""Half as many passes a step, where it does not matter how good a video is."""


def test_two_photos_and_a_sentence_become_a_video(run: Run) -> None:
    people = [option for name in ("ana", "ben") for option in ("--photo", f"{name}={EXAMPLES / name}.png")]
    result = run("generate", *people, "--prompt", "Two people wave on a beach.", "--seed", 3, "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert [person["name"] for person in report["people"]] == ["ana", "ben"]
    assert [person["found"] for person in report["people"]] == [True, True]
    assert report["notices"] == []
    video = read_video("out.mp4")
    assert video.frames.shape == (report["frames"], report["height"], report["width"], 3)
    assert video.fps == 8


def test_likeness_guidance_brings_the_people_closer(run: Run) -> None:
    people = [option for name in ("ana", "ben") for option in ("--photo", f"{name}={EXAMPLES / name}.png")]
    similarities = {}
    for scale in (0, 1):
        result = run("generate", *people, "--prompt", "Two people wave on a beach.", "--seed", 3, "--json", *BRIEFLY,
                     "--num-inference-steps", 16, "--num-frames", 9,
                     "--likeness-guidance-scale", scale, "--output", f"{scale}.mp4")  # fmt: skip
        similarities[scale] = [person["similarity"] for person in json.loads(result.stdout)["people"]]
    assert min(similarities[1]) > max(similarities[0])


def test_the_faces_of_the_examples_are_found(run: Run) -> None:
    result = run("faces", *(EXAMPLES / f"{name}.png" for name in ("ana", "ben", "cleo")))
    assert result.exit_code == 0, result.output
    assert "no face found" not in result.stdout


@pytest.mark.parametrize("seed", [0, 1, 7])
def test_a_portrait_to_play_with_has_a_face(run: Run, seed: int) -> None:
    """The error about a photo without a face names this command, so what it draws must be found."""
    assert run("world", "portrait", "--seed", seed).exit_code == 0
    result = run("faces", f"portrait-{seed}.png")
    assert "no face found" not in result.stdout


def test_a_photograph_is_refused_and_drawn_without_a_similarity_if_allowed(run: Run) -> None:
    write_picture(Path("astronaut.png"), np.asarray(skimage.data.astronaut()))
    line = ("generate", "--photo", "sally=astronaut.png", "--prompt", "A person waves on a beach")
    refused = run(*line)
    assert refused.exit_code == 2
    message = " ".join(refused.stderr.split())
    assert "astronaut.png looks like a photograph, but this model knows drawn people only: name a model" in message
    for remedy in ("--model published", "ingredients world portrait --seed 7", "--allow-photographs"):
        assert remedy in message
    assert not Path("out.mp4").exists()
    drawn = run(*line, "--allow-photographs", "--num-inference-steps", 1, "--json")
    assert drawn.exit_code == 0, drawn.output
    report = json.loads(drawn.stdout)
    (sally,) = report["people"]
    assert (sally["judged"], sally["similarity"]) == (False, None)
    assert any("in a photograph, it seems" in notice for notice in report["notices"])


def test_a_drawn_portrait_as_a_poor_jpeg_is_taken(run: Run) -> None:
    Image.open(EXAMPLES / "ana.png").convert("RGB").save("ana.jpg", quality=40)
    result = run("generate", "--photo", "ana.jpg", "--prompt", "A person waves on a beach",
                 "--num-inference-steps", 1, "--json")  # fmt: skip
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["people"][0]["judged"] is True
    assert not any("style" in notice or "photograph" in notice for notice in report["notices"])


def model_files() -> list[Path]:
    return [path for path in default_model_path().rglob("*") if path.is_file()]


def test_the_model_is_small() -> None:
    assert sum(path.stat().st_size for path in model_files()) <= MAX_WEIGHTS_BYTES


def test_the_model_holds_no_pickles() -> None:
    assert {path.suffix for path in model_files()} <= {
        ".safetensors",
        ".json",
        ".md",
        ".yaml",
    }


def test_saved_videos_give_the_same_people_when_they_are_judged_from_their_files(run: Run) -> None:
    options = ("--cases", 2, "--num-inference-steps", 8, "--likeness-guidance-scale", 0, *BRIEFLY, "--save-videos")
    made = run("evaluate", *options, "--output", "mine", "--json")
    assert made.exit_code == 0, made.output
    judged = run("evaluate", "--videos", "mine", "--json")
    assert judged.exit_code == 0, judged.output
    own, again = json.loads(made.stdout), json.loads(judged.stdout)
    for name in ("found_rate", "right_person_rate", "all_present_rate", "missing_rate", "swapped_rate", "extra_faces"):
        assert again[name]["value"] == own[name]["value"], name
    assert again["confusion_matrix"] == own["confusion_matrix"]
    for first, second in zip(own["cases"], again["cases"], strict=True):
        for person, other in zip(first["people"], second["people"], strict=True):
            assert other["similarity"] == pytest.approx(
                person["similarity"], abs=0.03
            )  # other landmarks in the photos
            assert other["right_person"] == person["right_person"]


@pytest.mark.parametrize(
    "path", sorted((default_model_path() / "training").glob("*.yaml")), ids=lambda path: path.stem
)
def test_the_settings_of_each_part_can_be_trained_with(path: Path) -> None:
    """As the card says; a setting that has gone would be refused."""
    PART_SETTINGS[path.stem].load(path)
