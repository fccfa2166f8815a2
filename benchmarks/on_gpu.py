"""Everything that has to be seen on a GPU, in a few minutes, with its output and tables in a folder.

    python benchmarks/on_gpu.py                          # on a machine with a GPU: `make gpu`
    python benchmarks/on_gpu.py --rehearse               # the same commands in miniature, on a processor
    python benchmarks/on_gpu.py --only training --output results

In this order: what the machine is, the tests marked `gpu`, a video at the published size, a training step at the
published size. Each has a time after which it is stopped; what it printed until then is kept, for output is written as
it comes. No step needs another one, nor a network. The tables go to OUTPUT/report.md, from where docs/performance.md
takes them.
"""

import argparse
import dataclasses
import importlib.metadata
import os
import platform
import re
import subprocess
import sys
import time
from pathlib import Path

_ROOT = Path(__file__).parents[1]
_MOST_LINES = 80
_OF_LIBRARIES = re.compile(r"Failed to load |[WIE]\d{4} \d\d:|Unable to import `torchao`|\s*warnings\.warn")
_PACKAGES = ("torch", "triton", "diffusers", "transformers", "accelerate", "peft", "huggingface_hub", "numpy")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Command:
    """One of the things to be seen."""

    name: str
    arguments: tuple[str, ...]
    rehearsal: tuple[str, ...]
    minutes: float


COMMANDS = (
    Command(
        name="tests",
        arguments=("-m", "pytest", "-m", "gpu", "-x", "-q", "-rs", "-p", "no:cacheprovider"),
        rehearsal=("-m", "pytest", "-m", "gpu", "-x", "-q", "-rs", "-p", "no:cacheprovider"),
        minutes=2.0,
    ),
    Command(
        name="published_size",
        arguments=(
            *("benchmarks/published_size.py", "--people", "2", "--steps", "6", "--rounds", "2"),
            *("--loops", "exact", "first-block", "fuse-qkv", "compile"),
        ),
        rehearsal=(
            *("benchmarks/published_size.py", "--size", "laptop", "--people", "2", "--steps", "2", "--rounds", "1"),
            *("--blocks", "1", "--loops", "exact", "first-block", "--no-parts"),
        ),
        minutes=3.0,
    ),
    Command(
        name="training",
        arguments=(
            "benchmarks/training.py",
            "--size",
            "published",
            "--batch",
            "1",
            "--rounds",
            "2",
            "--checkpointing",
        ),
        rehearsal=("benchmarks/training.py", "--size", "tiny", "--batch", "1", "--rounds", "1", "--checkpointing"),
        minutes=2.0,
    ),
)


def main() -> int:
    """Runs what is asked for; the exit status is the number of commands that failed or were stopped."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("outputs/gpu"), help="folder of logs and report")
    parser.add_argument("--rehearse", action="store_true", help="the same in miniature, on a processor")
    parser.add_argument("--only", nargs="+", choices=[command.name for command in COMMANDS], default=None)
    arguments = parser.parse_args()
    if not arguments.rehearse:
        import torch

        if not torch.cuda.is_available():
            parser.error("there is no GPU here that PyTorch can use; --rehearse runs the same in miniature")
    output = arguments.output.resolve()
    output.mkdir(parents=True, exist_ok=True)
    report = [f"# Measured on {platform.node() or 'a machine'}, {time.strftime('%Y-%m-%d %H:%M')}", ""]
    report += ["```", *describe_machine(rehearse=arguments.rehearse), "```", ""]
    num_failed = 0
    for command in COMMANDS:
        if arguments.only is not None and command.name not in arguments.only:
            continue
        line = [sys.executable, "-u", *(command.rehearsal if arguments.rehearse else command.arguments)]
        line += gpu_tests() if command.name == "tests" else ()
        log = output / f"{command.name}.log"
        print(f"{command.name}: at most {command.minutes:g} minutes, output in {log}", flush=True)
        started = time.monotonic()
        verdict = run(line, log, seconds=60 * command.minutes)
        print(f"{command.name}: {verdict} after {time.monotonic() - started:.0f} s", flush=True)
        num_failed += verdict != "done"
        report += [f"## {command.name}: {verdict}", "", f"`python {' '.join(line[2:])}`", ""]
        report += ["```", *own_lines(log.read_text(errors="replace"))[-_MOST_LINES:], "```", ""]
        (output / "report.md").write_text("\n".join(report))  # after each: a machine may be taken away
    print(output / "report.md")
    return num_failed


def run(line: list[str], log: Path, *, seconds: float) -> str:
    """Runs a command with its output in a file as it comes; says how it ended."""
    environment = os.environ | {
        "PYTHONUNBUFFERED": "1",
        "PYTHONPATH": os.pathsep.join([str(_ROOT / "src"), str(_ROOT), os.environ.get("PYTHONPATH", "")]),
    }
    with log.open("w") as file:
        try:
            done = subprocess.run(
                line, stdout=file, stderr=subprocess.STDOUT, timeout=seconds, cwd=_ROOT, env=environment, check=False
            )
        except subprocess.TimeoutExpired:
            return "stopped"
    return "done" if done.returncode in (0, 5) else f"failed ({done.returncode})"  # 5: pytest found no test


def describe_machine(*, rehearse: bool) -> list[str]:
    """Processor, GPU, versions, and what a large product of matrices reaches."""
    import torch
    from benchmarks.measuring import matrix_rate

    lines = [f"{platform.platform()}, Python {platform.python_version()}, {os.cpu_count()} cores"]
    for package in _PACKAGES:
        try:
            lines.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            lines.append(f"{package}: not installed")
    if torch.cuda.is_available() and not rehearse:
        properties = torch.cuda.get_device_properties(0)
        lines.append(f"{properties.name}, {properties.total_memory / 1e9:.0f} GB, CUDA {torch.version.cuda}")
        device = "cuda"
    else:
        lines.append("no GPU" if not torch.cuda.is_available() else "a GPU, not used in a rehearsal")
        device = "cpu"
    rate = matrix_rate(device, torch.bfloat16 if device == "cuda" else torch.float32, rounds=3)
    return [*lines, f"product of two large matrices: {rate / 1e12:.3g} TFLOP/s"]


def gpu_tests() -> tuple[str, ...]:
    """The files of tests that need a GPU: collecting all others would cost half a minute of the machine."""
    marked = (path for path in (_ROOT / "tests").rglob("test_*.py") if "mark.gpu" in path.read_text())
    return tuple(str(path.relative_to(_ROOT)) for path in sorted(marked))


def own_lines(text: str) -> list[str]:
    """What a command printed, without what libraries say of themselves."""
    return [line for line in text.splitlines() if not _OF_LIBRARIES.match(line)]


if __name__ == "__main__":
    sys.path[:0] = [str(_ROOT), str(_ROOT / "src")]
    sys.exit(main())
