"""Scaling laws: how the loss falls with parameters and tokens, and what to spend where.

The law is L(N, D) = E + A / N^a + B / D^b (Hoffmann et al. 2022, arXiv 2203.15556), fitted to
small runs. For a budget of operations it says how large a model should be and how long it
should train. Plain numpy; the runs themselves are made elsewhere.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import product

import numpy as np

from hornbook.core.errors import UserError

Point = tuple[float, float, float]  # parameters, tokens, held-out loss


@dataclass(frozen=True)
class Law:
    """The fitted constants, and how far the runs it rests on went."""

    E: float
    A: float
    a: float
    B: float
    b: float
    error: float = 0.0  # root mean square of the residuals, nats
    most_parameters: float = 0.0
    most_tokens: float = 0.0

    def loss(self, parameters: float, tokens: float) -> float:
        """The loss expected of a model of so many parameters after so many tokens."""
        return self.E + self.A / parameters**self.a + self.B / tokens**self.b

    def reach(self, parameters: float, tokens: float) -> float:
        """How many times beyond the runs this is, in operations; at most 1: inside them."""
        if not self.most_parameters:
            return float("inf")
        return parameters * tokens / (self.most_parameters * self.most_tokens)

    def table(self) -> dict[str, float]:
        """The constants by name."""
        return asdict(self)


# Hoffmann's runs, fitted again by Besiroglu et al. 2024 (arXiv 2404.10102): English web text,
# 32,000 tokens. Right about what to spend where, not about the loss on other text.
PUBLISHED = Law(E=1.8172, A=482.01, a=0.3478, B=2085.43, b=0.3658)


def fit(points: Sequence[Point]) -> Law:
    """The law that fits ``points`` best, by least squares of the logarithms.

    For fixed E, a and b the rest is linear, so those three are searched on a grid that is
    made finer around the best place. Raises :class:`UserError` for fewer than five points,
    or without different sizes and lengths.
    """
    n, d, loss = (np.array(column, float) for column in zip(*points, strict=True))
    if len(points) < 5 or len(set(n)) < 2 or len(set(d)) < 2:
        raise UserError(
            f"{len(points)} runs are too few to fit a law; it takes five, of at least two "
            "sizes and two lengths."
        )
    centre, width = np.array([0.5, 0.5, 0.5]), 0.45  # E / least loss, a, b
    best: tuple[float, Law] | None = None
    for _ in range(7):
        axes = [np.clip(c + width * np.linspace(-1, 1, 9), 1e-3, 0.999) for c in centre]
        for share, a, b in product(*axes):
            law = _linear(n, d, loss, float(share * loss.min()), float(a), float(b))
            if best is None or law.error < best[0]:
                best, centre = (law.error, law), np.array([share, a, b])
        width /= 2.2
    assert best is not None
    return best[1]


def _linear(
    n: np.ndarray, d: np.ndarray, loss: np.ndarray, e: float, a: float, b: float
) -> Law:
    """The best A and B, not negative, for given E, a and b."""
    columns = np.stack([n**-a, d**-b], axis=1)
    weights = 1 / loss  # so that relative errors count, as with logarithms
    left, right = columns * weights[:, None], (loss - e) * weights
    both = np.linalg.lstsq(left, right, rcond=None)[0]
    if both.min() < 0:
        single = [max(float(c @ right / (c @ c)), 0.0) for c in left.T]
        options = [np.array([single[0], 0.0]), np.array([0.0, single[1]])]
        both = min(options, key=lambda x: float(((left @ x - right) ** 2).sum()))
    error = float(np.sqrt(((columns @ both + e - loss) ** 2).mean()))
    large = (float(n.max()), float(d.max()))
    return Law(e, float(both[0]), a, float(both[1]), b, error, *large)


REPEATS = 15.0  # passes over the same text after which another teaches e times less


def useful_tokens(tokens: float, unique: float) -> float:
    """What ``tokens`` are worth when only ``unique`` of them differ.

    Up to four passes are almost as good as new text, many more are worth little
    (Muennighoff et al. 2023, arXiv 2305.16264). 0 unique tokens: not known, all are new.
    """
    if not unique or tokens <= unique:
        return tokens
    passes = tokens / unique - 1
    return unique * (1 + REPEATS * (1 - np.exp(-passes / REPEATS)))


@dataclass(frozen=True)
class Choice:
    """One candidate of :func:`choose`: its number, tokens, and the loss expected."""

    index: int
    tokens: float
    loss: float


def choose(
    law: Law,
    sizes: Sequence[float],
    tokens_within: Callable[[int], float],
    unique: float = 0.0,
) -> Choice:
    """The candidate size of the lowest expected loss.

    ``tokens_within(i)`` is how many tokens the budget buys for the i-th of ``sizes``.
    """
    choices = []
    for index, parameters in enumerate(sizes):
        tokens = tokens_within(index)
        useful = useful_tokens(tokens, unique)
        choices.append(Choice(index, tokens, law.loss(parameters, useful)))
    return min(choices, key=lambda choice: choice.loss)
