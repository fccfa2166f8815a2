"""Work in steps that are done once: what is there is kept, what was interrupted goes on, and processes share it."""

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ingredients.core.errors import OutputError, UserInputError
from ingredients.core.files import make_folder
from ingredients.core.output_folders import locked
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
        folder: the folder of the study, for locks.
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
        is_shared = False
        for step in [step for step in waiting if names.intersection(step.needs) <= done]:
            with _claimed(folder, step) as is_ours:
                is_shared |= not is_ours
                spent = (time.monotonic() - started) / 60
                if not is_ours or step.is_done() or (minutes is not None and spent + step.minutes > minutes):
                    continue
                notice(f"{step.name} (about {step.minutes:.0f} min; {len(waiting)} steps to do)")
                step.run()
                if not step.is_done():
                    raise UserInputError(f"The step {step.name} has not made {step.result}; look at its log.")
                break
        else:
            if not is_shared:
                return [step for step in waiting if not step.is_done()]
            time.sleep(_PATIENCE)
    return []


@contextlib.contextmanager
def _claimed(folder: Path, step: Step) -> Iterator[bool]:
    """Whether this process may do a step, while the block runs; another one's claim ends with its process."""
    path = folder / _LOCKS / f"{step.name}.lock"
    make_folder(path.parent)
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(locked(path, busy=f"Another process does {step.name}"))
        except OutputError:
            yield False
            return
        stack.callback(path.unlink, missing_ok=True)
        yield True
