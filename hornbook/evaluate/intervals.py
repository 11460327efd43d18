"""How far a measured number may be off: 95 % intervals for shares, means and ratios."""

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

Interval = tuple[float, float]

CHUNK = 1 << 22  # indices drawn at a time by the bootstrap: bounds its memory


def wilson(successes: int, n: int, confidence: float = 0.95) -> Interval:
    """Interval of a share ``successes / n`` (Wilson 1927).

    Unlike the textbook's p ± 2 standard errors it is right for 0 of n and for small n.
    With n = 0 nothing is known: (0, 1).
    """
    if not 0 <= successes <= n:
        raise ValueError(f"{successes} successes out of {n} cannot be")
    if n == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    share = successes / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    reach = (
        z * math.sqrt(share * (1 - share) / n + (z / (2 * n)) ** 2) / (1 + z * z / n)
    )
    low = 0.0 if successes == 0 else max(0.0, centre - reach)
    high = 1.0 if successes == n else min(1.0, centre + reach)
    return low, high


def bootstrap(
    values: Sequence[float] | np.ndarray,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """Interval of the mean of ``values`` by resampling them (Efron 1979, percentiles)."""
    values = np.asarray(values, dtype=np.float64)
    return bootstrap_ratio(values, np.ones_like(values), confidence, resamples, seed)


def bootstrap_ratio(
    numerators: Sequence[float] | np.ndarray,
    denominators: Sequence[float] | np.ndarray,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """Interval of ``sum(numerators) / sum(denominators)``, resampling the pairs.

    For bits per byte the pairs are documents: bytes of one document depend on each other,
    so resampling bytes would claim far too narrow an interval.
    """
    top = np.asarray(numerators, dtype=np.float64)
    bottom = np.asarray(denominators, dtype=np.float64)
    if len(top) != len(bottom) or not len(top):
        raise ValueError(
            "a bootstrap needs as many numerators as denominators, and some"
        )
    rng = np.random.default_rng(seed)
    at_once = max(1, CHUNK // len(top))
    ratios = []
    for done in range(0, resamples, at_once):
        size = (min(at_once, resamples - done), len(top))
        picked = rng.integers(0, len(top), size)
        ratios.append(top[picked].sum(1) / bottom[picked].sum(1))
    tail = (1 - confidence) / 2
    low, high = np.quantile(np.concatenate(ratios), [tail, 1 - tail])
    return float(low), float(high)
