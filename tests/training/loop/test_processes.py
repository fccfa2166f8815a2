"""Two processes train what one trains."""

import shutil
import signal
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from ingredients.core.errors import UserInputError
from ingredients.core.training_log import LOG_NAME
from ingredients.training.loop.settings import TrainerConfig
from ingredients.training.loop.stage import StepPosition
from ingredients.training.stages.alignment import KEPT_GLOBAL, draw_kept_features
from tests.training.conftest import TinyWorld
from tests.training.scenarios import (
    NUM_STEPS,
    SCENARIOS,
    align,
    draw_steps,
    read_checkpoint,
    read_log,
    route,
    run_python,
    start_python,
)


@pytest.fixture(scope="module")
def runs(tiny_world: TinyWorld, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one process trains in `one`, and two in `ddp`, `fsdp`, `one, then ddp` and `one, then fsdp`."""
    folder: Path = tmp_path_factory.mktemp("runs")
    SCENARIOS["align"].train(tiny_world, folder / "one" / "align")
    for parallel in ("ddp", "fsdp"):
        cut_in_half(folder / "one" / "align", folder / f"one, then {parallel}" / "align")
    SCENARIOS["route"].train(tiny_world, folder / "one" / "route")
    train_with_two(tiny_world, folder, "align", "route")
    return folder


@pytest.fixture(scope="module")
def more_runs(tiny_world: TinyWorld, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The other scenarios in `one`, `ddp` and `fsdp`."""
    folder: Path = tmp_path_factory.mktemp("more_runs")
    names = ("align in full", "align in bfloat16")
    for name in names:
        SCENARIOS[name].train(tiny_world, folder / "one" / name)
    train_with_two(tiny_world, folder, *names)
    return folder


def train_with_two(world: TinyWorld, folder: Path, *names: str) -> None:
    torchrun = ["torch.distributed.run", "--standalone", "--nproc-per-node=2", "--module"]
    run_python("-m", *torchrun, "tests.training.loop.processes_worker", str(world.folder), str(folder), *names)


def cut_in_half(run: Path, copy: Path) -> None:
    """A copy of a run as it was after half of its steps."""
    shutil.copytree(run, copy)
    (copy / "checkpoints" / f"step-{NUM_STEPS:08d}.safetensors").unlink()


def assert_same_run(run: Path, expected: Path, *, tolerance: float) -> None:
    """The same lines in the log, and the same weights and averages in the last checkpoint.

    Sums over samples are taken in another order, which changes losses by a part in a million. Weights may differ by
    more: AdamW divides a gradient by its own size, and so even one that is nothing but rounding moves its weight.
    """
    log, expected_log = read_log(run), read_log(expected)
    assert [line.keys() for line in log] == [line.keys() for line in expected_log]
    for line, expected_line in zip(log, expected_log, strict=True):
        assert line == pytest.approx(expected_line, rel=tolerance, abs=tolerance)
    tensors, expected_tensors = read_checkpoint(run), read_checkpoint(expected)
    assert tensors.keys() == expected_tensors.keys()
    for name, tensor in expected_tensors.items():
        if not name.startswith("optimizer/"):
            torch.testing.assert_close(tensors[name], tensor, rtol=0, atol=2 * tolerance, msg=name)


def assert_same_export(run: Path, expected: Path, *, tolerance: float) -> None:
    file = Path("transformer") / "diffusion_pytorch_model.safetensors"
    weights, expected_weights = load_file(run / file), load_file(expected / file)
    assert weights.keys() == expected_weights.keys()
    for name, tensor in expected_weights.items():
        assert weights[name].dtype == tensor.dtype
        torch.testing.assert_close(weights[name], tensor, rtol=0, atol=2 * tolerance, msg=name)


@pytest.mark.parametrize("name", ["align", "route"])
@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
def test_two_processes_train_what_one_trains(runs: Path, parallel: str, name: str) -> None:
    assert_same_run(runs / parallel / name, runs / "one" / name, tolerance=1e-5)
    assert_same_export(runs / parallel / name, runs / "one" / name, tolerance=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
def test_all_weights_with_checkpointing(more_runs: Path, parallel: str) -> None:
    run, expected = (more_runs / way / "align in full" for way in (parallel, "one"))
    assert_same_run(run, expected, tolerance=1e-5)
    assert_same_export(run, expected, tolerance=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
def test_a_base_in_bfloat16(more_runs: Path, parallel: str) -> None:
    """As close as its eight bits: a pass over two samples rounds otherwise than a pass over one."""
    run, expected = (more_runs / way / "align in bfloat16" for way in (parallel, "one"))
    assert_same_run(run, expected, tolerance=4e-3)
    assert_same_export(run, expected, tolerance=4e-3)


@pytest.mark.slow
def test_compiled_blocks(tiny_world: TinyWorld, tmp_path: Path) -> None:
    """As they are without a compiler, in one process."""
    SCENARIOS["align in pairs"].train(tiny_world, tmp_path / "one")
    train_with_two(tiny_world, tmp_path, "align in pairs, compiled")
    for parallel in ("ddp", "fsdp"):
        run = tmp_path / parallel / "align in pairs, compiled"
        assert_same_run(run, tmp_path / "one", tolerance=1e-5)
        assert_same_export(run, tmp_path / "one", tolerance=1e-5)


@pytest.mark.slow
def test_two_processes_that_are_told_to_stop_keep_the_step_and_go_on_bit_for_bit(
    tiny_world: TinyWorld, tmp_path: Path
) -> None:
    """The signal reaches `torchrun`, which passes it on to both, as the machine that shuts down does."""

    def command(run: str) -> list[str]:
        torchrun = ["torch.distributed.run", "--standalone", "--nproc-per-node=2", "--module"]
        return ["-m", *torchrun, "tests.training.loop.interrupted_worker", str(tiny_world.folder), str(tmp_path / run)]

    run_python(*command("whole"))
    with start_python(*command("stopped")) as process:
        log = tmp_path / "stopped" / LOG_NAME
        while not log.exists() or len(log.read_text().splitlines()) < 3:
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=90)  # after 30 seconds `torchrun` kills who has not ended, and nothing is said
    said = {path.read_text() for path in (tmp_path / "stopped").glob("interrupted-*.txt")}
    assert len(list((tmp_path / "stopped").glob("interrupted-*.txt"))) == 2
    (checkpoint,) = (tmp_path / "stopped" / "checkpoints").glob("*.safetensors")
    step = int(checkpoint.stem.removeprefix("step-"))
    assert 3 <= step < 60
    assert len(read_log(tmp_path / "stopped")) == step
    assert len(said) == 1
    assert f"Interrupted after step {step}; the checkpoint of step {step} is kept" in said.pop()
    run_python(*command("stopped"))
    assert read_log(tmp_path / "stopped") == read_log(tmp_path / "whole")
    tensors, expected = (read_checkpoint(tmp_path / run, step=60) for run in ("stopped", "whole"))
    assert tensors.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(tensors[name], tensor), name


@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
def test_two_processes_go_on_where_one_stopped(runs: Path, parallel: str) -> None:
    assert_same_run(runs / f"one, then {parallel}" / "align", runs / "one" / "align", tolerance=1e-5)


@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
def test_one_process_goes_on_where_two_stopped(
    tiny_world: TinyWorld, runs: Path, tmp_path: Path, parallel: str
) -> None:
    cut_in_half(runs / parallel / "align", tmp_path / "run")
    SCENARIOS["align"].train(tiny_world, tmp_path / "run", resume=True)
    assert_same_run(tmp_path / "run", runs / "one" / "align", tolerance=1e-5)


def test_the_steps_above_hold_what_is_hard_about_two_processes(tiny_world: TinyWorld) -> None:
    """Numbers of people that differ, passes that are cut elsewhere, and a process of which no face is asked."""
    stage = align(tiny_world)
    together, alone = draw_steps(stage, 2), draw_steps(stage, 1)
    assert {len(keys) for (batches,) in alone for batch in batches for keys in batch.references} == {1, 2, 3, 4}
    assert [[len(batch) for batch in batches] for batches in alone[0]] == [[2, 2, 2]]
    assert [[len(batch) for batch in batches] for batches in together[0]] == [[2, 1], [2, 1]]
    stage = align(tiny_world, tuning="full", batch_size=2)
    kept = [
        [draw_kept_features(batch.chances("kept features"), stage.config.kept_shares) for batch in batches]
        for step in draw_steps(stage, 2)
        for batches in step
    ]
    assert any(all(bool((each == KEPT_GLOBAL).all()) for each in process) for process in kept)
    routing = route(tiny_world)
    num_tokens = [[routing.counts(batches)["face_tokens"] for batches in step] for step in draw_steps(routing, 2)]
    assert any(0 in step and sum(step) > 0 for step in num_tokens)


def test_a_step_that_cannot_be_parted_equally_is_refused(tiny_world: TinyWorld) -> None:
    with pytest.raises(
        UserInputError, match=r"3 clips of a step.*2 processes.*stage\.batch_size .*to a multiple of 2"
    ):
        align(tiny_world, batch_size=3).data.draw(StepPosition(step=0, progress=0.5, seed=0, num_processes=2))


def test_muon_cannot_work_on_shards() -> None:
    with pytest.raises(UserInputError, match=r"whole matrices.*optimizer=adamw or"):
        TrainerConfig(optimizer="muon", parallel="fsdp")
