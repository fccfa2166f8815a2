import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from ingredients.media.photos import load_photo
from ingredients.media.video import read_video
from ingredients.model_folders.sampling_settings import (
    SamplingSettings,
    load_sampling_defaults,
    save_sampling_defaults,
)
from ingredients.training.loop.interruptions import TrainingInterruptedError
from ingredients.training.loop.trainer import Trainer
from ingredients.training.small_world.parts import PARTS
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


def test_films_are_drawn_with_their_truth(run: Run) -> None:
    size = ("--minutes", 0.05, "--fps", 4, "--height", 48, "--width", 64)
    result = run("world", "film", *size, "--seed", 1, "--output", "little")
    assert result.exit_code == 0, result.output
    assert result.stdout == "little\n"
    assert "5 films of " in result.stderr
    assert len(list(Path("little/films").iterdir())) == len(list(Path("little/truth").iterdir())) == 5
    again = run("world", "film", *size, "--seed", 2, "--output", "little")
    assert again.exit_code == 2
    assert "other settings" in again.stderr


def test_the_words_are_listed(run: Run) -> None:
    result = run("world", "words")
    assert result.exit_code == 0, result.output
    assert result.stdout.split() == vocabulary()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("scene", "--place", "moon"), "unknown place 'moon'"),
        (("scene", "--height", "65"), "must be even"),
        (("film", "--height", "50"), "multiples of 8"),
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


def test_a_part_that_needs_another_names_the_command_that_makes_it(run: Run) -> None:
    result = run("world", "train", "align")
    assert result.exit_code == 2, result.output
    assert "make it first with: ingredients world train base-t2v" in result.stderr


def test_settings_come_from_a_file_and_then_from_the_command(run: Run) -> None:
    Path("mine.yaml").write_text("base: i2v\nstage:\n  batch_size: 3\n")
    result = run("world", "train", "align", "--config", "mine.yaml", "stage.batch_size=5")
    assert "make it first with: ingredients world train base-i2v" in result.stderr
    saved = yaml.safe_load(Path("runs/small-world/align/config.yaml").read_text())
    assert saved["stage"]["batch_size"] == 5


def test_a_part_is_trained_for_a_model_and_with_the_settings_of_the_command(run: Run) -> None:
    result = run("world", "train", "align", "--model", "acting_world", "stage.batch_size=5")
    assert "make it first with: ingredients world train base-t2v" in result.stderr
    saved = yaml.safe_load(Path("runs/small-world/align/config.yaml").read_text())
    assert (saved["stage"]["batch_size"], saved["stage"]["image_share"]) == (5, 0.6)
    Path("mine.yaml").write_text("stage:\n  batch_size: 3\n")
    refused = run("world", "train", "align", "--model", "acting_world", "--config", "mine.yaml")
    assert refused.exit_code == 2
    assert "leave one out" in refused.stderr


def test_a_model_folder_is_unpacked(run: Run) -> None:
    result = run("world", "train", "unpack", "--output", "more")
    assert result.exit_code == 0, result.output
    assert result.stdout.strip().endswith("more")
    assert Path("more/route/transformer").is_dir()
    save_sampling_defaults(SamplingSettings(num_inference_steps=7), Path("more/unpack"))
    packed = run("world", "train", "pack", "sampling.guidance_scale=3", "--output", "more")
    assert packed.exit_code == 0, packed.output
    assert load_sampling_defaults(Path("more/packed")) == SamplingSettings(num_inference_steps=7, guidance_scale=3.0)


def test_every_part_is_in_the_help(run: Run) -> None:
    listed = set(re.findall(r"[a-z0-9-]+", run("world", "train", "--help").stdout))
    assert set(PARTS) <= listed


def test_a_part_is_trained_and_goes_on(run: Run) -> None:
    settings = ("trainer.num_steps=2", "batch_size=2", "num_validation_captions=4", "trainer.checkpoint_every=1")
    result = run("world", "train", "text-encoder", *settings, "--output", "runs")
    assert result.exit_code == 0, result.output
    assert result.stdout.strip().endswith("runs/text-encoder")
    assert Path("runs/text-encoder/text_encoder").is_dir()
    resumed = run("world", "train", "text-encoder", *settings, "--output", "runs", "--resume")
    assert resumed.exit_code == 0, resumed.output


def test_an_interrupted_training_says_how_to_go_on(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(trainer: Trainer, **_: object) -> None:
        raise TrainingInterruptedError(f"the checkpoint is kept in {trainer.folder}", can_go_on=True)

    monkeypatch.setattr(Trainer, "fit", interrupt)
    result = run("world", "train", "text-encoder", "--output", "runs")
    assert result.exit_code == 130
    assert "kept in runs/text-encoder" in result.stderr
    assert "--resume" in result.stderr
