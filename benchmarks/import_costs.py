"""Processor seconds that commands take before they do anything: `python benchmarks/import_costs.py`.

User and system time of a process of its own, the least of some rounds, so that other work on the machine counts
little. What needs no model must stay under half a second; the last lines say what PyTorch and the models cost.
"""

import argparse
import resource
import subprocess
import sys
import tempfile

PYTHON = (
    "import ingredients",
    "from ingredients import load_pipeline",
)
COMMANDS = (
    "--version",
    "--help",
    "generate --help",
    "world words",
    "models",
    "info nowhere.mp4",
    "reproduce all --dry-run",
    "generate --photo ana=nowhere.png --prompt x",
    "generate --photo {portrait} --prompt x --model nowhere",
    "generate --photo {portrait} --prompt x --output nowhere/out.mp4",
    "evaluate --videos nowhere",
    "benchmark check nowhere",
    "train align --data nowhere",
    "world train nothing",
    "doctor",
)


def main() -> None:
    """Prints a line a command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        portrait = f"{folder}/portrait.png"
        program = [sys.executable, "-m", "ingredients"]
        subprocess.run([*program, "world", "portrait", "--output", portrait], check=True, capture_output=True)
        for command in COMMANDS:
            arguments = command.format(portrait=portrait).split()
            print(f"{least_seconds([*program, *arguments], folder, rounds):6.2f} s  ingredients {command}")
        for statement in PYTHON:
            print(f"{least_seconds([sys.executable, '-c', statement], folder, rounds):6.2f} s  {statement}")


def least_seconds(command: list[str], folder: str, rounds: int) -> float:
    """Processor time of a command, with that of reading Python's files from memory and not from the disk."""
    subprocess.run(command, cwd=folder, capture_output=True, check=False)
    return min(_seconds(command, folder) for _ in range(rounds))


def _seconds(command: list[str], folder: str) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=folder, capture_output=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
