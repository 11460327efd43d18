"""Right answers to the exercises of chapter 13, and a usual mistake each."""

import math

import numpy as np


def share_interval(right, n):
    z, p = 1.96, right / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    reach = z * math.sqrt(p * (1 - p) / n + (z / (2 * n)) ** 2) / (1 + z * z / n)
    return max(0.0, centre - reach), min(1.0, centre + reach)


def wrong_share_interval(right, n):
    p = right / n
    reach = 1.96 * math.sqrt(p * (1 - p) / n)
    return p - reach, p + reach


def at_least_one(n, passed, k):
    return 1 - math.comb(n - passed, k) / math.comb(n, k)


def wrong_at_least_one(n, passed, k):
    return 1 - (1 - passed / n) ** k


def luck(only_a, only_b):
    n, fewer = only_a + only_b, min(only_a, only_b)
    return min(1.0, 2 * sum(math.comb(n, k) for k in range(fewer + 1)) / 2**n)


def wrong_luck(only_a, only_b):
    n, fewer = only_a + only_b, min(only_a, only_b)
    return sum(math.comb(n, k) for k in range(fewer + 1)) / 2**n  # one side only


def grouped_interval(scores, draws, seed):
    rng = np.random.default_rng(seed)
    sums = np.array([sum(v) for v in scores.values()])
    sizes = np.array([len(v) for v in scores.values()])
    picked = rng.integers(0, len(sums), (draws, len(sums)))
    means = sums[picked].sum(1) / sizes[picked].sum(1)
    return tuple(np.quantile(means, [0.025, 0.975]))


def wrong_grouped_interval(scores, draws, seed):
    rng = np.random.default_rng(seed)
    items = np.array([x for v in scores.values() for x in v])
    means = items[rng.integers(0, len(items), (draws, len(items)))].mean(1)
    return tuple(np.quantile(means, [0.025, 0.975]))
