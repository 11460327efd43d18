"""What can be said about a preference without understanding a word of it.

A reward model has learned something only where it beats these: the length of the answers,
and a logistic regression on which words they hold.
"""

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F

from hornbook.align.messages import Preference

WORD = re.compile(r"\w+|[^\w\s]")
MAX_WORDS = 20_000  # the most frequent of the training pairs
MIN_COUNT = 2


def length_accuracy(
    train: Sequence[Preference], held_out: Sequence[Preference]
) -> float:
    """Share of held-out pairs won by always taking the longer answer, or the shorter one.

    Which of the two is learned from the training pairs. A tie counts half.
    """
    longer = np.sign([len(p.chosen) - len(p.rejected) for p in train]).sum() >= 0
    signs = np.sign([len(p.chosen) - len(p.rejected) for p in held_out])
    return float(((1 + (signs if longer else -signs)) / 2).mean())


def bag_of_words_accuracy(
    train: Sequence[Preference], held_out: Sequence[Preference]
) -> float:
    """Share of held-out pairs won by a logistic regression on word counts."""
    counts = Counter(
        word for p in train for word in words(p.chosen) + words(p.rejected)
    ).most_common(MAX_WORDS)
    index = {w: i for i, (w, count) in enumerate(counts) if count >= MIN_COUNT}
    if not index:
        return 0.5
    weights = _logistic(_differences(train, index), len(index))
    rows, columns, values, n = _differences(held_out, index)
    margins = torch.zeros(n).index_add_(0, rows, values * weights[columns])
    return float(((1 + margins.sign()) / 2).mean())


def words(text: str) -> list[str]:
    """Lower-case words and punctuation marks."""
    return WORD.findall(text.lower())


def _differences(
    pairs: Sequence[Preference], index: dict[str, int]
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, int]:
    """Sparse rows of chosen less rejected counts: rows, columns, values, how many rows."""
    entries = []
    for row, pair in enumerate(pairs):
        counts = Counter(words(pair.chosen))
        counts.subtract(words(pair.rejected))
        entries += [(row, index[w], n) for w, n in counts.items() if n and w in index]
    rows, columns, values = zip(*entries, strict=True) if entries else ((), (), ())
    return (
        torch.tensor(rows, dtype=torch.long),
        torch.tensor(columns, dtype=torch.long),
        torch.tensor(values, dtype=torch.float32),
        len(pairs),
    )


def _logistic(
    differences: tuple[torch.Tensor, torch.Tensor, torch.Tensor, int], n_words: int
) -> torch.Tensor:
    """Weights of the regression without an intercept, with a little weight decay."""
    rows, columns, values, n = differences
    weights = torch.zeros(n_words, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights], max_iter=50)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        margins = torch.zeros(n).index_add(0, rows, values * weights[columns])
        loss = -F.logsigmoid(margins).mean() + 1e-3 * weights.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    return weights.detach()
