import numpy as np
import pytest

from ingredients.evaluation.statistics import (
    Estimate,
    bootstrap,
    bootstrap_difference,
    bootstrap_mean,
    mean_over_seeds,
    over_seeds,
    wilson,
)


def test_the_interval_of_a_mean_is_about_two_standard_errors_wide():
    values = np.random.default_rng(5).normal(loc=0.7, scale=0.2, size=400)
    estimate = bootstrap_mean(values)
    standard_error = values.std() / np.sqrt(len(values))
    assert estimate.value == pytest.approx(values.mean())
    assert estimate.low == pytest.approx(values.mean() - 1.96 * standard_error, abs=0.2 * standard_error)
    assert estimate.high == pytest.approx(values.mean() + 1.96 * standard_error, abs=0.2 * standard_error)


def test_constant_values_have_no_uncertainty_and_one_case_is_enough():
    estimate = bootstrap_mean(np.full(7, 0.25))
    assert (estimate.low, estimate.value, estimate.high) == (0.25, 0.25, 0.25)
    assert bootstrap_mean(np.array([0.5])).value == 0.5


def test_the_same_cases_give_the_same_interval():
    values = np.random.default_rng(1).random(11)
    assert bootstrap_mean(values) == bootstrap_mean(values)


def test_no_case_is_an_error():
    with pytest.raises(ValueError, match="at least one case"):
        bootstrap(lambda indices: 0.0, 0)


def test_the_interval_of_a_biased_measure_lies_around_its_value():
    """Repeating cases shrinks the variance by 1 - 1/n: with four cases, a resample has three quarters of it."""
    values = np.array([0.0, 1.0, 2.0, 7.0])

    def variance(indices: np.ndarray) -> float:
        return float(values[indices].var())

    plain = bootstrap(variance, len(values))
    moved = bootstrap(variance, len(values), is_biased=True)
    assert moved.value == plain.value == pytest.approx(values.var())
    assert moved.low - plain.low == pytest.approx(moved.high - plain.high)
    assert moved.low - plain.low == pytest.approx(values.var() / 4, rel=0.15)


def test_a_rate_that_never_varies_has_wilsons_interval():
    """Eight of eight: no resample says anything else, and yet the next one may fail."""
    always, never = (bootstrap_mean(np.full(8, value), is_rate=True) for value in (1.0, 0.0))
    assert (always.value, always.high) == (1.0, 1.0)
    assert always.low == pytest.approx(8 / (8 + 1.959964**2))  # Wilson's lower end for x = n
    assert (never.value, never.low) == (0.0, 0.0)
    assert never.high == pytest.approx(1 - always.low)
    sometimes = np.array([1.0, 1.0, 0.0, 1.0])
    assert bootstrap_mean(sometimes, is_rate=True) == bootstrap_mean(sometimes)
    assert bootstrap_mean(np.full(8, 1.0)).low == 1.0  # a similarity of 1 everywhere is no rate


def test_rates_that_differ_in_no_case_may_differ_in_another():
    same = np.array([1.0, 0.5, 1.0, 0.0])
    estimate = bootstrap_difference(same, same, is_rate=True)
    assert estimate.value == 0.0
    assert estimate.high == -estimate.low == pytest.approx(wilson(0, 4).high)
    recalls = np.array([0.93, 0.87])  # measured shares, and not things that happen or not: the same is the same
    assert bootstrap_difference(recalls, recalls, is_rate=True).high == 0.0
    assert bootstrap_difference(recalls, recalls + 0.1, is_rate=True).value == pytest.approx(0.1)


def test_wilsons_interval_by_hand():
    """The ends are where the rate lies 1.96 standard errors of that end's own rate away."""
    estimate = wilson(3, 12)
    for end in (estimate.low, estimate.high):
        assert abs(0.25 - end) == pytest.approx(1.959964 * np.sqrt(end * (1 - end) / 12), rel=1e-6)
    with pytest.raises(ValueError, match="at least one trial"):
        wilson(0, 0)


def test_what_seeds_differ_by_widens_the_interval_of_their_mean():
    """Without noise in the cases it is Student's: 0.022, 0.011 and 0.000 are 0.011 +- 4.303 x 0.011 / sqrt(3)."""
    constant = mean_over_seeds(np.repeat([[0.022], [0.011], [0.0]], 30, axis=1))
    half = 4.302653 * 0.011 / np.sqrt(3)
    assert (constant.value, constant.low, constant.high) == pytest.approx((0.011, 0.011 - half, 0.011 + half))
    cases = Estimate(value=0.011, low=0.001, high=0.031)
    both = over_seeds(cases, np.array([0.022, 0.011, 0.0]))
    assert both.value - both.low == pytest.approx(np.hypot(0.01, half))
    assert both.high - both.value == pytest.approx(np.hypot(0.02, half))
    assert over_seeds(cases, np.array([0.011])) == cases  # one seed says nothing of others


def test_intervals_over_seeds_and_cases_hold_the_truth():
    """Three seeds that vary by 0.03 and 30 cases: 95 % should hold the 0 that all is drawn around."""
    rng = np.random.default_rng(3)
    held, held_by_cases = 0, 0
    for _ in range(60):
        values = rng.normal(0, 0.03, (3, 1)) + rng.normal(0, 0.05, (3, 30))
        both, cases = mean_over_seeds(values), bootstrap_mean(values.mean(axis=0), num_resamples=200)
        held += both.low <= 0 <= both.high
        held_by_cases += cases.low <= 0 <= cases.high
    assert held >= 54
    assert held_by_cases <= 36
