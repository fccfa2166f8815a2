"""What needs no model waits neither for PyTorch nor for a server's libraries: light commands, and early mistakes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ingredients.training.small_world import PART_NAMES
from ingredients.training.small_world.parts import PARTS
from ingredients.training.small_world.settings import PART_SETTINGS

HEAVY = ("torch", "diffusers", "transformers", "accelerate", "peft", "scipy.stats", "fastapi", "uvicorn")

_SCRIPT = """
import json, sys
from typer.testing import CliRunner
from ingredients.apps.cli import app
for line in json.loads(sys.argv[1]):
    result = CliRunner().invoke(app, line)
    print(json.dumps([result.exit_code, sorted(set(json.loads(sys.argv[2])) & set(sys.modules)), result.output]))
"""

LIGHT = (
    *(
        [*command.split(), "--help"]
        for command in (
            "", "generate", "serve", "keys add", "keys list", "keys remove",
            "faces", "info", "models", "download", "evaluate", "compare", "reproduce", "doctor",
            "benchmark write", "benchmark make", "benchmark check", "benchmark run", "data check", "data show",
            "curate", "curate show", "curate replay", "data pack", "data encode", "train align",
            "train route", "train export", "world portrait", "world scene",
            "world clips", "world words", "world train", "world calibrate",
        )
    ),
    ["--version"],
    ["models"],
    ["models", "--json"],
    ["world", "words"],
    ["keys", "add", "ana"],
    ["keys", "list"],
    ["world", "portrait", "--size", "32"],
    ["world", "scene", "--num-frames", "1", "--height", "32", "--width", "32"],
    ["reproduce", "all", "--dry-run"],
    ["reproduce", "table3", "--dry-run", "num_cases=3"],
)  # fmt: skip
"""Commands that do all of their work without PyTorch; the files are those that the ones before have made."""

MISTAKEN = (
    ["generate", "--photo", "ana=nowhere.png", "--prompt", "A person waves"],
    ["generate", "--photo", "nowhere.png", "--prompt", "A person waves"],
    ["generate", "--photo", "broken.png", "--prompt", "A person waves"],
    ["generate", "--photo", "portrait-0.png", "--prompt", " "],
    ["generate", "--photo", "portrait-0.png", "--prompt", "A person waves", "--output", "nowhere/out.mp4"],
    ["generate", "--photo", "portrait-0.png", "--prompt", "A person waves", "--output", "scene-0.mp4"],
    ["generate", "--photo", "portrait-0.png", "--prompt", "A person waves", "--output", "out.doc"],
    ["generate", "--photo", "portrait-0.png", "--prompt", "A person waves", "--contact-sheet", "nowhere/a.png"],
    ["generate", "--photo", "portrait-0.png", "--prompt", "A person waves", "--height", "160000", "--width", "160000"],
    ["generate", "--photo", "portrait-0.png", "--prompt", "A person waves", "--num-frames", "80000001"],
    ["generate", "--photo", "portrait-0.png", "--prompt", "A person waves", "--model", "nowhere"],
    ["generate", "--photo", "portrait-0.png", "--prompt", "A person waves", "--identity", "nowhere"],
    ["generate", "--photo", "portrait-0.png", "--prompt", "A person waves", "--step-cache", "nothing"],
    ["generate", "--photo", "portrait-0.png", "--prompt", "A person waves", "--attention-backend", "nothing"],
    ["generate", "--photo", "portrait-0.png", "--prompt", "A person waves", "--guidance-scale", "nan"],
    ["generate", "--photo", "portrait-0.png", "--prompt", "A person waves", "--num-inference-steps", "0"],
    ["generate", "--photo", "portrait-0.png", "--prompt", "A person waves", "--seeds", "1", "1"],
    ["generate", "--photo", "portrait-0.png#0", "--prompt", "A person waves"],
    ["generate", "--photo", "portrait-0.png", "--prompt", "A person waves", "--routing-edit", "broken.png"],
    ["generate", "--photo", "portrait-0.png", "--prompt", "A person waves", "--model", "folder"],
    ["generate", "--photo", "portrait-0.png", "--prompt", "A person waves", "--height", "33"],
    ["generate", "--photo", "portrait-0.png", "--prompt", "A person waves", "--num-frames", "7"],
    ["serve", "--model", "nowhere"],
    ["serve", "--model", "folder"],
    ["serve", "--host", "0.0.0.0"],
    ["serve", "--keys", "nowhere.json"],
    ["serve", "--store", "scene-0.mp4"],
    ["serve", "--step-cache", "nothing"],
    ["serve", "--guidance-scale", "nan"],
    ["serve", "--identity", "nowhere"],
    ["keys", "add", " "],
    ["keys", "list", "--keys", "nowhere.json"],
    ["keys", "remove", "ben"],
    ["faces", "nowhere.png"],
    ["faces", "portrait-0.png", "--output", "nowhere/faces.png"],
    ["faces", "portrait-0.png", "--model", "nowhere"],
    ["info", "nowhere.mp4"],
    ["info", "scene-0.mp4"],
    ["download", "nowhere"],
    ["evaluate", "--model", "nowhere"],
    ["evaluate", "--judge", "nobody"],
    ["evaluate", "--judge", "arcface:nowhere.onnx"],
    ["evaluate", "--clip", "nowhere"],
    ["evaluate", "--modules", "--people", "3"],
    ["evaluate", "--videos", "nowhere"],
    ["evaluate", "--model", "folder"],
    ["compare", "nowhere", "elsewhere"],
    ["compare", "folder", "folder"],
    ["benchmark", "check", "nowhere"],
    ["benchmark", "make", "nowhere"],
    ["benchmark", "run", "nowhere", "--output", "videos"],
    ["data", "check", "nowhere"],
    ["data", "show", "nowhere"],
    ["data", "pack", "nowhere", "--output", "shards"],
    ["data", "encode", "nowhere", "--output", "encoded"],
    ["data", "encode", "nowhere", "--output", "encoded", "--bucket", "9x9"],
    ["train", "align", "--config", "nowhere.yaml"],
    ["train", "align", "--data", "nowhere"],
    ["train", "align", "--data", "nowhere", "--dry-run"],
    ["train", "align", "--data", "folder"],
    ["train", "route", "data.validation=[folder]"],
    ["train", "align", "--output", "scene-0.mp4"],
    ["train", "route", "learning_rate"],
    ["train", "align", "nonsense=1"],
    ["train", "align", "trainer.learning_rate=nan"],
    ["train", "route", "stage.routing_loss=l1", "--dry-run"],
    ["train", "align", "--config", "wrong.yaml"],
    ["train", "export", "nowhere", "--output", "model"],
    ["train", "export", "folder", "--output", "model"],
    ["world", "train", "nothing"],
    ["world", "train", "detector", "--output", "broken.png"],
    ["world", "train", "all", "--minutes", "1", "--output", "broken.png"],
    ["world", "train", "detector", "--config", "nowhere.yaml"],
    *(["world", "train", part, "nonsense=1"] for part in PART_NAMES),
    ["world", "train", "vae", "width=abc"],
    ["world", "train", "vae", "height=65"],
    ["world", "train", "align", "--config", "wrong.yaml"],
    ["world", "scene", "--action", "nothing"],
    ["world", "clips", "--output", "broken.png"],
    ["world", "film", "--output", "broken.png"],
    ["benchmark", "write", "broken.png"],
    ["world", "calibrate", "nowhere"],
    ["doctor", "--model", "nowhere"],
    ["reproduce", "all", "--dry-run", "nothing=1"],
)
"""Mistakes that are told without PyTorch."""


def test_light_commands_and_mistakes_do_not_wait_for_torch(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"Dear Ana")
    (tmp_path / "folder").mkdir()
    (tmp_path / "wrong.yaml").write_text("stage: {batch: 3}")
    lines = [*LIGHT, *MISTAKEN]
    finished = subprocess.run(
        [sys.executable, "-c", _SCRIPT, json.dumps(lines), json.dumps(HEAVY)],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    for line, told in zip(lines, finished.stdout.splitlines(), strict=True):
        code, heavy, output = json.loads(told)
        assert not heavy, f"{line} imports {heavy}"
        assert code == (2 if line in MISTAKEN else 0), (line, output)
        assert "Traceback" not in output
        assert line not in MISTAKEN or "0:00:00" not in output, f"{line} begins its work"


def run_script(script: str) -> subprocess.CompletedProcess[str]:
    """What a script says, in a process of its own; it must not fail."""
    finished = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    return finished


def test_the_package_is_light_and_offers_what_documents_use() -> None:
    script = (
        "import sys, ingredients\n"
        f"assert not set({HEAVY!r}) & set(sys.modules)\n"
        "assert ingredients.__version__ == '0.1.0'\n"
        "try: ingredients.nothing\n"
        "except AttributeError as error: assert 'nothing' in str(error)\n"
        "else: raise AssertionError\n"
        "from ingredients import *\n"
        "assert ingredients.load_pipeline is load_pipeline\n"
        "assert all(getattr(ingredients, name).__module__.startswith('ingredients.')\n"
        "           for name in ingredients.__all__ if name != '__version__')\n"
        "assert IngredientsPipeline.__name__ == 'IngredientsPipeline'\n"
    )
    run_script(script)


def test_the_names_of_the_parts_are_those_of_the_parts() -> None:
    assert tuple(PARTS) == tuple(PART_SETTINGS) == PART_NAMES


def test_a_plain_script_hears_nothing_of_torchao_unless_it_imports_it_itself() -> None:
    """Both ways by which other libraries import it; without torchao nothing can be heard, and nothing is proved."""
    pytest.importorskip("torchao")
    script = (
        "import logging, sys, ingredients\n"
        "logging.getLogger('torchao').setLevel(logging.INFO)\n"
        "import accelerate, transformers.quantizers\n"
        "from ingredients.pipelines.loading import load_pipeline\n"
        "assert 'torchao' in sys.modules\n"
        "assert logging.getLogger('torchao').level == logging.INFO\n"
        "assert logging.getLogger('torch.utils._pytree').level == logging.NOTSET\n"
        "sys.stderr.write('----')\n"
        "logging.getLogger('torchao').warning('asked for')\n"
    )
    finished = run_script(script)
    assert finished.stderr == "----asked for\n"
    assert finished.stdout == ""


@pytest.mark.parametrize("when", ["before", "after"])
def test_libraries_say_nothing_whenever_they_are_imported(when: str) -> None:
    """Nothing but our own words: also what torchao says where it is installed, and bars as weights are loaded."""
    libraries = "import diffusers.models, transformers, torch, warnings"
    script = (
        "import sys\n"
        f"{libraries if when == 'before' else ''}\n"
        "sys.stderr.write('----')\n"
        "from ingredients.apps.quiet_libraries import only_our_words\n"
        "from ingredients.pipelines.video_shape import ShapeWarning\n"
        "told = []\n"
        "with only_our_words(told.append):\n"
        f"    {libraries}\n"
        "    from diffusers import AutoencoderKLCogVideoX\n"
        "    diffusers.utils.logging.get_logger('diffusers.models').warning('of diffusers')\n"
        "    transformers.utils.logging.get_logger('transformers.models').warning('of transformers')\n"
        "    assert not transformers.utils.logging.is_progress_bar_enabled()\n"
        "    list(diffusers.utils.logging.tqdm([1, 2]))\n"
        "    warnings.warn('of Python', FutureWarning)\n"
        "    warnings.warn('ours', ShapeWarning)\n"
        "assert told == ['ours'], told\n"
    )
    finished = run_script(script)
    assert finished.stderr.partition("----")[2] == ""
    assert finished.stdout == ""
