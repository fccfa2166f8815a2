"""A measured number with its uncertainty: the one place that makes intervals.

Cases are drawn again with replacement (the bootstrap), whole, because what belongs to one case is not independent.
Two things that this alone gets wrong have an interval of their own: a rate at 0 % or 100 %, which no resample changes
(Wilson's), and several training runs, whose seeds are a sample as well as the cases are (`over_seeds`).

Legend: S seeds, K cases.
"""

import dataclasses
import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

NUM_RESAMPLES = 1000
"""Bootstrap samples behind an interval."""

_NORMAL_QUANTILE = 1.959963984540054
"""97.5th percentile of the normal distribution."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A value and its 95 % interval."""

    value: float
    """The measure over all cases."""

    low: float
    """Lower end of the interval: the 2.5th percentile of the measure over resampled cases, where nothing else is
    said."""

    high: float
    """Upper end: the 97.5th percentile."""

    real_clips: float | None = None
    """The same measure of real clips of the same people and prompts, where a report shows it beside."""

    after_vae: float | None = None
    """The same of those clips through the model's VAE: what the model could reach."""

    chance: float | None = None
    """What guessing would give, where a report shows it beside."""

    num_cases: int | None = None
    """Cases behind it, where a report says so."""

    num_seeds: int | None = None
    """Training runs behind it, where a report says so."""


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


def bootstrap_mean(
    values: NDArray[np.float64], *, num_resamples: int = NUM_RESAMPLES, is_rate: bool = False
) -> Estimate:
    """The mean of one value a case, (K,), with its interval.

    Args:
        values: one a case.
        num_resamples: samples to draw.
        is_rate: whether each value is a share of something that can happen; where it happened always or never, the
            interval is Wilson's for so many cases, because every resample says the same.
    """
    if is_rate and len(values) and bool((values == 0).all() or (values == 1).all()):
        return wilson(float(values.sum()), len(values))
    return bootstrap(lambda indices: float(values[indices].mean()), len(values), num_resamples=num_resamples)


def bootstrap_difference(
    first: NDArray[np.float64], second: NDArray[np.float64], *, is_rate: bool = False
) -> Estimate:
    """Mean difference, second less first, of two values a case (K,), with its interval, case by case.

    Args:
        first: one value a case.
        second: the other values of the same cases.
        is_rate: as in `bootstrap_mean`; where things happened in the same cases, the interval says how many in a
            hundred might still differ.
    """
    differences = second - first
    is_counted = is_rate and bool(np.isin(first, (0.0, 0.5, 1.0)).all())  # of nobody, one of two people, everybody
    if is_counted and len(differences) and not differences.any():
        most = wilson(0, len(differences)).high
        return Estimate(value=0.0, low=-most, high=most)
    return bootstrap_mean(differences)


def wilson(num_successes: float, num_trials: int) -> Estimate:
    """A rate with Wilson's score interval (1927), which has a width at 0 % and at 100 % too.

    Raises:
        ValueError: if there is no trial.
    """
    if num_trials < 1:
        raise ValueError("an interval needs at least one trial")
    rate, square = num_successes / num_trials, _NORMAL_QUANTILE**2
    middle = rate + square / (2 * num_trials)
    half = _NORMAL_QUANTILE * math.sqrt(rate * (1 - rate) / num_trials + square / (4 * num_trials**2))
    scale = 1 + square / num_trials
    low, high = (middle - half) / scale, (middle + half) / scale
    return Estimate(value=rate, low=0.0 if rate == 0 else low, high=1.0 if rate == 1 else high)


def mean_over_seeds(values: NDArray[np.float64]) -> Estimate:
    """The mean of one value a seed and case, (S, K), with an interval for other seeds and other cases."""
    num_seeds, num_cases = values.shape
    estimate = over_seeds(bootstrap_mean(values.mean(axis=0)), values.mean(axis=1))
    return dataclasses.replace(estimate, num_cases=num_cases, num_seeds=num_seeds)


def over_seeds(estimate: Estimate, of_seeds: NDArray[np.float64]) -> Estimate:
    """Widens the interval of a mean over seeds, which knows of the cases alone, by what the seeds differ.

    Both ends move outwards by the seeds' half-width (Student's, with one degree of freedom less than there are seeds)
    added to the cases' in quadrature. Drawing seeds and cases together with replacement would be shorter, and wrong
    where it matters: three seeds have ten different resamples. Simulated with three seeds and 30 cases, an interval
    that should hold the truth in 95 % held it, where the seeds vary more than the cases, in 40 % (cases alone), 81 %
    (both drawn with replacement) and 96 % (this one); where the cases vary more, in 90, 95 and 98 %.

    Args:
        estimate: the mean over the seeds with the cases' interval.
        of_seeds: the measure of each seed (S,); of one seed nothing is known of others, and the interval stays.
    """
    num_seeds = len(of_seeds)
    if num_seeds < 2:
        return estimate
    error = float(np.std(of_seeds, ddof=1)) / math.sqrt(num_seeds)
    from scipy.stats import t as student_t  # takes longer to import than plans take to be made

    half = float(student_t.ppf(0.975, num_seeds - 1)) * error
    return dataclasses.replace(
        estimate,
        low=estimate.value - math.hypot(estimate.value - estimate.low, half),
        high=estimate.value + math.hypot(estimate.high - estimate.value, half),
    )
