"""The fit finds the law that made the points, and the choice follows it."""

import random

import pytest

from hornbook.core.errors import UserError
from hornbook.train.scaling import PUBLISHED, Law, choose, fit, useful_tokens

TRUE = Law(E=1.7, A=400.0, a=0.34, B=1500.0, b=0.37)


def grid(law, noise=0.0):
    dice = random.Random(0)
    return [
        (n, d, law.loss(n, d) * (1 + noise * dice.gauss(0, 1)))
        for n in (1e5, 4e5, 1.6e6, 6e6)
        for d in (1e6, 4e6, 1.6e7, 6e7)
    ]


@pytest.mark.parametrize("true", [TRUE, PUBLISHED, Law(1.1, 90.0, 0.25, 300.0, 0.3)])
def test_the_fit_predicts_what_lies_between_and_a_little_beyond(true):
    law = fit(grid(true))
    assert law.error < 0.01
    for n, d in ((8e5, 8e6), (2e6, 3e7), (2.4e7, 2.4e8)):
        assert law.loss(n, d) == pytest.approx(true.loss(n, d), rel=0.02)


def test_noise_of_half_a_percent_moves_the_forecast_by_little():
    law = fit(grid(TRUE, noise=0.005))
    assert law.loss(2.4e7, 2.4e8) == pytest.approx(TRUE.loss(2.4e7, 2.4e8), rel=0.05)


def test_it_knows_where_it_extrapolates():
    law = fit(grid(TRUE))
    assert law.reach(1e6, 1e7) < 1
    assert law.reach(6e6, 6e8) == pytest.approx(10)
    assert PUBLISHED.reach(1, 1) == float("inf")


@pytest.mark.parametrize(
    "points", [grid(TRUE)[:4], [(1e6, d, 3.0) for d in (1, 2, 3, 4, 5)]]
)
def test_too_few_runs_are_refused(points):
    with pytest.raises(UserError, match="too few"):
        fit(points)


def test_the_choice_is_the_best_of_all_and_grows_with_the_budget():
    sizes = [1e6 * 2**k for k in range(12)]
    chosen = []
    for budget in (1e16, 1e18, 1e20):
        best = choose(TRUE, sizes, lambda i, c=budget: c / (6 * sizes[i]))
        losses = [TRUE.loss(n, budget / (6 * n)) for n in sizes]
        assert best.loss == pytest.approx(min(losses))
        chosen.append(best.index)
    assert chosen == sorted(set(chosen))


def test_passes_over_the_same_text_are_worth_less_and_less():
    assert useful_tokens(50, 100) == 50
    assert useful_tokens(400, 100) == pytest.approx(372, abs=1)
    assert useful_tokens(1e9, 100) == pytest.approx(1600)
    assert useful_tokens(1e9, 0) == 1e9
