"""Intervals: against closed forms, and by how often they hold the truth."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hornbook.evaluate.intervals import bootstrap, bootstrap_ratio, wilson


def test_wilson_agrees_with_published_values():
    # Newcombe 1998, Statistics in Medicine 17, table I: the score method.
    for successes, n, low, high in [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ]:
        assert wilson(successes, n) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_holds_the_share_and_mirrors(case):
    successes, n = case
    low, high = wilson(successes, n)
    assert 0 <= low <= successes / n <= high <= 1
    assert low < high
    mirrored = wilson(n - successes, n)
    assert (1 - high, 1 - low) == pytest.approx(mirrored)


def test_wilson_ends_solve_its_equation():
    low, high = wilson(37, 100)
    for p in (low, high):
        assert abs(0.37 - p) / math.sqrt(p * (1 - p) / 100) == pytest.approx(1.959964)


def test_wilson_of_nothing_knows_nothing():
    assert wilson(0, 0) == (0.0, 1.0)
    with pytest.raises(ValueError, match="3 successes out of 2"):
        wilson(3, 2)


def test_bootstrap_of_the_mean_is_near_the_normal_interval():
    values = np.random.default_rng(3).exponential(2.0, 4000)
    reach = 1.96 * values.std() / math.sqrt(len(values))
    low, high = bootstrap(values)
    assert low == pytest.approx(values.mean() - reach, abs=0.1 * reach)
    assert high == pytest.approx(values.mean() + reach, abs=0.1 * reach)


def test_bootstrap_interval_holds_the_truth_about_95_times_in_100():
    rng = np.random.default_rng(5)
    inside = 0
    for k in range(200):
        low, high = bootstrap(rng.normal(1.0, 2.0, 60), resamples=400, seed=k)
        inside += low <= 1.0 <= high
    assert 180 <= inside <= 199


def test_bootstrap_of_a_ratio_weighs_by_the_denominator():
    # One huge document at 1, many tiny ones at 9: the ratio of sums is near 1.
    low, high = bootstrap_ratio([1000.0] * 50 + [9.0] * 50, [1000.0] * 50 + [1.0] * 50)
    assert low < 1016 * 50 / (1001 * 50) * 1.001
    assert 1.0 < low < high < 1.03


def test_bootstrap_is_repeatable_and_refuses_nothing():
    assert bootstrap([1, 2, 5]) == bootstrap([1, 2, 5])
    assert bootstrap([4.0]) == (4.0, 4.0)
    with pytest.raises(ValueError, match="some"):
        bootstrap([])
