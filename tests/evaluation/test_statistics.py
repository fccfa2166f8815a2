import numpy as np
import pytest

from ingredients.evaluation.statistics import bootstrap, bootstrap_mean


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
