"""Two models on the same questions: is one better, or was it luck?

The answers are paired by item, so what makes a question hard for both drops out. Shares of
right answers are compared by McNemar's exact test (1947): only items that the two answer
differently count, and by luck each falls to either side with equal chance. Other measures,
as nats of a text, by resampling the differences.
"""

import math
from dataclasses import dataclass, field
from pathlib import Path
from statistics import NormalDist

import msgspec
import numpy as np

from hornbook.core.errors import UserError
from hornbook.evaluate.intervals import bootstrap
from hornbook.evaluate.notes import Record, read_notes

SIZES = {"words", "bytes", "instructions"}  # of an item: no measures of a model
TIE = 1e-4  # rewards that differ by less are equal: float32's rounding
ALPHA = 0.05  # how often luck alone may look like a difference


@dataclass(frozen=True)
class Comparison:
    """One metric of one task, for models A and B."""

    task: str
    metric: str
    n: int  # items
    a: float  # mean over the items
    b: float
    ci95: tuple[float, float]  # of b - a
    p: float  # the chance of a difference as large where there is none
    only_a: list[int] = field(default_factory=list)  # items that only A got right
    only_b: list[int] = field(default_factory=list)
    more: int | None = None  # items needed besides to tell them apart; None: never

    @property
    def separate(self) -> bool:
        """Whether luck is no good explanation."""
        return self.p < ALPHA


def compare(a: Path, b: Path) -> list[Comparison]:
    """Every task that the records in the folders ``a`` and ``b`` have in common.

    Raises :class:`UserError` where there is none, or one was asked other questions.
    """
    mine, theirs = (
        {path.name: path for path in sorted(f.glob("*.jsonl"))} for f in (a, b)
    )
    found = []
    for name in [name for name in mine if name in theirs]:
        head, records = read_notes(mine[name])
        other_head, others = read_notes(theirs[name])
        if head["prompts"] != other_head["prompts"]:
            raise UserError(
                f"{mine[name]} and {theirs[name]} are of different questions; evaluate both "
                "with the same data, --shots and --limit."
            )
        found += compare_records(head["task"], records, others)
    if not found:
        raise UserError(
            f"{a} and {b} have no task in common; evaluate both on the same."
        )
    return found


def compare_records(
    task: str, a: dict[int, Record], b: dict[int, Record]
) -> list[Comparison]:
    """Each metric of a task, over the items that both have answered."""
    numbers = sorted(a.keys() & b.keys())
    ours, theirs = [a[n].scores for n in numbers], [b[n].scores for n in numbers]
    metrics = set(ours[0]) & set(theirs[0]) - SIZES if numbers else set()
    found = [
        _compare(
            *(task, metric, numbers),
            np.array([scores[metric] for scores in ours]),
            np.array([scores[metric] for scores in theirs]),
        )
        for metric in sorted(metrics)
    ]
    if "reward" in metrics:
        found.append(_win_rate(task, numbers, ours, theirs))
    return found


def _win_rate(
    task: str, numbers: list[int], a: list[dict[str, float]], b: list[dict[str, float]]
) -> Comparison:
    """Whose answer has the higher reward; a tie is half a win for each."""
    leads = np.array([x["reward"] - y["reward"] for x, y in zip(a, b, strict=True)])
    leads[np.abs(leads) < TIE] = 0
    wins = (1 + np.sign(leads)) / 2
    return _compare(task, "win rate", numbers, wins, 1 - wins)


def _compare(
    task: str, metric: str, numbers: list[int], a: np.ndarray, b: np.ndarray
) -> Comparison:
    verdicts = bool(np.isin([a, b], (0.0, 0.5, 1.0)).all())
    only_a = [
        n for n, flip in zip(numbers, b - a, strict=True) if verdicts and flip < 0
    ]
    only_b = [
        n for n, flip in zip(numbers, b - a, strict=True) if verdicts and flip > 0
    ]
    return Comparison(
        *(task, metric, len(numbers), float(a.mean()), float(b.mean())),
        ci95=bootstrap(b - a),
        p=mcnemar(len(only_a), len(only_b)) if verdicts else sign_flip(b - a),
        only_a=only_a,
        only_b=only_b,
        more=items_needed(b - a),
    )


def mcnemar(only_a: int, only_b: int) -> float:
    """The exact two-sided p of so many items on either side (a fair coin's)."""
    n, fewer = only_a + only_b, min(only_a, only_b)
    if not n:
        return 1.0
    tail = sum(math.comb(n, k) for k in range(fewer + 1))
    return min(
        1.0, float(2 * tail / 2**n) if n < 1000 else _normal_tail(only_a, only_b)
    )


def _normal_tail(only_a: int, only_b: int) -> float:
    """The same for many items, with the correction for continuity."""
    distance = max(abs(only_a - only_b) - 1, 0) / math.sqrt(only_a + only_b)
    return 2 * (1 - NormalDist().cdf(distance))


def sign_flip(differences: np.ndarray, draws: int = 10_000, seed: int = 0) -> float:
    """The share of random signs that move the mean as far from 0 (Fisher 1935)."""
    rng = np.random.default_rng(seed)
    seen, beyond = 0, 0
    while seen < draws:
        size = min(draws - seen, max(1, (1 << 22) // len(differences)))
        signs = rng.choice((-1.0, 1.0), (size, len(differences)))
        moved = np.abs(signs @ differences) >= abs(differences.sum()) * (1 - 1e-12)
        beyond, seen = beyond + int(moved.sum()), seen + size
    return (beyond + 1) / (seen + 1)


def items_needed(differences: np.ndarray) -> int | None:
    """How many more items of the same kind would tell the two apart.

    So many that the difference found, were it the true one, lies 1.96 standard errors from
    0. None where they do not differ at all.
    """
    mean, spread = float(differences.mean()), float(differences.std())
    if mean == 0:
        return None
    reach = NormalDist().inv_cdf(1 - ALPHA / 2)
    return max(0, math.ceil((reach * spread / mean) ** 2) - len(differences))


def as_json(comparisons: list[Comparison]) -> bytes:
    """All of it, for programs."""
    told = [
        msgspec.to_builtins(one) | {"separate": one.separate} for one in comparisons
    ]
    return msgspec.json.encode(told)
