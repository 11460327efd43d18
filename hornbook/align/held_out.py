"""What post-training is judged by, on conversations and pairs it has not seen.

A preference accuracy says little alone. Beside it stand what the reference preferred before
any preference training (the answer it finds likelier) and what the length of the answers
gives away; the gain over the reference is counted on the same pairs.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from hornbook.align.preference import PreferencePairs
from hornbook.align.sft import PADDING_SEGMENT, PackedRows, in_order
from hornbook.core.progress import Progress
from hornbook.data.batch import IGNORE, Batch
from hornbook.evaluate.intervals import bootstrap, bootstrap_ratio, wilson
from hornbook.evaluate.results import Result
from hornbook.infer.scoring import target_nats


def sft_results(
    model: nn.Module,
    rows: PackedRows,
    batch: int = 16,
    dtype: torch.dtype = torch.float32,
) -> list[Result]:
    """Loss per answer token and bits per byte of the answers; none without conversations.

    Both count the closing ``<|end|>``. The intervals resample whole conversations.
    """
    if not rows.conversations:
        return []
    nats, tokens = conversation_nats(model, rows, batch, dtype)
    low, high = bootstrap_ratio(nats, tokens)
    loss = nats.sum() / tokens.sum()
    to_bits = tokens.sum() / math.log(2) / rows.answer_bytes
    return [
        _result("nats per answer token", loss, (low, high), len(nats)),
        _result(
            "bits per answer byte",
            loss * to_bits,
            (low * to_bits, high * to_bits),
            len(nats),
        ),
    ]


def conversation_nats(
    model: nn.Module, rows: PackedRows, batch: int, dtype: torch.dtype
) -> tuple[np.ndarray, np.ndarray]:
    """Nats and answer tokens of every conversation, both ``(conversations,)``."""
    nats: list[float] = []
    tokens: list[int] = []
    for piece in in_order(rows, batch):
        found = target_nats(model, piece, dtype).double().numpy()
        assert piece.segments is not None
        segments, counted = piece.segments.numpy(), piece.targets.numpy() != IGNORE
        for row in range(piece.size):
            sums = np.bincount(segments[row], weights=found[row])
            counts = np.bincount(segments[row], weights=counted[row])
            nats += sums[PADDING_SEGMENT + 1 :].tolist()
            tokens += counts[PADDING_SEGMENT + 1 :].tolist()
    return np.array(nats), np.array(tokens)


def _result(
    metric: str, value: float, interval: tuple[float, float], conversations: int
) -> Result:
    return {
        "task": "sft, held-out answers",
        "metric": metric,
        "value": float(value),
        "n": conversations,
        "ci95": [float(end) for end in interval],
        "higher_is_better": False,
    }


@dataclass(frozen=True)
class PreferenceScores:
    """Log-probabilities (pairs, 2) of chosen and rejected answers, and their lengths."""

    policy: np.ndarray
    reference: np.ndarray
    lengths: np.ndarray

    def margins(self, beta: float) -> np.ndarray:
        """Reward of the chosen answer less that of the rejected one, (pairs,)."""
        rewards = beta * (self.policy - self.reference)
        return rewards[:, 0] - rewards[:, 1]

    def right(self) -> dict[str, np.ndarray]:
        """For each way to choose, whether it is right on each pair: 1, or ½ for a tie.

        ``reward``     what the policy came to prefer over its reference (DPO's own measure)
        ``policy``     which answer the policy finds likelier
        ``reference``  which answer the reference finds likelier
        ``shorter``    the shorter answer, in tokens
        """
        return {
            "reward": _wins(self.policy - self.reference),
            "policy": _wins(self.policy),
            "reference": _wins(self.reference),
            "shorter": _wins(-self.lengths),
        }


def _wins(scores: np.ndarray) -> np.ndarray:
    return (1 + np.sign(scores[:, 0] - scores[:, 1], dtype=np.float64)) / 2


def preference_scores(
    model: nn.Module,
    pairs: PreferencePairs,
    batch: int = 16,
    dtype: torch.dtype = torch.float32,
) -> PreferenceScores:
    """Score every pair with ``model``; the reference's scores come with the pairs."""
    found = [np.empty((0, 2), np.float64)]
    with Progress("preferences", total=len(pairs), unit="pair") as progress:
        for start in range(0, len(pairs), batch):
            piece = pairs.batch(slice(start, start + batch))
            flat = Batch(piece.tokens.flatten(0, 1), piece.targets.flatten(0, 1))
            nats = target_nats(model, flat, dtype).double().sum(-1)
            found.append(-nats.view(-1, 2).numpy())
            progress.advance(piece.size)
    assert pairs.reference is not None
    return PreferenceScores(np.concatenate(found), pairs.reference, pairs.lengths)


@torch.no_grad()
def policy_drift(
    policy: nn.Module, reference: nn.Module, pairs: PreferencePairs, batch: int = 16
) -> float:
    """KL(policy || reference) in nats per token, over all tokens of all answers.

    The whole distributions are compared at every place of an answer, not samples of them.
    """
    device = next(policy.parameters()).device
    reference.to(device)
    total, tokens = 0.0, 0
    for start in range(0, len(pairs), batch):
        texts = pairs.texts(slice(start, start + batch))
        inputs, targets = (text.flatten(0, 1).to(device) for text in texts)
        counted = targets != IGNORE
        ours, theirs = (
            m(inputs)[counted].float().log_softmax(-1) for m in (policy, reference)
        )
        total += float((ours.exp() * (ours - theirs)).sum())
        tokens += int(counted.sum())
    return total / max(tokens, 1)


def preference_results(scores: PreferenceScores, beta: float) -> list[Result]:
    """Accuracies and the margin on held-out pairs, with intervals; none without pairs."""
    n = len(scores.policy)
    if not n:
        return []
    right = {name: float(wins.mean()) for name, wins in scores.right().items()}
    names = {"reference": "SFT model", "shorter": "the shorter answer"}
    baselines = {label: right[name] for name, label in names.items()}
    gain = scores.right()["policy"] - scores.right()["reference"]
    margins = scores.margins(beta)

    def accuracy(metric: str, share: float, others: dict[str, float]) -> Result:
        result = _preference(metric, share, wilson(round(share * n), n), n)
        result["baselines"] = others
        return result

    return [
        accuracy("share of pairs: likelier", right["policy"], baselines),
        accuracy("share of pairs: higher reward", right["reward"], {"chance": 0.5}),
        _preference("gain in likelier share", gain.mean(), bootstrap(gain), n),
        _preference("nats of reward margin", margins.mean(), bootstrap(margins), n),
    ]


def _preference(
    metric: str, value: float, interval: tuple[float, float], pairs: int
) -> Result:
    return {
        "task": "dpo, held-out pairs",
        "metric": metric,
        "value": float(value),
        "n": pairs,
        "ci95": [float(end) for end in interval],
        "higher_is_better": True,
    }


def reward_results(rewards: np.ndarray, baselines: dict[str, float]) -> list[Result]:
    """Accuracy of a reward model on held-out pairs and how far its confidence is off.

    rewards    (pairs, 2), the chosen answer's first
    baselines  the accuracy of ways to choose that know less
    """
    n = len(rewards)
    if not n:
        return []
    share = float(_wins(rewards).mean())
    margins = rewards[:, 0] - rewards[:, 1]
    accuracy: Result = {
        "task": "reward model, held-out pairs",
        "metric": "share of pairs",
        "value": share,
        "n": n,
        "ci95": list(wilson(round(share * n), n)),
        "higher_is_better": True,
        "baselines": baselines,
    }
    calibration: Result = {
        "task": "reward model, held-out pairs",
        "metric": "expected calibration error",
        "value": calibration_error(margins),
        "n": n,
        "ci95": list(_resampled(margins, calibration_error)),
        "higher_is_better": False,
    }
    return [accuracy, calibration]


def _resampled(
    values: np.ndarray, measure: Callable[[np.ndarray], float], times: int = 400
) -> tuple[float, float]:
    """The middle 95 % of ``measure`` over samples of ``values`` with replacement."""
    rng = np.random.default_rng(0)
    found = [measure(rng.choice(values, len(values))) for _ in range(times)]
    low, high = np.quantile(found, (0.025, 0.975))
    return float(low), float(high)


def calibration_error(margins: np.ndarray, n_bins: int = 10) -> float:
    """How far stated confidence and accuracy lie apart, on average (Naeini et al. 2015).

    The model prefers one answer of each pair with the confidence sigmoid(abs(margin)).
    """
    confidence = 1 / (1 + np.exp(-np.abs(margins)))
    right = (1 + np.sign(margins)) / 2
    bins = np.minimum(((confidence - 0.5) * 2 * n_bins).astype(int), n_bins - 1)
    gaps = [
        abs(confidence[bins == b].sum() - right[bins == b].sum()) for b in range(n_bins)
    ]
    return float(sum(gaps) / len(margins))
