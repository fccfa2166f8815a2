"""One of two processes that train tiny stages together.

torchrun --nproc-per-node 2 -m tests.training.loop.processes_worker CLIPS RUNS SCENARIO ...
"""

import sys
from pathlib import Path

from ingredients.training.loop.processes import Processes
from tests.training.conftest import open_world
from tests.training.scenarios import SCENARIOS


def main() -> None:
    """Trains every scenario in both ways, and goes on where one process stopped, if it did."""
    world, runs = open_world(Path(sys.argv[1])), Path(sys.argv[2])
    for name in sys.argv[3:]:
        for parallel in ("ddp", "fsdp"):
            SCENARIOS[name].train(world, runs / parallel / name, parallel=parallel)
            if (stopped := runs / f"one, then {parallel}" / name).exists():
                SCENARIOS[name].train(world, stopped, parallel=parallel, resume=True)
    Processes().close()


if __name__ == "__main__":
    main()
