"""Trains a tiny stage in peace, and again in a process that is killed at every kind of moment and resumed each time.

python -m tests.training.loop.killed_worker CLIPS RUNS SCENARIO STEPS ROUNDS SEED

Each piece of a run is a fork of this process, which has everything imported; it never computes anything itself, for
what PyTorch starts for that would not survive the fork.
"""

import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ingredients.models import IngredientsTransformer3DModel
from ingredients.training.loop import checkpoints, trainer
from tests.training.conftest import open_world
from tests.training.scenarios import SCENARIOS

MOMENTS = ("in a step", "while a checkpoint is written", "once it is written", "while a line is logged")


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def dying(function: Callable[..., Any], nth: int, last_act: Callable[..., None]) -> Callable[..., Any]:
    """A function that does something else at its n-th call, and dies."""
    num_calls = 0

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        nonlocal num_calls
        num_calls += 1
        if num_calls < nth:
            return function(*args, **kwargs)
        last_act(*args, **kwargs)
        return die()

    return wrapped


def half_a_checkpoint(tensors: dict[str, Any], path: Path, **kwargs: Any) -> None:
    """Under both names: safetensors gives a file a name of its own first."""
    save_file(tensors, path, **kwargs)
    os.truncate(path, path.stat().st_size // 2)
    shutil.copy(path, path.with_name(".tmpa1B2c3"))


def half_a_line(path: Path, line: str) -> None:
    with path.open("a") as file:
        file.write(line[: len(line) // 2])


def half_an_export(model: IngredientsTransformer3DModel, folder: Path) -> None:
    save_pretrained(model, folder)
    (weights,) = folder.glob("*.safetensors")
    os.truncate(weights, weights.stat().st_size // 2)


save_file, save_pretrained = checkpoints.save_file, IngredientsTransformer3DModel.save_pretrained


def prepare_to_die(moment: str, nth: int) -> None:
    if moment == "while a checkpoint is written":
        checkpoints.save_file = dying(save_file, nth, half_a_checkpoint)
    elif moment == "once it is written":
        checkpoints.Checkpoints.tidy = dying(checkpoints.Checkpoints.tidy, nth, lambda *_: None)
    elif moment == "while a line is logged":
        trainer.append_line = dying(trainer.append_line, nth, half_a_line)
    elif moment == "while it is exported":
        IngredientsTransformer3DModel.save_pretrained = dying(save_pretrained, 1, half_an_export)


def run_piece(train: Callable[[], None], moment: str | None, log: Path, chance: random.Random) -> bool:
    """Runs until the moment, and says whether training came to its end before."""
    nth, num_lines = chance.randint(1, 3), len(log.read_text().splitlines()) if log.exists() else 0
    if (child := os.fork()) == 0:
        if moment is not None:
            prepare_to_die(moment, nth)
        train()
        os._exit(0)
    if moment == "in a step":
        while not log.exists() or len(log.read_text().splitlines()) < num_lines + nth:
            time.sleep(0.002)
            if os.waitpid(child, os.WNOHANG)[0]:
                return True
        time.sleep(chance.uniform(0, 0.2))
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return False
    assert os.waitstatus_to_exitcode(status) == 0
    return True


def main() -> None:
    """Trains, and says at which moments it was killed."""
    clips, runs, name = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    num_steps, num_rounds, seed = map(int, sys.argv[4:])
    chance, world = random.Random(seed), open_world(clips)

    def train(run: str) -> None:
        SCENARIOS[name].train(
            world,
            runs / run,
            resume=True,
            num_steps=num_steps,
            schedule="cosine_with_restarts",
            num_cycles=2,
            log_every=3,
            validate_every=4,
            keep_checkpoints=2,
        )

    assert run_piece(lambda: train("in peace"), None, runs / "in peace" / "log.jsonl", chance)
    moments = [moment for _ in range(num_rounds) for moment in chance.sample(MOMENTS, len(MOMENTS))]
    for moment in [*moments, "while it is exported", None]:
        is_done = run_piece(lambda: train("killed"), moment, runs / "killed" / "log.jsonl", chance)
        print("done" if is_done else f"killed {moment}", flush=True)  # noqa: T201 (the test reads it)


if __name__ == "__main__":
    main()
