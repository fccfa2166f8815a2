import subprocess
import sys

import pytest

from tests.apps.conftest import Run

COMMANDS = [
    ("generate",),
    ("faces",),
    ("info",),
    ("evaluate",),
    ("world",),
    ("world", "portrait"),
    ("world", "scene"),
    ("world", "words"),
    ("world", "train"),
]


@pytest.mark.parametrize("command", [(), *COMMANDS])
def test_every_help_shows_examples(run: Run, command: tuple[str, ...]) -> None:
    result = run(*command, "--help")
    assert result.exit_code == 0, result.output
    assert "Examples:" in result.stdout
    assert " ".join(("ingredients", *command)) in result.stdout


def test_help_does_not_wait_for_torch() -> None:
    script = (
        "import sys; from ingredients.apps.cli import app; app(['--help'], standalone_mode=False); "
        "print(sorted({'torch', 'diffusers', 'transformers', 'numpy', 'av'} & set(sys.modules)))"
    )
    finished = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert finished.stdout.strip().splitlines()[-1] == "[]"


def test_the_command_line_is_a_program() -> None:
    finished = subprocess.run(
        [sys.executable, "-m", "ingredients", "generate", "--photo", "ana=", "--prompt", "A person waves"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 2
    assert finished.stdout == ""
    assert finished.stderr == "Error: --photo ana= must be NAME=FILE or FILE, such as: --photo ana=ana.png\n"
