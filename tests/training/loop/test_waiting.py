"""How often the loop waits for the device: each number that Python reads from a tensor is a wait."""

import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from ingredients.training.loop.processes import Processes
from ingredients.training.loop.settings import TrainerConfig
from ingredients.training.loop.stage import StepPosition
from ingredients.training.loop.trainer import Trainer
from ingredients.training.stages.diffusion import DiffusionStage
from tests.training.conftest import TinyWorld
from tests.training.scenarios import SCENARIOS


class Reads(TorchDispatchMode):
    """Counts what the loop, a stage or a batch reads from tensors; what the model itself reads is its own affair."""

    def __init__(self) -> None:
        super().__init__()
        self.number = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        del types
        if func is torch.ops.aten._local_scalar_dense.default:
            files = [frame.filename for frame in traceback.extract_stack() if "/ingredients/" in frame.filename]
            self.number += "/ingredients/models/" not in files[-1]
        return func(*args, **(kwargs or {}))


class CountedProcesses(Processes):
    """Counts the one way in which the loop reads numbers of the device."""

    num_reads = 0

    def read(self, *, summed: Sequence[torch.Tensor], alike: Sequence[torch.Tensor] = ()) -> list[float]:
        self.num_reads += 1
        return super().read(summed=summed, alike=alike)


@pytest.mark.parametrize("scenario", ["align", "align by Muon, images first", "route"])
def test_a_step_waits_once_however_many_passes_it_has(tiny_world: TinyWorld, tmp_path: Path, scenario: str) -> None:
    stage = SCENARIOS[scenario].build(tiny_world)
    assert isinstance(stage, DiffusionStage)
    processes = CountedProcesses()
    trainer = Trainer(stage, tmp_path, SCENARIOS[scenario].config(), processes=processes)
    drawn = [stage.data.draw(StepPosition(step=step, progress=0.0, seed=0)) for step in range(2)]
    trainer.step(drawn[0], progress=0.0)
    assert len(drawn[1]) == (3 if scenario == "align" else 1)
    counts = stage.counts(drawn[1])
    stage.counts = lambda batches: counts  # type: ignore[method-assign]  # of what is still in memory
    processes.num_reads = 0
    with Reads() as reads:
        measured = trainer.step(drawn[1], progress=0.25)
    assert reads.number == 0
    assert processes.num_reads == 1
    assert len(measured) == len(drawn[1]) + 1


def test_what_was_measured_is_read_once_a_line_of_the_log(tmp_path: Path, tiny_world: TinyWorld) -> None:
    processes = CountedProcesses()
    stage = SCENARIOS["route"].build(tiny_world)
    config = TrainerConfig(num_steps=4, log_every=2, checkpoint_every=4, num_warmup_steps=0)
    trainer = Trainer(stage, tmp_path, config, processes=processes)
    trainer.fit(show=False)
    assert processes.num_reads == 4 + 2  # of each step, and of the weights before each line
    assert all(isinstance(each, float) for pair in trainer.position.sums.values() for each in pair)
