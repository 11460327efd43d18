"""The measurements of chapter 13: how often an interval is right, and what hides a copy.

    python -m book.experiments.measuring

Coverage and expectations are exact sums over the binomial distribution; the rest is
simulated from a seed. The intervals and tests are those of ``hornbook/evaluate/``.
"""

import math
from typing import Any

import numpy as np

from book.experiments.record import record
from hornbook.evaluate.compare import ALPHA, mcnemar
from hornbook.evaluate.generation import pass_at_k
from hornbook.evaluate.intervals import bootstrap_ratio, wilson

Z = 1.959964


def main() -> None:
    """Every experiment, and the file of each."""
    record("13/coverage.json", coverage())
    record("13/samples.json", samples())
    record("13/power.json", power())
    record("13/clusters.json", clusters())
    record("13/overlap.json", overlap())
    record("13/best.json", best())


def binomial(n: int, p: float) -> list[float]:
    """The probabilities of 0 to ``n`` successes."""
    return [math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(n + 1)]


# ------------------------------------------------------------------------------- intervals
def coverage() -> dict[str, Any]:
    """How often an interval that claims 95 % holds the true share, exactly."""
    curves: dict[str, list[list[float]]] = {"wilson": [], "textbook": []}
    for step in range(1, 100):
        p = step / 100
        chances = binomial(50, p)
        for name, interval in (("wilson", wilson), ("textbook", _textbook)):
            held = [k for k in range(51) if _inside(interval(k, 50), p)]
            curves[name].append([p, sum(chances[k] for k in held)])
    widths = [
        {"n": n, "width": wilson(round(0.5 * n), n)[1] - wilson(round(0.5 * n), n)[0]}
        for n in (50, 164, 500, 1319, 5000, 14042)
    ]
    return {
        "n": 50,
        "curves": curves,
        "widths": widths,
        "none_of": list(wilson(0, 164)),
    }


def _textbook(successes: int, n: int) -> tuple[float, float]:
    p = successes / n
    reach = Z * math.sqrt(p * (1 - p) / n)
    return p - reach, p + reach


def _inside(interval: tuple[float, float], p: float) -> bool:
    return interval[0] <= p <= interval[1]


# ------------------------------------------------------------------------- several samples
def samples() -> dict[str, Any]:
    """Pass@10 from 20 programs: the truth, and the means of two estimates."""
    n, k = 20, 10
    rows = []
    for step in range(31):
        p = step / 100
        chances = binomial(n, p)
        unbiased = sum(q * pass_at_k(n, c, k) for c, q in enumerate(chances))
        plugged = sum(q * (1 - (1 - c / n) ** k) for c, q in enumerate(chances))
        rows.append(
            {"p": p, "true": 1 - (1 - p) ** k, "unbiased": unbiased, "plugged": plugged}
        )
    return {"samples": n, "k": k, "rows": rows}


# ---------------------------------------------------------------------------- two models
def power() -> dict[str, Any]:
    """How often a true lead of two points is seen, by the number of items."""
    rng = np.random.default_rng(1)
    lead, apart, share = 0.02, 0.10, 0.5  # they answer a tenth of the items differently
    rows = []
    for n in (100, 200, 500, 1000, 1500, 2000, 3000, 5000, 8000):
        only_b = rng.binomial(n, (apart + lead) / 2, 1000)
        only_a = rng.binomial(n - only_b, (apart - lead) / 2 / (1 - (apart + lead) / 2))
        seen = [
            mcnemar(int(a), int(b)) < ALPHA for a, b in zip(only_a, only_b, strict=True)
        ]
        a, b = rng.binomial(n, share, 1000), rng.binomial(n, share + lead, 1000)
        spread = np.sqrt((a / n) * (1 - a / n) / n + (b / n) * (1 - b / n) / n)
        far = np.abs(b - a) / n > Z * spread
        bars = [
            wilson(int(x), n)[1] < wilson(int(y), n)[0]
            for x, y in zip(a, b, strict=True)
        ]
        rows.append(
            {
                "n": n,
                "paired": float(np.mean(seen)),
                "unpaired": float(far.mean()),
                "apart": float(np.mean(bars)),
            }
        )
    return {"lead": lead, "differ": apart, "rows": rows}


# ------------------------------------------------------------------------------- clusters
def clusters() -> dict[str, Any]:
    """Questions that come in subjects: how often each interval holds the truth."""
    rng = np.random.default_rng(2)
    subjects, each, times = 57, 30, 400
    rows = []
    for spread in (0.0, 0.05, 0.1, 0.15, 0.2):
        alone, together, widths = 0, 0, np.zeros(2)
        for n in range(times):
            chances = np.clip(0.5 + spread * rng.standard_normal(subjects), 0.02, 0.98)
            right = rng.binomial(each, chances)
            one = wilson(int(right.sum()), subjects * each)
            other = bootstrap_ratio(
                right, np.full(subjects, each), resamples=600, seed=n
            )
            alone += _inside(one, 0.5)
            together += _inside(other, 0.5)
            widths += [one[1] - one[0], other[1] - other[0]]
        rows.append(
            {
                "spread": spread,
                "questions": alone / times,
                "subjects": together / times,
                "width_questions": widths[0] / times,
                "width_subjects": widths[1] / times,
            }
        )
    return {"subjects": subjects, "each": each, "times": times, "rows": rows}


# -------------------------------------------------------------------------- contamination
def overlap() -> dict[str, Any]:
    """The chance that a copied item still shares 13 words in a row when words are changed."""
    curves: dict[str, list[list[float]]] = {}
    for words in (30, 60, 120):
        curves[str(words)] = [
            [step / 100, _still_run(words, 13, step / 100)] for step in range(41)
        ]
    return {"run": 13, "curves": curves}


def _still_run(words: int, run: int, change: float) -> float:
    """That some ``run`` words in a row are unchanged, each changed by itself."""
    none = [1.0, *[0.0] * (run - 1)]  # by how many words in a row are unchanged so far
    for _ in range(words):
        fresh = change * sum(none)
        none = [fresh, *[(1 - change) * x for x in none[:-1]]]
    return 1 - sum(none)


# ------------------------------------------------------------------------ the best of many
def best() -> dict[str, Any]:
    """The best of many equally good models, by how many were tried on one test set."""
    rng = np.random.default_rng(3)
    rows = []
    for tried in (1, 2, 5, 10, 20, 50, 100):
        row: dict[str, float] = {"tried": tried}
        for n in (164, 1000):
            scores = rng.binomial(n, 0.4, (4000, tried)) / n
            row[str(n)] = float(scores.max(1).mean())
        rows.append(row)
    return {"true": 0.4, "rows": rows}


if __name__ == "__main__":
    main()
