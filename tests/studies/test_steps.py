import multiprocessing
import os
import time
from pathlib import Path

import pytest

from ingredients.core.errors import UserInputError
from ingredients.studies.steps import Step, order_steps, run_steps


def make(folder: Path, name: str, *needs: str, minutes: float = 1.0, seconds: float = 0.0) -> Step:
    def work() -> None:
        time.sleep(seconds)
        with (folder / "order").open("a") as order:
            order.write(f"{name} {os.getpid()}\n")
        (folder / name).write_text("done")

    return Step(name=name, minutes=minutes, result=folder / name, run=work, needs=needs)


def done(folder: Path) -> list[str]:
    return [line.split()[0] for line in (folder / "order").read_text().splitlines()]


def quiet(_: str) -> None:
    pass


def test_steps_come_after_what_they_need_and_are_done_once(tmp_path: Path) -> None:
    steps = [make(tmp_path, "c", "a", "b"), make(tmp_path, "a"), make(tmp_path, "b", "a"), make(tmp_path, "unwanted")]
    ordered = order_steps(steps, ["c"])
    assert [step.name for step in ordered] == ["a", "b", "c"]
    for _ in range(2):
        assert run_steps(ordered, tmp_path, notice=quiet) == []
    assert done(tmp_path) == ["a", "b", "c"]
    with pytest.raises(ValueError, match="no step 'x'"):
        order_steps(steps, ["x"])


def test_no_step_begins_that_would_go_beyond_the_budget(tmp_path: Path) -> None:
    steps = [make(tmp_path, "long", minutes=50), make(tmp_path, "short", minutes=1), make(tmp_path, "last", "long")]
    left = run_steps(order_steps(steps, ["long", "short", "last"]), tmp_path, minutes=10, notice=quiet)
    assert [step.name for step in left] == ["long", "last"]
    assert done(tmp_path) == ["short"]


def test_a_step_without_its_result_is_an_error(tmp_path: Path) -> None:
    step = Step(name="nothing", minutes=1, result=tmp_path / "nothing", run=lambda: None)
    with pytest.raises(UserInputError, match="The step nothing has not made"):
        run_steps([step], tmp_path, notice=quiet)
    assert not list((tmp_path / "locks").iterdir())


def test_a_lock_of_a_process_that_died_does_not_count(tmp_path: Path) -> None:
    (tmp_path / "locks").mkdir()
    (tmp_path / "locks" / "a.lock").write_text('{"process": 999999999, "started": 1.0}')
    (tmp_path / "locks" / "b.lock").write_text(
        f'{{"process": {os.getpid()}, "started": 1.0}}'
    )  # its number given again
    steps = [make(tmp_path, "a"), make(tmp_path, "b")]
    assert run_steps(steps, tmp_path, notice=quiet) == []
    assert not list((tmp_path / "locks").iterdir())


def _work(folder: Path) -> None:
    steps = [make(folder, name, seconds=0.2) for name in "abcdef"]
    run_steps(order_steps(steps, list("abcdef")), folder, notice=quiet)


def test_two_processes_share_the_work(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_work, args=(tmp_path,)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=60)
    lines = [line.split() for line in (tmp_path / "order").read_text().splitlines()]
    assert sorted(name for name, _ in lines) == list("abcdef")
    assert len({process for _, process in lines}) == 2
