"""Exercises of chapter 9: scaling laws and planning."""

import numpy as np

from hornbook.exercises.judge import expect
from hornbook.train.scaling import PUBLISHED, useful_tokens


def power_law(x: list[float], y: list[float]) -> tuple[float, float]:
    """Return `A` and `a` of the law `y = A / x**a` that fits best in logarithms.

    Least squares: the sum of `(ln y - ln A + a ln x)**2` is to be as small as it can be.
    """
    raise NotImplementedError


def check_power_law(answer) -> None:
    """An exact law, and noisy points beside NumPy's fit of a line."""
    x = [1e3, 1e4, 1e6]
    big, small = answer(x, [5 / v**0.3 for v in x])
    exact = abs(big - 5) < 1e-6 and abs(small - 0.3) < 1e-9
    expect(exact, f"Points of 5 / x**0.3 should give 5 and 0.3, not {big}, {small}.")
    dice = np.random.default_rng(0)
    x = list(10 ** dice.uniform(3, 8, 20))
    y = [3 / v**0.2 * float(np.exp(0.1 * dice.standard_normal())) for v in x]
    slope, height = np.polyfit(np.log(x), np.log(y), 1)
    big, small = answer(x, y)
    close = abs(small + slope) < 1e-6 and abs(big / np.exp(height) - 1) < 1e-6
    expect(bool(close), f"Noisy points: a should be {-slope:.4f}, not {small:.4f}.")


def optimum(
    A: float, a: float, B: float, b: float, flops: float
) -> tuple[float, float]:
    """Return the parameters and tokens that a budget of operations is best spent on.

    The loss is `E + A / N**a + B / D**b`, and training takes `6 * N * D` operations.
    """
    raise NotImplementedError


def check_optimum(answer) -> None:
    """The budget is spent, and a little more or less of either is worse."""
    law = PUBLISHED
    for flops in (1e18, 1e21, 1e24):
        n, d = answer(law.A, law.a, law.B, law.b, flops)
        expect(abs(6 * n * d / flops - 1) < 1e-6, f"6 N D should be {flops:g}.")
        here = law.loss(n, d)
        for factor in (0.98, 1.02):
            there = law.loss(n * factor, d / factor)
            expect(here < there, f"At {flops:g}, {factor} times as many is better.")


def worth(tokens: float, unique: float) -> float:
    """Return how many new tokens `tokens` are worth when only `unique` of them differ.

    The first pass counts in full. Of what is read after it, measured in passes `r`, the
    worth is `15 * (1 - exp(-r / 15))` passes.
    """
    raise NotImplementedError


def check_worth(answer) -> None:
    """Beside the planner, below one pass and far beyond it."""
    for tokens in (1e8, 1e9, 4e9, 1e11):
        want, got = useful_tokens(tokens, 1e9), answer(tokens, 1e9)
        expect(
            abs(got / want - 1) < 1e-9,
            f"{tokens:g} tokens of 1e9 are worth {want:.4g}, not {got:.4g}.",
        )


def dollars(
    parameters: float, tokens: float, peak: float, share: float, hourly: float
) -> float:
    """Return what a training costs: `6 N D` operations at `share` of `peak` a second.

    `hourly` is the price of an hour. Attention's scores are left out.
    """
    raise NotImplementedError


def check_dollars(answer) -> None:
    """Two trainings by hand."""
    for n, d, peak, share, hourly in (
        (1e8, 1e10, 1e15, 0.4, 2.5),
        (7e9, 1e12, 9e14, 0.5, 2),
    ):
        want = 6 * n * d / (peak * share) / 3600 * hourly
        got = answer(n, d, peak, share, hourly)
        expect(abs(got / want - 1) < 1e-9, f"It costs ${want:,.2f}, not ${got:,.2f}.")
