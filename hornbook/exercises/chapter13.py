"""Exercises of chapter 13: evaluation."""

import math

import numpy as np

from hornbook.evaluate.compare import mcnemar
from hornbook.evaluate.generation import pass_at_k
from hornbook.evaluate.intervals import wilson
from hornbook.exercises.judge import expect, expect_close


def share_interval(right: int, n: int) -> tuple:
    """Return Wilson's 95 % interval of a share, as a pair of numbers between 0 and 1.

    It holds every share p for which (right / n - p) squared is at most z squared times
    p (1 - p) / n, with z = 1.96.
    """
    raise NotImplementedError


def check_share_interval(answer) -> None:
    """Against the program's own, at the ends and between."""
    for right, n in ((0, 50), (50, 50), (3, 20), (700, 1319)):
        got, want = answer(right, n), wilson(right, n)
        expect(len(got) == 2, "The result should be a pair: lower end, upper end.")
        expect(
            max(abs(got[0] - want[0]), abs(got[1] - want[1])) < 2e-4,
            f"For {right} of {n} it is {want[0]:.4f} to {want[1]:.4f}, "
            f"not {got[0]:.4f} to {got[1]:.4f}.",
        )


def at_least_one(n: int, passed: int, k: int) -> float:
    """Return the chance that one of `k` programs passes, from `n` of which `passed` did.

    Count the ways to choose `k` of the `n` programs: that makes the estimate unbiased.
    """
    raise NotImplementedError


def check_at_least_one(answer) -> None:
    """Against the program's own, and where nearly all pass."""
    for n, passed, k in ((20, 2, 10), (20, 0, 5), (10, 9, 3), (5, 1, 1), (100, 3, 10)):
        got, want = answer(n, passed, k), pass_at_k(n, passed, k)
        expect(
            abs(got - want) < 1e-9,
            f"For {passed} of {n} and k = {k} it is {want:.4f}, not {got:.4f}.",
        )


def luck(only_a: int, only_b: int) -> float:
    """Return how often a fair coin would split the items at least as unevenly.

    `only_a` items were answered right by model A alone, `only_b` by model B alone. Both
    directions count, and the result is never more than 1.
    """
    raise NotImplementedError


def check_luck(answer) -> None:
    """Against the program's own."""
    for a, b in ((0, 0), (5, 5), (0, 6), (12, 20), (30, 60)):
        got, want = answer(a, b), mcnemar(a, b)
        expect(
            abs(got - want) < 1e-9,
            f"With {a} and {b} items on the two sides it is {want:.5f}, not {got:.5f}.",
        )


def grouped_interval(scores: dict, draws: int, seed: int) -> tuple:
    """Return a bootstrap's 95 % interval of the mean score, drawing whole groups.

    `scores` maps a group's name to the list of its items' scores; groups may differ in
    size. Draw as many groups as there are, with replacement, `draws` times; each time take
    the mean over all items drawn. The result is the pair of quantiles at 2.5 and 97.5 %.
    """
    raise NotImplementedError


def check_grouped_interval(answer) -> None:
    """Wide where groups differ; the mean over items, not over groups."""
    rng = np.random.default_rng(0)
    scores = {
        f"subject {k}": (rng.random(20 + 40 * (k % 2)) < rng.random())
        .astype(float)
        .tolist()
        for k in range(24)
    }
    low, high = answer(scores, 4000, 1)
    sums = np.array([sum(v) for v in scores.values()])
    sizes = np.array([len(v) for v in scores.values()])
    picked = np.random.default_rng(5).integers(0, 24, (20_000, 24))
    means = sums[picked].sum(1) / sizes[picked].sum(1)
    want = np.quantile(means, [0.025, 0.975])
    questions = wilson(int(sums.sum()), int(sizes.sum()))
    expect(
        high - low > 1.5 * (questions[1] - questions[0]),
        "Your interval is as narrow as if all items were independent: draw groups.",
    )
    expect_close([low, high], want, "The ends of the interval", within=0.02)
    expect(math.isfinite(low + high), "The ends should be numbers.")
