import dataclasses
from pathlib import Path

import numpy as np
import pytest

from ingredients.core.errors import UserInputError
from ingredients.media.pictures import write_picture
from ingredients.media.provenance import Provenance, read_provenance
from ingredients.media.video import VIDEO_SUFFIXES, write_video

MADE = Provenance(model="small-world", seed=-3, people=("ána", "ben"), prompt='Two "people" wave — on a beach')


def write(path: Path, provenance: Provenance) -> Path:
    if path.suffix in VIDEO_SUFFIXES:
        write_video(path, np.zeros((1, 16, 24, 3), np.uint8), fps=8, metadata=provenance.to_tags())
    else:
        write_picture(path, np.zeros((16, 24, 3), np.uint8), description=provenance.to_json())
    return path


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv", "a.webm", "a.gif", "a.png", "a.jpg", "a.webp"])
def test_files_say_how_they_were_made(tmp_path: Path, name: str) -> None:
    assert read_provenance(write(tmp_path / name, MADE)) == MADE


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv", "a.webm", "a.gif", "a.png", "a.jpg", "a.webp"])
def test_a_long_prompt_comes_back_whole(tmp_path: Path, name: str) -> None:
    made = dataclasses.replace(MADE, prompt="Two people wave on a beach. " * 6000)  # longer than EXIF in a JPEG
    assert read_provenance(write(tmp_path / name, made)) == made
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(
    "comment",
    [
        "[" * 100_000,
        '["made_by"]',
        '{"made_by": "ingredients"}',
        MADE.to_json().replace('"seed": -3', '"seed": "many"'),
        MADE.to_json().replace('"seed": -3', '"seed": NaN'),
        MADE.to_json().replace('"people": [', '"people": [7, '),
    ],
)
def test_what_was_made_up_is_no_provenance(tmp_path: Path, comment: str) -> None:
    write_video(tmp_path / "a.mkv", np.zeros((1, 16, 24, 3), np.uint8), fps=8, metadata={"comment": comment})
    write_picture(tmp_path / "a.png", np.zeros((16, 24, 3), np.uint8), description=comment)
    for name in ("a.mkv", "a.png"):
        with pytest.raises(UserInputError, match="does not say that ingredients made it"):
            read_provenance(tmp_path / name)


@pytest.mark.parametrize("name", ["a.mp4", "a.png"])
def test_the_prompt_can_be_kept_out(tmp_path: Path, name: str) -> None:
    secret = Provenance(model="m", seed=0, people=())
    path = write(tmp_path / name, secret)
    assert read_provenance(path).prompt is None
    assert b"beach" not in path.read_bytes()


def test_what_says_nothing_is_named(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", np.zeros((1, 16, 24, 3), np.uint8), fps=8, metadata={"comment": "holiday"})
    write_picture(tmp_path / "a.png", np.zeros((16, 24, 3), np.uint8))
    (tmp_path / "b.png").write_bytes(b"no picture")
    (tmp_path / "a.txt").write_text("words")
    for name, message in (
        ("a.mp4", "does not say that ingredients made it"),
        ("a.png", "does not say that ingredients made it"),
        ("b.png", "cannot be read"),
        ("a.txt", "neither a video nor a picture"),
        ("gone.mp4", "does not exist"),
        ("gone.png", "does not exist"),
    ):
        with pytest.raises(UserInputError, match=message):
            read_provenance(tmp_path / name)
