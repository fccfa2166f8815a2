"""Two processes share the tokens of one video, and make what one process makes."""

import os
import subprocess
import sys
from pathlib import Path

import ingredients

ROOT = Path(__file__).parents[2]


def test_two_processes_make_what_one_makes() -> None:
    source = Path(ingredients.__file__).parents[1]
    result = subprocess.run(
        [
            sys.executable,
            "-m",
            "torch.distributed.run",
            "--standalone",
            "--nproc-per-node=2",
            "--module",
            "tests.pipelines.context_parallel_worker",
        ],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": f"{source}{os.pathsep}{ROOT}", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr[-4000:]
    assert "the same" in result.stdout
