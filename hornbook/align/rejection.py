"""Rejection sampling: answers a model gave and a reward accepted, as data for SFT."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from hornbook.align.judge import Exercise, Judging
from hornbook.align.messages import Conversation, assistant
from hornbook.align.writing import Writer, fitting
from hornbook.core.progress import Progress
from hornbook.model.transformer import Transformer
from hornbook.tokenizer.base import Tokenizer

AT_ONCE = 16  # exercises answered before they are judged


@dataclass
class Accepted:
    """What was kept, and of how many exercises and answers."""

    conversations: list[Conversation] = field(default_factory=list)
    exercises: int = 0
    solved: int = 0
    answers: int = 0
    failed: int = 0


def rejection_sample(
    model: Transformer,
    tokenizer: Tokenizer,
    exercises: Sequence[Exercise],
    judge: Judging,
    n: int,
    keep: int,
    max_tokens: int,
    threshold: float = 1.0,
    seed: int = 1,
) -> Accepted:
    """Answer every exercise ``n`` times; keep at most ``keep`` different good answers of each.

    Good is a reward of at least ``threshold``; the best come first, among equals the
    shortest. Raises :class:`UserError` when no exercise leaves room for an answer.
    """
    fit = fitting(tokenizer, exercises, model.config.context_length, max_tokens)
    writer = Writer(model, tokenizer, max_tokens)
    found = Accepted(exercises=len(fit))
    with Progress("sampling", total=len(fit), unit="exercise") as progress:
        for start in range(0, len(fit), AT_ONCE):
            part = fit[start : start + AT_ONCE]
            asked = [pair for pair in part for _ in range(n)]
            texts = writer([ids for _, ids in asked], seed + start).texts
            rewards, failed = judge([exercise for exercise, _ in asked], texts)
            found.answers += len(texts)
            found.failed += int(failed.sum())
            for row, (exercise, _) in enumerate(part):
                span = slice(row * n, (row + 1) * n)
                good = best_of(texts[span], rewards[span], keep, threshold)
                found.solved += bool(good)
                found.conversations += [
                    Conversation([*exercise.prompt, assistant(text)]) for text in good
                ]
            progress.advance(len(part))
    return found


def best_of(
    texts: Sequence[str], rewards: np.ndarray, keep: int, threshold: float
) -> list[str]:
    """At most ``keep`` different texts rewarded with ``threshold`` or more, best first."""
    good = {
        text: float(reward)
        for text, reward in zip(texts, rewards, strict=True)
        if reward >= threshold and text.strip()
    }
    return sorted(good, key=lambda text: (-good[text], len(text), text))[:keep]
