"""From the records of a benchmark to its numbers, each with how far it may be off."""

import math
from collections import defaultdict

import numpy as np

from hornbook.evaluate.intervals import bootstrap, bootstrap_ratio, wilson
from hornbook.evaluate.notes import Record
from hornbook.evaluate.results import Result
from hornbook.evaluate.task import TaskConfig

# Shares of what an item has several of: what counts, of how many.
SHARES = {
    f"inst_level_{name}_acc": (f"{name}_followed", "instructions")
    for name in ("strict", "loose")
}
LOWER = ("perplexity", "word_perplexity", "byte_perplexity", "bits_per_byte")


def summarize(task: TaskConfig, records: list[Record], note: str = "") -> list[Result]:
    """The task's main metric, then its others, over all records."""
    found = []
    sampled = [name for name in records[0].scores if name.startswith("pass@")]
    others = [name for name in sampled if name != task.main_metric]
    for metric in (task.main_metric, *task.extra_metrics, *others):
        value, interval = _measure(metric, records)
        found.append(
            Result(
                task=task.name,
                metric=metric,
                value=value,
                n=len(records),
                ci95=list(interval),
                higher_is_better=metric not in LOWER,
                note=note,
            )
        )
    return found


def by_group(records: list[Record], metric: str) -> dict[str, tuple[float, int]]:
    """Mean and count of each group, as of MMLU's subjects."""
    groups: dict[str, list[float]] = defaultdict(list)
    for record in records:
        groups[record.group].append(record.scores[metric])
    return {name: (float(np.mean(v)), len(v)) for name, v in sorted(groups.items())}


def _measure(metric: str, records: list[Record]) -> tuple[float, tuple[float, float]]:
    if metric in LOWER:
        return _perplexity(metric, records)
    if metric in SHARES:
        above, below = ([r.scores[name] for r in records] for name in SHARES[metric])
        return sum(above) / sum(below), bootstrap_ratio(above, below)
    values = np.array([record.scores[metric] for record in records])
    value = float(values.mean())
    if len({record.group for record in records}) > 1:
        return value, _clustered(metric, records)
    if np.isin(values, (0.0, 1.0)).all():
        return value, wilson(int(values.sum()), len(values))
    return value, bootstrap(values)


def _clustered(metric: str, records: list[Record]) -> tuple[float, float]:
    """Questions of one subject are alike, so whole subjects are drawn anew."""
    groups = by_group(records, metric).values()
    counts = [count for _, count in groups]
    return bootstrap_ratio([mean * count for mean, count in groups], counts)


def _perplexity(
    metric: str, records: list[Record]
) -> tuple[float, tuple[float, float]]:
    unit = {"word_perplexity": "words", "byte_perplexity": "bytes"}.get(metric, "bytes")
    nats = np.array([-record.scores["nats"] for record in records])
    size = np.array([record.scores.get(unit, 1.0) for record in records])
    if metric == "perplexity":
        size = np.ones(len(records))
    value = float(nats.sum() / size.sum())
    low, high = bootstrap_ratio(nats, size)
    if metric == "bits_per_byte":
        return value / math.log(2), (low / math.log(2), high / math.log(2))
    return math.exp(value), (math.exp(low), math.exp(high))
