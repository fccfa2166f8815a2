"""Short runs of tiny stages, for tests in which several processes train, or are killed and go on."""

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

import ingredients
from ingredients.core.training_log import LOG_NAME
from ingredients.data.batches import ClipBatch
from ingredients.training.loop.settings import TrainerConfig
from ingredients.training.loop.stage import StepPosition
from ingredients.training.loop.trainer import Trainer
from ingredients.training.stages.alignment import AlignmentStage
from ingredients.training.stages.diffusion import DiffusionStage
from ingredients.training.stages.router import RouterStage
from ingredients.training.stages.settings import AlignmentConfig, RouterConfig
from tests.training.conftest import TinyWorld

NUM_STEPS = 4
TIMES = {
    "seconds",
    "seconds_per_step",
    "samples_per_second",
    "tokens_per_second",
    "tflops",
    "memory_gb",
    "waiting_share",
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    build: Callable[[TinyWorld], DiffusionStage]
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def config(self, **settings: Any) -> TrainerConfig:
        """Four steps, each logged; after the second the averages are measured, and the weights train on."""
        config: dict[str, Any] = {
            "num_steps": NUM_STEPS,
            "learning_rate": 3e-3,
            "num_warmup_steps": 2,
            "log_every": 1,
            "checkpoint_every": 2,
            "validate_every": 2,
        }
        return TrainerConfig(**(config | dict(self.settings) | settings))

    def train(self, world: TinyWorld, folder: Path, *, resume: bool = False, **settings: Any) -> Trainer:
        trainer = Trainer(self.build(world), folder, self.config(**settings))
        trainer.fit(resume=resume, show=False)
        return trainer


def align(world: TinyWorld, *, dtype: torch.dtype = torch.float32, **settings: Any) -> AlignmentStage:
    config = {"batch_size": 6, "micro_batch_size": 2, "lora_rank": 2, "num_validation_batches": 1}
    transformer = world.transformer()
    if dtype != torch.float32:
        transformer.to(dtype)
    return AlignmentStage(transformer, world.parts, AlignmentConfig(**(config | settings)))


def align_in_pairs(world: TinyWorld, **settings: Any) -> AlignmentStage:
    """Two clips a step and nothing measured, for every further shape would be compiled anew."""
    parts = dataclasses.replace(world.parts, validation_clips=None)
    return align(dataclasses.replace(world, parts=parts), batch_size=2, micro_batch_size=1, **settings)


def route(world: TinyWorld, **settings: Any) -> RouterStage:
    transformer = world.transformer()
    generator = torch.Generator().manual_seed(1)
    for index in transformer.routed_blocks:
        weight = transformer.transformer_blocks[index].id_attn.to_out.weight
        weight.data = 0.3 * torch.randn(weight.shape, generator=generator)
    config = {"batch_size": 4, "lora_rank": 2, "identity_drop": 0.5, "num_validation_batches": 1}
    return RouterStage(transformer, world.parts, RouterConfig(**(config | settings)))


SCENARIOS = {
    "align": Scenario(build=align),
    "align in pairs": Scenario(build=lambda world: align_in_pairs(world)),
    "align in pairs, compiled": Scenario(build=lambda world: align_in_pairs(world, compile=True)),
    "align in full": Scenario(
        build=lambda world: align(world, tuning="full", batch_size=2, gradient_checkpointing=True)
    ),
    "align in bfloat16": Scenario(
        build=lambda world: align(world, dtype=torch.bfloat16), settings={"precision": "bfloat16"}
    ),
    "align by Muon, images first": Scenario(
        build=lambda world: align(
            world, tuning="full", batch_size=2, micro_batch_size=None, image_batch_size=4, image_share=0.4
        ),
        settings={"optimizer": "muon"},
    ),
    "route": Scenario(build=route),
}


def run_python(*arguments: str) -> str:
    """What Python prints, in a process of its own with one thread, in which this package and the tests are found."""
    with start_python(*arguments) as process:
        printed, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors[-4000:]
    return printed


def start_python(*arguments: str) -> subprocess.Popen[str]:
    """Such a process, which runs."""
    root = Path(__file__).parents[2]
    path = f"{Path(ingredients.__file__).parents[1]}{os.pathsep}{root}"
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=root,
        env=os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def read_log(folder: Path) -> list[dict[str, float]]:
    """What a run logged, apart from times."""
    lines = [json.loads(line) for line in (folder / LOG_NAME).read_text().splitlines()]
    return [{name: value for name, value in line.items() if name not in TIMES} for line in lines]


def read_checkpoint(folder: Path, step: int = NUM_STEPS) -> dict[str, torch.Tensor]:
    return load_file(folder / "checkpoints" / f"step-{step:08d}.safetensors")


def draw_steps(stage: DiffusionStage, num_processes: int) -> list[list[list[ClipBatch]]]:
    """For each step and process, the batches of its passes."""
    steps = []
    for step in range(NUM_STEPS):
        processes = []
        for index in range(num_processes):
            stage.data._order = None
            stage.data._cursors = [step * stage.config.batch_size]
            position = StepPosition(step=step, progress=0.5, seed=0, process_index=index, num_processes=num_processes)
            processes.append(stage.data.draw(position))
        steps.append(processes)
    return steps
