"""Training where neither PyAV, httpx2, typer nor rich can be imported, as on many machines with a GPU."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ingredients.training.__main__ import main
from tests import missing_libraries
from tests.apps.tiny_model import save_tiny_model
from tests.training.tiny_runs import encode_clips

ROOT = Path(__file__).parents[2]
BARE = Path(__file__).with_name("bare_machine.py")
TINY_DETECTOR = (
    "detector.widths=[4,4,6,6,6]", "num_scenes=4", "num_portraits=3", "num_validation_scenes=2", "portrait_size=32",
    "scene_batch_size=2", "portrait_batch_size=2", "trainer.num_steps=2", "trainer.num_warmup_steps=0",
)  # fmt: skip


def run_bare(folder: Path, module: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(BARE), module, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(ROOT)))},
    )


def test_encoded_clips_are_trained_on(tmp_path: Path) -> None:
    save_tiny_model(tmp_path / "model")
    encode_clips(tmp_path / "model", tmp_path / "clips")
    finished = run_bare(
        tmp_path, "ingredients.training", "align", "--data", "clips", "--validation-data", "clips", "--output", "run",
        "model.folder=model", "trainer.num_steps=2", "trainer.trackers=[]", "trainer.precision=float32",
        "stage.batch_size=2", "stage.image_batch_size=2",
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["steps"] == 2
    assert (tmp_path / "run" / "transformer" / "config.json").is_file()


def test_a_part_of_the_small_model_is_trained(tmp_path: Path) -> None:
    finished = run_bare(tmp_path, "ingredients.training", "world", "detector", "--output", "parts", *TINY_DETECTOR)
    assert finished.returncode == 0, finished.stderr
    assert (tmp_path / "parts" / "detector" / "detector.safetensors").is_file()
    assert "rich" not in finished.stderr


def test_tests_for_a_gpu_are_collected() -> None:
    """Those that need a library which is missing are left out; of all others, a few will do here."""
    looked_at = {"apps", "fuzz", "media", "pipelines"}
    others = [path for path in (ROOT / "tests").iterdir() if path.is_dir() and path.name not in looked_at]
    others += [path for path in (ROOT / "tests" / "pipelines").glob("test_*.py") if "gpu" not in path.name]
    ignored = [f"--ignore={path}" for path in others]
    finished = run_bare(ROOT, "pytest", "-m", "gpu", "--collect-only", "-q", "-p", "no:cacheprovider", *ignored)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert "test_memory_on_gpu.py" in finished.stdout
    assert "error" not in finished.stdout.lower()


def test_what_a_test_needs_is_found_through_what_it_imports() -> None:
    needs = missing_libraries._needs
    assert {"typer", "skimage"} <= needs(ROOT / "tests" / "apps" / "test_generate_command.py")
    assert "typer" in needs(ROOT / "tests" / "apps" / "test_faces_command.py")  # by its conftest alone
    assert needs(ROOT / "tests" / "pipelines" / "execution" / "test_memory_on_gpu.py").isdisjoint(
        missing_libraries.LIBRARIES
    )


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("align", "--data", "nowhere"), "nowhere"),
        (("align", "trainer.num_steps"), "must have the form key=value"),
        (("world", "detector", "nothing=1"), "nothing"),
    ],
)
def test_mistakes_are_one_sentence(
    tmp_path: Path, arguments: tuple[str, ...], part: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--output", str(tmp_path / "run")]) == 2
    lines = capsys.readouterr().err.splitlines()
    (told,) = [line for line in lines if not line.startswith("TensorBoard is not installed")]  # where it is not
    assert told.startswith("Error: ")
    assert part in told
