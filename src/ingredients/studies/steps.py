"""Work in steps that are done once: what is there is kept, what was interrupted goes on, and processes share it."""

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psutil

from ingredients.core.config import read_record
from ingredients.core.errors import UserInputError
from ingredients.core.json_yaml import BadFileError, to_json
from ingredients.core.warnings_told import Notice

_LOCKS = "locks"
_PATIENCE = 5.0
"""Seconds between two looks whether a step that another process does is done."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A piece of work."""

    name: str
    """Unique, and good for a file's name."""

    minutes: float
    """What it costs, about."""

    result: Path
    """A file that is there when it is done, and not before."""

    run: Callable[[], None]
    """Does it; one that was interrupted goes on."""

    needs: tuple[str, ...] = ()
    """Steps that must be done before."""

    def is_done(self) -> bool:
        """Whether there is nothing to do."""
        return self.result.exists()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Holder:
    """What a lock says of the process that holds it."""

    process: int
    """Its number."""

    started: float
    """When it began."""


def order_steps(steps: Sequence[Step], wanted: Sequence[str]) -> list[Step]:
    """The steps that are wanted and those that they need, each after what it needs.

    Raises:
        ValueError: if one is unknown.
    """
    by_name = {step.name: step for step in steps}
    ordered: dict[str, Step] = {}

    def visit(name: str) -> None:
        if name not in by_name:
            raise ValueError(f"there is no step {name!r}")
        if name not in ordered:
            for need in by_name[name].needs:
                visit(need)
            ordered[name] = by_name[name]

    for name in wanted:
        visit(name)
    return list(ordered.values())


def run_steps(
    steps: Sequence[Step],
    folder: Path,
    *,
    minutes: float | None = None,
    notice: Notice,
) -> list[Step]:
    """Does what is to be done, in order; several processes may do so in one folder and share the work.

    Args:
        steps: as `order_steps` gives them.
        folder: of the study, for locks.
        minutes: begins no step that would go beyond so many.
        notice: told what is being done.

    Returns:
        The steps that are not done, for want of time.

    Raises:
        UserInputError: if a step fails that others need.
    """
    started = time.monotonic()
    names = {step.name for step in steps}
    while waiting := [step for step in steps if not step.is_done()]:
        done = names - {step.name for step in waiting}
        ready = [step for step in waiting if names.intersection(step.needs) <= done]
        for step in ready:
            spent = (time.monotonic() - started) / 60
            if minutes is not None and spent + step.minutes > minutes:
                continue
            with _claimed(folder, step) as is_ours:
                if is_ours and not step.is_done():
                    notice(f"{step.name} (about {step.minutes:.0f} min; {len(waiting)} steps to do)")
                    step.run()
                    if not step.is_done():
                        raise UserInputError(f"The step {step.name} has not made {step.result}; look at its log.")
                    break
        else:
            others = [step for step in ready if _lock_holder(_lock_path(folder, step)) is not None]
            if not others:
                return waiting
            time.sleep(_PATIENCE)
    return []


@contextlib.contextmanager
def _claimed(folder: Path, step: Step) -> Iterator[bool]:
    """Whether this process may do a step; another one's claim counts while that process lives."""
    path = _lock_path(folder, step)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and _lock_holder(path) is None:
        path.unlink(missing_ok=True)
    try:
        _write_lock(path)
    except FileExistsError:
        yield False
        return
    try:
        yield True
    finally:
        path.unlink(missing_ok=True)


def _lock_path(folder: Path, step: Step) -> Path:
    return folder / _LOCKS / f"{step.name}.lock"


def _write_lock(path: Path) -> None:
    """Makes a lock that names this process from its first moment; raises FileExistsError if it is there."""
    process = psutil.Process()
    whole = path.with_name(f".{path.name}.{process.pid}")
    whole.write_text(to_json({"process": process.pid, "started": process.create_time()}), encoding="utf-8")
    try:
        path.hardlink_to(whole)
    finally:
        whole.unlink()


def _lock_holder(path: Path) -> int | None:
    """The process that holds a lock; None if nobody does. A number may be given again: the start tells them apart."""
    try:
        holder = read_record(_Holder, path, remedy="delete it")
        process = psutil.Process(holder.process)
        return process.pid if process.create_time() == holder.started else None
    except (BadFileError, ValueError, OverflowError, psutil.Error):
        return None
