import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors.torch import load_file, save_file

from ingredients.media.pictures import write_picture
from tests.apps.conftest import Run
from tests.apps.tiny_model import FINDS_NO_FACE, takes_all_for_photographs
from tests.faces.antelope_folder import write_antelope_folder


def test_faces_are_shown_as_a_picture_and_a_table(run: Run, tiny_model: Path, photos: dict[str, Path]) -> None:
    result = run("faces", photos["ana"], photos["ben"], "--model", tiny_model, "--output", "seen.png")
    assert result.exit_code == 0, result.output
    assert "doubts" in result.stdout
    assert "#1" in result.stdout
    assert result.stdout.strip().endswith("seen.png")
    assert np.asarray(Image.open("seen.png")).std() > 0


def test_a_photo_without_a_face_is_told(
    run: Run, tiny_model: Path, photos: dict[str, Path], change_face_config: Callable[..., None]
) -> None:
    change_face_config(("detector", "score_threshold"), FINDS_NO_FACE)
    result = run("faces", photos["ana"], "--model", tiny_model)
    assert result.exit_code == 0, result.output
    assert "no face found" in result.stdout
    assert "ingredients world portrait --seed 7" in result.stderr
    assert Path("faces.png").exists()


def test_a_photo_is_never_overwritten(run: Run, tiny_model: Path, photos: dict[str, Path]) -> None:
    before = photos["ana"].read_bytes()
    Path("link.png").symlink_to(photos["ana"])
    for output in (photos["ana"], "link.png"):
        result = run("faces", photos["ana"], "--model", tiny_model, "--output", output)
        assert result.exit_code == 2
        assert "which is read; choose another name" in result.stderr
    assert photos["ana"].read_bytes() == before


def test_photographs_are_refused_by_a_model_of_drawings(run: Run, tiny_model: Path, photos: dict[str, Path]) -> None:
    takes_all_for_photographs(tiny_model / "face_encoder")
    line = ("faces", photos["ana"], "--model", tiny_model)
    result = run(*line)
    assert result.exit_code == 2
    assert "looks like a photograph, but this model knows drawn people only" in " ".join(result.stderr.split())
    assert not Path("faces.png").exists()
    result = run(*line, "--allow-photographs")
    assert result.exit_code == 0, result.output
    assert "photograph" in result.stdout
    assert Path("faces.png").exists()


def test_a_missing_photo_is_named(run: Run, tiny_model: Path) -> None:
    result = run("faces", "nobody.png", "--model", tiny_model)
    assert result.exit_code == 2
    assert "nobody.png does not exist" in result.stderr
    assert not list(Path.cwd().iterdir())


def test_each_stack_has_a_remedy_of_its_own(run: Run, tiny_model: Path, tmp_path: Path) -> None:
    shutil.rmtree(tiny_model / "face_encoder")
    write_antelope_folder(tiny_model / "face_encoder")
    write_picture(tmp_path / "grey.png", np.full((128, 128, 3), 90, np.uint8))
    result = run("faces", tmp_path / "grey.png", "--model", tiny_model)
    assert result.exit_code == 0, result.output
    assert "Give a photo that shows the face larger" in result.stderr
    assert "portrait" not in result.stderr


def test_dlib_needs_no_model(run: Run, tiny_model: Path, photos: dict[str, Path]) -> None:
    result = run("faces", photos["ana"], "--face-stack", "dlib", "--model", tiny_model)
    assert result.exit_code == 2
    assert "leave out --model or --face-stack dlib" in result.stderr
    result = run("faces", photos["ana"], "--face-stack", "dlib")
    assert result.exit_code == 0, result.output
    assert "no face found" in result.stdout  # it is a drawing


def test_networks_that_give_no_numbers_are_named(run: Run, tiny_model: Path, photos: dict[str, Path]) -> None:
    path = tiny_model / "face_encoder/recogniser.safetensors"
    weights = load_file(path)
    name = next(each for each, tensor in weights.items() if tensor.is_floating_point())
    weights[name].view(-1)[0] = float("nan")
    save_file(weights, path)
    result = run("faces", photos["ana"], "--model", tiny_model)
    assert result.exit_code == 2
    assert f"recogniser.safetensors hold values that are not finite (NaN or infinite) in {name}" in result.stderr
    assert not Path("faces.png").exists()


def test_a_flat_picture_shows_no_face(run: Run, tiny_model: Path) -> None:
    write_picture("black.png", np.zeros((64, 64, 3), np.uint8))
    result = run("faces", "black.png", "--model", tiny_model)
    assert result.exit_code == 0, result.output
    assert "no face found" in result.stdout
