from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ingredients.media.photos import load_photo
from ingredients.media.video import read_video
from ingredients.world import render_portrait, sample_identity, vocabulary
from tests.apps.conftest import Run


def test_a_portrait_is_drawn(run: Run) -> None:
    result = run("world", "portrait", "--seed", 7, "--photo-seed", 2, "--size", 48)
    assert result.exit_code == 0, result.output
    assert result.stdout == "portrait-7.png\n"
    drawn = render_portrait(sample_identity(7, "eval"), 2, size=48).image
    np.testing.assert_array_equal(load_photo("portrait-7.png"), drawn)


def test_a_scene_is_drawn_with_its_masks(run: Run) -> None:
    arguments = ("world", "scene", "--seed", 3, "--people", 3, "--place", "beach", "--height", 64, "--width", 96)
    result = run(*arguments, "--num-frames", 6, "--output", "three.mp4")
    assert result.exit_code == 0, result.output
    assert result.stdout == "three.mp4\nthree-masks.png\n"
    assert "three" in result.stderr.lower()
    video = read_video("three.mp4")
    assert video.frames.shape == (6, 64, 96, 3)
    assert video.metadata["title"] in result.stderr
    assert np.asarray(Image.open("three-masks.png")).std() > 0


def test_the_words_are_listed(run: Run) -> None:
    result = run("world", "words")
    assert result.exit_code == 0, result.output
    assert result.stdout.split() == vocabulary()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("scene", "--place", "moon"), "unknown place 'moon'"),
        (("scene", "--height", "65"), "must be even"),
        (("portrait", "--output", "new/a.png"), "mkdir -p new"),
        (("portrait", "--output", "a.txt"), "a.txt must have a name that ends in .png"),
        (("train", "hands"), "no part 'hands' to train; choose one of detector"),
        (("train", "recogniser", "learning_rate"), "must have the form key=value"),
        (("train", "recogniser", "learning_speed=1"), "has no setting 'learning_speed'"),
    ],
)
def test_mistakes_are_one_sentence(run: Run, arguments: tuple[str, ...], complaint: str) -> None:
    result = run("world", *arguments)
    assert result.exit_code == 2, result.output
    assert complaint in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert not list(Path.cwd().iterdir())
