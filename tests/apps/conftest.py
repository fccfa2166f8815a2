import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from ingredients.apps.cli import app
from ingredients.media.pictures import write_picture
from ingredients.world import render_portrait, sample_identity

Run = Callable[..., Result]


@pytest.fixture(scope="session")
def shared_tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.apps.tiny_model import save_tiny_model  # with PyTorch, which tests of the server do without

    folder = tmp_path_factory.mktemp("models") / "tiny"
    save_tiny_model(folder)
    return folder


@pytest.fixture
def tiny_model(shared_tiny_model: Path, tmp_path: Path) -> Path:
    """A model folder of its own for each test, free to be damaged."""
    folder = tmp_path / "tiny"
    shutil.copytree(shared_tiny_model, folder)
    return folder


@pytest.fixture
def photos(tmp_path: Path) -> dict[str, Path]:
    """Portraits of ana, ben and cleo."""
    files = {}
    for index, name in enumerate(("ana", "ben", "cleo")):
        files[name] = tmp_path / f"{name}.png"
        write_picture(files[name], render_portrait(sample_identity(index, "eval"), index, size=64).image)
    return files


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command line in an empty folder."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)

    def run_command(*arguments: object) -> Result:
        import torch

        with torch.random.fork_rng():
            return CliRunner().invoke(app, [str(argument) for argument in arguments])

    return run_command


@pytest.fixture
def change_face_config(tiny_model: Path) -> Callable[..., None]:
    """Changes settings of the tiny model's face parts; keys are paths such as ("detector", "score_threshold")."""

    def change(keys: Sequence[str], value: object) -> None:
        path = tiny_model / "face_encoder" / "config.json"
        config = json.loads(path.read_text())
        target = config
        for key in keys[:-1]:
            target = target[key]
        target[keys[-1]] = value
        path.write_text(json.dumps(config))

    return change
