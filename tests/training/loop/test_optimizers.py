"""Optimisers: AdamW against its formula, and its form in 8 bit, whose states are saved as they are."""

import shutil
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch._dynamo.utils import counters

from ingredients.core.errors import MissingDependencyError, UserInputError
from ingredients.training.loop.optimizers import build_optimizers, make_states, scale_learning_rates
from ingredients.training.loop.settings import TrainerConfig
from ingredients.training.loop.stage import ParameterGroup
from ingredients.training.loop.trainer import Trainer
from tests.training.loop.test_trainer import LineStage, config

WIDTH = 1024
"""The width of a layer whose weights are just enough to be kept in 8 bit."""

RATES = {"learning_rate": 0.1, "muon_learning_rate": 0.1, "weight_decay": 0.5}


def needs_8_bit() -> None:
    pytest.importorskip("torchao")
    if shutil.which("g++") is None and shutil.which("clang++") is None:
        pytest.skip("torchao's optimisers are compiled, and there is no compiler")


def group_of(*shapes: tuple[int, ...]) -> ParameterGroup:
    generator = torch.Generator().manual_seed(0)
    return ParameterGroup(
        parameters={
            f"parameter_{len(shape)}": torch.nn.Parameter(torch.randn(shape, generator=generator)) for shape in shapes
        }
    )


def test_adamw_is_its_formula() -> None:
    """Loshchilov and Hutter 2019, Algorithm 2; vectors are not decayed."""
    group = group_of((2, 3), (4,))
    (optimizer,) = build_optimizers("adamw", [group], **RATES, betas=(0.8, 0.9))
    expected = {name: parameter.detach().clone() for name, parameter in group.parameters.items()}
    moments = {name: (torch.zeros_like(value), torch.zeros_like(value)) for name, value in expected.items()}
    for step, factor in enumerate((1.0, 0.5, 0.25), start=1):
        scale_learning_rates([optimizer], factor)
        for name, parameter in group.parameters.items():
            gradient = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(step))
            parameter.grad = gradient
            first, second = moments[name]
            first = 0.8 * first + 0.2 * gradient
            second = 0.9 * second + 0.1 * gradient**2
            moments[name] = (first, second)
            update = first / (1 - 0.8**step) / ((second / (1 - 0.9**step)).sqrt() + 1e-8)
            decay = 0.5 if parameter.ndim == 2 else 0.0
            expected[name] = expected[name] - 0.1 * factor * (update + decay * expected[name])
        optimizer.step()
    for name, parameter in group.parameters.items():
        torch.testing.assert_close(parameter.detach(), expected[name])


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_states_are_made_without_changing_a_parameter(name: str) -> None:
    group = group_of((2, 3), (4,))
    before = {key: parameter.detach().clone() for key, parameter in group.parameters.items()}
    optimizers = build_optimizers(name, [group], **RATES)  # type: ignore[arg-type]
    make_states(optimizers)
    assert all(torch.equal(parameter, before[key]) for key, parameter in group.parameters.items())
    assert all(parameter.grad is None for parameter in group.parameters.values())
    assert sum(len(optimizer.state) for optimizer in optimizers) == 2


def test_eight_bit_needs_its_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchao.optim", None)
    with pytest.raises(MissingDependencyError, match=r"torchao.*ingredients\[train\]"):
        build_optimizers("adamw8bit", [group_of((2, 3))], **RATES)


@pytest.mark.parametrize("optimizer", ["muon", "adamw8bit"])
def test_what_needs_whole_matrices_is_not_sharded(optimizer: str) -> None:
    with pytest.raises(UserInputError, match=r"parallel=fsdp leaves none whole; set trainer\.optimizer=adamw or"):
        TrainerConfig(optimizer=optimizer, parallel="fsdp")  # type: ignore[arg-type]


def test_eight_bit_goes_on_bit_for_bit(tmp_path: Path) -> None:
    needs_8_bit()
    whole = Trainer(LineStage(WIDTH), tmp_path / "whole", config("adamw8bit"))
    whole.fit(show=False)
    with pytest.raises(KeyboardInterrupt):
        Trainer(LineStage(WIDTH, interrupt_at=9), tmp_path / "pieces", config("adamw8bit")).fit(show=False)
    resumed = Trainer(LineStage(WIDTH), tmp_path / "pieces", config("adamw8bit"))
    resumed.fit(resume=True, show=False)
    saved = [load_file(path) for run in (resumed, whole) for path in run.checkpoints.paths()[-1:]]
    assert saved[0].keys() == saved[1].keys()
    assert all(torch.equal(tensor, saved[1][name]) for name, tensor in saved[0].items())
    codes = saved[0]["optimizer/0/transformer_blocks.weight/exp_avg.codes"]
    assert codes.dtype == torch.uint8
    assert codes.shape == (WIDTH, 4)
    assert saved[0]["optimizer/0/proj_out.weight/exp_avg"].dtype == torch.float32  # small ones stay as they are


def test_eight_bit_trains_as_adamw_does(tmp_path: Path) -> None:
    """Weights end within a tenth of the way that they went, and a changed rate compiles nothing again."""
    needs_8_bit()
    torch._dynamo.reset()
    counters.clear()
    trainers = {}
    for optimizer in ("adamw", "adamw8bit"):
        stage = LineStage(WIDTH)
        start = stage.network["transformer_blocks"].weight.detach().clone()
        trainers[optimizer] = Trainer(stage, tmp_path / optimizer, config(optimizer, num_steps=12))
        trainers[optimizer].fit(show=False)
    exact, rounded = (
        trainer.parameters["transformer_blocks.weight"].detach() - start for trainer in trainers.values()
    )
    assert float((exact - rounded).norm() / exact.norm()) < 0.1
    assert 0 < counters["stats"]["unique_graphs"] <= 4  # one for each shape and kind of state
