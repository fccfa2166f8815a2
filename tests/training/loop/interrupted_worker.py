"""One of two processes that train together until a signal comes, or to the end.

torchrun --nproc-per-node 2 -m tests.training.loop.interrupted_worker CLIPS RUN
"""

import os
import sys
from pathlib import Path

from ingredients.training.loop.interruptions import TrainingInterruptedError
from ingredients.training.loop.processes import Processes
from tests.training.conftest import open_world
from tests.training.scenarios import SCENARIOS


def main() -> int:
    """Trains, or goes on, without a checkpoint before the end; says how it ended."""
    clips, run = Path(sys.argv[1]), Path(sys.argv[2])
    resume = (run / "checkpoints").is_dir()
    try:
        SCENARIOS["align in pairs"].train(
            open_world(clips),
            run,
            resume=resume,
            parallel="ddp",
            num_steps=60,
            checkpoint_every=1000,
            validate_every=1000,
        )
    except TrainingInterruptedError as interruption:
        (run / f"interrupted-{os.environ['RANK']}.txt").write_text(str(interruption))
        return interruption.exit_code
    Processes().close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
