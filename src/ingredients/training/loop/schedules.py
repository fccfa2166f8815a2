"""Learning-rate schedules, as functions of the share of a run that is done."""

import math
from typing import Literal

ScheduleName = Literal["constant", "cosine", "cosine_with_restarts", "trapezoid"]


def learning_rate_factor(
    name: ScheduleName,
    *,
    step: int,
    progress: float,
    num_warmup_steps: int = 0,
    num_cycles: int = 1,
    final_factor: float = 0.0,
) -> float:
    """Factor on the learning rate at one step.

    Args:
        name: `cosine_with_restarts` is what the paper trains with (4.1); `trapezoid` is constant up to 60 % of the
            run and falls linearly from there.
        step: the step's number, from 0; the factor rises linearly over the first `num_warmup_steps` steps.
        progress: share of the run that is done, in [0, 1].
        num_warmup_steps: length of the rise.
        num_cycles: cycles of `cosine_with_restarts`.
        final_factor: what the fall ends at.
    """
    warmup = min(1.0, (step + 1) / num_warmup_steps) if num_warmup_steps else 1.0
    if name == "constant":
        return warmup
    if name == "trapezoid":
        fall = min(1.0, (1 - progress) / 0.4)
    else:
        cycles = num_cycles if name == "cosine_with_restarts" else 1
        within_cycle = 1.0 if progress >= 1 else progress * cycles % 1
        fall = 0.5 * (1 + math.cos(math.pi * within_cycle))
    return warmup * (final_factor + (1 - final_factor) * fall)
