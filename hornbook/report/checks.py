"""Checks that any run can be put to, computed from its facts.

Each function looks at one thing and gives a :class:`Check`, or ``None`` where the run did
not record what it needs. They state what was compared; they never guess at causes.
"""

import math
from collections.abc import Callable
from statistics import mean, median

from hornbook.report.facts import Check, Facts, Series
from hornbook.report.series import not_finite

FIRST_LOSS = 0.5  # nats the first loss may lie from a uniform guess
PASSES = 4  # over the same text; beyond it a repeat teaches little (arXiv 2305.16264)
SPIKE = 10  # times the median gradient norm
DRIFT = 1.02  # the last validation loss over the lowest one


def standard_checks(facts: Facts) -> list[Check]:
    """Every check that this run recorded enough for."""
    results = (check(facts) for check in CHECKS)
    return [result for result in results if result]


def first_loss(facts: Facts) -> Check | None:
    """An untrained model should know nothing: its loss is ln(vocabulary)."""
    points = _points(facts, "pretrain/loss")
    if not points or not facts.tokenizer or points[0][0] > 1:
        return None
    uniform, loss = math.log(facts.tokenizer.vocab_size), points[0][1]
    return Check(
        "first loss",
        abs(loss - uniform) <= FIRST_LOSS,
        f"The first loss, {loss:.2f}, against {uniform:.2f} for a uniform guess "
        f"(at most {FIRST_LOSS} apart)",
    )


def finite(facts: Facts) -> Check | None:
    """NaN or infinity anywhere in a curve."""
    if not facts.series:
        return None
    bad = {name: not_finite(series.pts) for name, series in facts.series.items()}
    where = ", ".join(name for name, count in bad.items() if count)
    return Check(
        "finite",
        not where,
        f"Values that are not finite: {sum(bad.values())}, in {where}"
        if where
        else "Every value of every curve is finite",
    )


def gradient_norm(facts: Facts) -> Check | None:
    """Spikes of the gradient."""
    points = _points(facts, "pretrain/gradient_norm")
    if len(points) < 20:
        return None
    norms = [y for _, y in points[len(points) // 10 :]]  # the start is always steep
    highest, typical = max(norms), median(norms)
    return Check(
        "gradient",
        highest <= SPIKE * typical,
        f"Highest gradient norm after the first tenth, {highest:.2f}, against a median "
        f"of {typical:.2f} (at most {SPIKE} times)",
    )


def beats_references(facts: Facts) -> Check | None:
    """The final loss against what needs no model."""
    points = _points(facts, "pretrain/validation")
    if not points or not facts.training or not facts.training.references:
        return None
    name, reference = min(facts.training.references.items(), key=lambda item: item[1])
    return Check(
        "references",
        points[-1][1] < reference,
        f"Final validation loss, {points[-1][1]:.2f}, against {reference:.2f} for {name}",
    )


def ended_at_best(facts: Facts) -> Check | None:
    """A validation loss that rises again says the run went on too long."""
    points = _points(facts, "pretrain/validation")
    if len(points) < 3:
        return None
    last, best = points[-1][1], min(y for _, y in points)
    return Check(
        "ended at its best",
        last <= DRIFT * best,
        f"Last validation loss, {last:.3f}, against the lowest, {best:.3f} "
        f"(at most {100 * (DRIFT - 1):.0f} % above)",
    )


def generalisation(facts: Facts) -> Check | None:
    """Training and validation loss at the end."""
    train = _points(facts, "pretrain/loss")
    validation = _points(facts, "pretrain/validation")
    if len(train) < 20 or not validation:
        return None
    seen = mean(y for _, y in train[-len(train) // 20 :])
    gap = validation[-1][1] - seen
    return Check(
        "generalisation",
        gap <= 0.5,
        f"Validation loss minus training loss at the end: {gap:+.2f} nats (at most 0.5)",
    )


def passes(facts: Facts) -> Check | None:
    """How often the same text was seen."""
    training = facts.training
    if not training or not training.train_tokens:
        return None
    count = training.tokens / training.train_tokens
    return Check(
        "passes",
        count <= PASSES,
        f"Passes over the training text: {count:.1f} (at most {PASSES})",
    )


def beats_compressors(facts: Facts) -> Check | None:
    """A language model is a compressor; it should be a better one than xz."""
    for result in facts.evals:
        if result.metric == "bits per byte" and result.baselines:
            name, best = min(result.baselines.items(), key=lambda item: item[1])
            return Check(
                "compressors",
                result.value < best,
                f"{result.value:.3f} bits per byte against {best:.3f} of {name}, the "
                "best of those compared",
            )
    return None


def funnel_adds_up(facts: Facts) -> Check | None:
    """Every document that went in came out or has a reason."""
    if not facts.funnel:
        return None
    lost = [
        step.name
        for step in facts.funnel
        if step.reasons
        and step.documents_in - step.documents_out
        != sum(removed.documents for removed in step.reasons.values())
    ]
    gaps = [
        after.name
        for before, after in zip(facts.funnel, facts.funnel[1:], strict=False)
        if before.documents_out != after.documents_in
    ]
    wrong = lost + gaps
    return Check(
        "funnel",
        not wrong,
        "Every document of the funnel is kept or has a reason"
        + (f", but not in: {', '.join(wrong)}" if wrong else ""),
    )


def preferences(facts: Facts) -> Check | None:
    """DPO should put the chosen answer first more often than not."""
    held_out = _points(facts, "dpo/held_out_accuracy")
    points = held_out or _points(facts, "dpo/accuracy")
    if not points:
        return None
    which = "held-out" if held_out else "training"
    return Check(
        "preferences",
        points[-1][1] > 0.5,
        f"DPO ranks the chosen answer first in {100 * points[-1][1]:.0f} % of the "
        f"{which} pairs (more than 50 %)",
    )


CHECKS: tuple[Callable[[Facts], Check | None], ...] = (
    first_loss,
    beats_references,
    ended_at_best,
    generalisation,
    passes,
    gradient_norm,
    finite,
    beats_compressors,
    preferences,
    funnel_adds_up,
)


def _points(facts: Facts, name: str) -> list[tuple[float, float]]:
    points = facts.series.get(name, Series([])).pts
    return [(x, y) for x, y in points if math.isfinite(y)]
