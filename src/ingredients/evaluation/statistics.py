"""A measured number with its uncertainty."""

import dataclasses
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

NUM_RESAMPLES = 1000
"""Bootstrap samples behind an interval."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A value and its 95 % bootstrap interval."""

    value: float
    """The measure over all cases."""

    low: float
    """2.5th percentile of the measure over resampled cases."""

    high: float
    """97.5th percentile of the measure over resampled cases."""


def bootstrap(
    statistic: Callable[[NDArray[np.int64]], float],
    num_cases: int,
    *,
    num_resamples: int = NUM_RESAMPLES,
    is_biased: bool = False,
) -> Estimate:
    """Resamples whole cases with replacement: what belongs to one case (its people, its frames) is not independent.

    Args:
        statistic: gives the measure of the cases with these indices.
        num_cases: cases that there are.
        num_resamples: samples to draw; the draw is the same each time.
        is_biased: whether the measure grows or shrinks just because a resample repeats cases, as a distance between
            fitted distributions does; then the interval is moved back by the mean of that change.

    Raises:
        ValueError: if there is no case.
    """
    if num_cases < 1:
        raise ValueError("an interval needs at least one case")
    generator = np.random.default_rng(0)
    resampled = [statistic(generator.integers(num_cases, size=num_cases)) for _ in range(num_resamples)]
    low, high = np.percentile(resampled, [2.5, 97.5], method="nearest")  # no arithmetic with infinities
    value = float(statistic(np.arange(num_cases)))
    bias = float(np.mean(resampled)) - value if is_biased and np.isfinite([*resampled, value]).all() else 0.0
    return Estimate(value=value, low=float(low) - bias, high=float(high) - bias)


def bootstrap_mean(values: NDArray[np.float64], *, num_resamples: int = NUM_RESAMPLES) -> Estimate:
    """The mean of one value a case, (cases,), with its interval."""
    return bootstrap(lambda indices: float(values[indices].mean()), len(values), num_resamples=num_resamples)
