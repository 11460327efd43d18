"""A linear classifier over hashed words: is this text toxic, or of good quality?

A text's features are its words and pairs of neighbouring words, lower-cased and hashed into
2^18 buckets (Weinberger et al. 2009); its score is a logistic function of the sum of their
weights. Small enough to ship, and fast enough to score a corpus while it is read.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import xxhash

from hornbook.core.errors import UserError
from hornbook.core.files import atomic_file, read_json, write_json
from hornbook.data.arrow import text_buffers
from hornbook.data.characters import mix
from hornbook.data.jit import kernel
from hornbook.data.shingles import shingle_hashes, word_tables

BITS = 18
DECAY = 1e-6
SHIPPED = Path(__file__).parent / "models"


@dataclass(frozen=True)
class Classifier:
    """Weights of the hashed features, a bias, the scale that calibrates, and a card."""

    weights: np.ndarray  # (2^BITS,) float32
    bias: float
    scale: float
    card: dict[str, Any]

    def score(self, texts: pa.LargeStringArray) -> np.ndarray:
        """The probability of the positive class for each text, float64 in 0 .. 1."""
        buffer, offsets = text_buffers(texts)
        sums = np.zeros(len(texts))
        _sum_weights(buffer, offsets, *word_tables(), self.weights, sums)
        return _sigmoid(self.scale * sums + self.bias)

    def digest(self) -> str:
        """What changes when a text could get another score."""
        numbers = np.array([self.bias, self.scale])
        return xxhash.xxh3_128_hexdigest(self.weights.tobytes() + numbers.tobytes())

    def save(self, directory: Path) -> None:
        """Write ``weights.npy`` (float16) and ``card.json``."""
        directory.mkdir(parents=True, exist_ok=True)
        with atomic_file(directory / "weights.npy") as handle:
            np.save(handle, self.weights.astype(np.float16))
        facts = {"bits": BITS, "bias": self.bias, "scale": self.scale}
        write_json(directory / "card.json", facts | {"card": self.card})

    @classmethod
    def load(cls, name: str) -> "Classifier":
        """A shipped classifier by name, or one's own by its directory."""
        directory = SHIPPED / name if (SHIPPED / name).is_dir() else Path(name)
        facts = read_json(directory / "card.json")
        try:
            weights = np.load(directory / "weights.npy", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise UserError(
                f"{directory}/weights.npy cannot be read ({error})."
            ) from None
        if facts.get("bits") != BITS or weights.shape != (1 << BITS,):
            raise UserError(
                f"{directory} holds no classifier of {BITS} bits; train it anew."
            )
        weights = weights.astype(np.float32)
        return cls(weights, facts["bias"], facts["scale"], facts["card"])


def train(
    texts: list[str],
    labels: np.ndarray,
    seed: int = 1,
    epochs: int = 12,
    rate: float = 0.2,
) -> Classifier:
    """Fit on ``texts`` with ``labels`` (0 or 1, of both some); the last tenth calibrates.

    Logistic regression by AdaGrad (Duchi et al. 2011), the texts in a seeded random order.
    """
    labels = np.asarray(labels, np.float64)
    if len(texts) != len(labels) or not 0 < labels.mean() < 1 or len(texts) < 20:
        raise UserError(
            "A classifier needs at least 20 labelled texts, some of them 0 and some 1; "
            f"there are {len(texts)}, {int(labels.sum())} of them 1."
        )
    order = np.random.default_rng(seed).permutation(len(texts))
    held, used = order[: len(order) // 10], order[len(order) // 10 :]
    features, ends = _features(pa.array(texts, pa.large_string()))
    weights, bias = _fit(features, ends, used, labels, seed, epochs, rate)
    raw = np.array([_sum(features, ends, d, weights) for d in held]) + bias
    scale, shift = _calibrate(raw, labels[held])
    return Classifier(weights.astype(np.float32), scale * bias + shift, scale, {})


def _calibrate(raw: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Platt's scale and shift for raw scores, by Newton's method on the log loss."""
    a, b = 1.0, 0.0
    for _ in range(50):
        p = _sigmoid(a * raw + b)
        error, weight = p - labels, p * (1 - p) + 1e-9
        gradient = np.array([error @ raw + 1e-3 * (a - 1), error.sum() + 1e-3 * b])
        hessian = np.array(
            [
                [weight @ raw**2 + 1e-3, weight @ raw],
                [weight @ raw, weight.sum() + 1e-3],
            ]
        )
        step = np.linalg.solve(hessian, gradient)
        a, b = a - step[0], b - step[1]
        if np.abs(step).max() < 1e-9:
            break
    return float(a), float(b)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 0.5 * (1 + np.tanh(0.5 * x))  # the same, without an overflow on the way


def auc(scores: np.ndarray, labels: np.ndarray) -> float:
    """Area under the ROC curve: the chance that a positive outscores a negative."""
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - (counts - 1) / 2  # equal scores share their mean rank
    positive = np.asarray(labels, bool)
    n_positive, n_negative = positive.sum(), (~positive).sum()
    total = ranks[inverse][positive].sum()
    return float(
        (total - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative)
    )


def _features(texts: pa.LargeStringArray) -> tuple[np.ndarray, np.ndarray]:
    """The buckets of all texts end to end, and where each text's end."""
    buffer, offsets = text_buffers(texts)
    out = np.empty(2 * int(offsets[-1] - offsets[0]) + 2, np.uint32)
    ends = np.zeros(len(texts) + 1, np.int64)
    _collect(buffer, offsets, *word_tables(), out, ends)
    return out[: ends[-1]].copy(), ends


@kernel
def _buckets(buffer, start, end, role, folded, ring, scratch, out):
    """The buckets of one text's words and pairs of words; returns how many."""
    count = shingle_hashes(buffer, start, end, role, folded, 1, ring, scratch)
    shift = np.uint64(64 - BITS)
    found = 0
    for i in range(count):
        out[found] = np.uint32(scratch[i] >> shift)
        found += 1
        if i:
            pair = mix(scratch[i - 1] * np.uint64(3) + scratch[i])
            out[found] = np.uint32(pair >> shift)
            found += 1
    return found


@kernel
def _collect(buffer, offsets, role, folded, out, ends):
    ring = np.zeros(1, np.uint64)
    for d in range(offsets.size - 1):
        scratch = np.empty(offsets[d + 1] - offsets[d] + 1, np.uint64)
        found = _buckets(
            buffer,
            offsets[d],
            offsets[d + 1],
            role,
            folded,
            ring,
            scratch,
            out[ends[d] :],
        )
        ends[d + 1] = ends[d] + found


@kernel
def _sum(features, ends, d, weights):
    total = 0.0
    for i in range(ends[d], ends[d + 1]):
        total += weights[features[i]]
    return total / max(ends[d + 1] - ends[d], 1) ** 0.5


@kernel
def _fit(features, ends, used, labels, seed, epochs, rate):
    weights = np.zeros(1 << BITS)
    squares = np.full(1 << BITS, 1e-6)
    bias, bias_square = 0.0, 1e-6
    np.random.seed(seed)
    for _ in range(epochs):
        for d in np.random.permutation(used):
            raw = _sum(features, ends, d, weights) + bias
            error = 1 / (1 + np.exp(-raw)) - labels[d]
            each = error / max(ends[d + 1] - ends[d], 1) ** 0.5
            for i in range(ends[d], ends[d + 1]):
                w = features[i]
                gradient = each + DECAY * weights[w]
                squares[w] += gradient * gradient
                weights[w] -= rate * gradient / squares[w] ** 0.5
            bias_square += error * error
            bias -= rate * error / bias_square**0.5
    return weights, bias


@kernel
def _sum_weights(buffer, offsets, role, folded, weights, sums):
    longest = np.int64(0)
    for d in range(offsets.size - 1):
        longest = max(longest, offsets[d + 1] - offsets[d])
    scratch, ring = np.empty(longest // 2 + 1, np.uint64), np.zeros(1, np.uint64)
    shift = np.uint64(64 - BITS)
    for d in range(offsets.size - 1):
        start, end = offsets[d], offsets[d + 1]
        count = shingle_hashes(buffer, start, end, role, folded, 1, ring, scratch)
        total = 0.0
        for i in range(count):
            total += weights[scratch[i] >> shift]
            if i:
                pair = mix(scratch[i - 1] * np.uint64(3) + scratch[i])
                total += weights[pair >> shift]
        sums[d] = total / max(2 * count - 1, 1) ** 0.5
